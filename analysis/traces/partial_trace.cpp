#include "analysis/traces/partial_trace.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "analysis/traces/trace_events.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

constexpr int kActions = 1;  // thread ids
constexpr int kFirstLink = 2;

class PartialTraceWriter {
 public:
  PartialTraceWriter(const RunRecord& run, const Sink& sink) : run_(run), events_(sink) {
    links_.resize(static_cast<std::size_t>(run.ranks));
    for (const RecordedMessage& message : run.messages)
      if (begin_of(message) != kNever)
        links_[static_cast<std::size_t>(message.to)][{message.from, message.output.kind()}]
            .push_back(&message);
    for (auto& links : links_)
      for (auto& [link, messages] : links)
        std::stable_sort(messages.begin(), messages.end(),
                         [](const auto* a, const auto* b) { return begin_of(*a) < begin_of(*b); });
    for (const RecordedAction& action : run.actions)
      note_last(action.span);
    for (const RecordedMessage& message : run.messages)
      note_last({begin_of(message), message.span.end});
    last_ += std::max(last_ / 20, Time(1));
  }

  void write() {
    events_.emit(R"({{"displayTimeUnit":"ms","otherData":{{"schedule":{},"source":{},"ranks":{},)"
                 R"("microbatches":{},"fault":{}}},)"
                 "\n\"traceEvents\":[",
                 dump_json(nlohmann::json(run_.schedule)), dump_json(nlohmann::json(run_.source)),
                 run_.ranks, run_.microbatches, dump_json(nlohmann::json(run_.fault)));
    for (Rank rank = 0; rank < run_.ranks; ++rank) {
      events_.name_process(rank);
      events_.name_thread(rank, kActions, "actions");
      write_messages(rank);
    }
    for (const RecordedAction& action : run_.actions)
      write_slice({action.rank, kActions}, action.span,
                  {TraceEvents::label(action.action), TraceEvents::colour(action.action),
                   fmt::format(R"("action":"{}")", to_string(action.action))});
    events_.finish();
  }

 private:
  struct Thread {
    Rank rank;
    int thread;
  };
  struct Look {
    std::string name;
    const char* colour;
    std::string args;
  };

  /// What nobody has sent yet begins when the receiver is there.
  static Time begin_of(const RecordedMessage& message) {
    return message.span.start != kNever ? message.span.start : message.awaited_since;
  }

  void note_last(const Span& span) {
    static_assert(kNever < Time::zero());
    last_ = std::max({last_, span.start, span.end});
  }

  void write_messages(Rank rank) {
    int thread = kFirstLink;
    for (const auto& [link, messages] : links_[static_cast<std::size_t>(rank)]) {
      events_.name_thread(
          rank, thread,
          fmt::format("{} from rank {}",
                      link.second == OpKind::Forward ? "activations" : "gradients", link.first));
      for (const RecordedMessage* message : messages)
        write_slice({rank, thread}, {begin_of(*message), message->span.end},
                    {TraceEvents::label(message->output), "olive",
                     fmt::format(R"("output":"{}","from":{},"to":{})", to_string(message->output),
                                 message->from, message->to)});
      ++thread;
    }
  }

  void write_slice(Thread at, const Span& span, const Look& look) {
    if (span.start == kNever)
      return;
    const bool ended = span.end != kNever;
    // Clocks of processes that do not agree may tell an end before its start.
    const Time length = std::max((ended ? span.end : last_) - span.start, Time::zero());
    events_.event(R"("ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":"{}{}","cname":"{}",)"
                  R"("args":{{{}}})",
                  at.rank, at.thread, TraceEvents::microseconds(span.start),
                  TraceEvents::microseconds(length), look.name, ended ? "" : " has not ended",
                  ended ? look.colour : "terrible", look.args);
  }

  const RunRecord& run_;
  TraceEvents events_;
  Time last_{};  // a little behind the last moment known, so that what hangs there is seen
  // [rank] the messages that began to move to it, of a kind from a rank, in time order
  std::vector<std::map<std::pair<Rank, OpKind>, std::vector<const RecordedMessage*>>> links_;
};

}  // namespace

void write_partial_trace(const RunRecord& run, const Sink& sink) {
  PartialTraceWriter(run, sink).write();
}

}  // namespace bubblescope
