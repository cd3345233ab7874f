#include "analysis/traces/chrome_trace.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/traces/trace_events.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

/// Their ids; the messages that arrive, of a kind from a rank, have the first and those after it.
struct Threads {
  int actions = 1;
  int bubbles = 2;
  int first_link = 3;
};
/// Below the predicted actions, which have thread 1.
constexpr int kPredicted = 1;
constexpr Threads kMeasured = {.actions = 2, .bubbles = 3, .first_link = 4};

class TraceWriter {
 public:
  /// `predicted` is shown beside it; it may be null.
  TraceWriter(const Analysis& run, const Timeline* predicted, const Sink& sink)
      : graph_(run.graph),
        timeline_(run.timeline),
        bubbles_(run.bubbles()),
        predicted_(predicted),
        threads_(predicted == nullptr ? Threads{} : kMeasured),
        origin_(origin_of(timeline_)),
        events_(sink) {
    order_by_rank();
  }

  void write() {
    const Schedule& schedule = graph_.schedule();
    events_.emit(R"({{"displayTimeUnit":"ms","otherData":{{"schedule":{},"source":{},"ranks":{},)"
                 R"("microbatches":{}}},)"
                 "\n\"traceEvents\":[",
                 dump_json(nlohmann::json(schedule.name)),
                 dump_json(nlohmann::json(timeline_.source)), schedule.placement.ranks,
                 schedule.microbatches);
    for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
      write_names(rank);
      if (predicted_ != nullptr)
        write_predicted(rank);
      write_actions(rank);
      write_messages(rank);
    }
    write_bubbles();
    write_arrows();
    events_.finish();
  }

 private:
  /// Messages that share a track: of one kind from one rank.
  using Link = std::pair<Rank, OpKind>;
  static Link link_of(const MessageNode& message) { return {message.from, message.output.kind()}; }

  static Time origin_of(const Timeline& timeline) {
    Time origin = Time::max();
    for (const Span& span : timeline.spans)
      origin = std::min(origin, span.start);
    return origin;
  }

  void order_by_rank() {
    const auto ranks = static_cast<std::size_t>(graph_.schedule().placement.ranks);
    actions_.resize(ranks);
    links_.resize(ranks);
    for (NodeId node = 0; node < graph_.size(); ++node) {
      const auto rank = static_cast<std::size_t>(graph_.rank()[node]);
      if (graph_.is_message(node))
        links_[rank][link_of(graph_.message(node))].push_back(node);
      else
        actions_[rank].push_back(node);
    }
  }

  /// By start; at equal start the longer first, as viewers nest slices.
  static std::vector<NodeId> in_time_order(std::vector<NodeId> nodes, const Timeline& timeline) {
    std::stable_sort(nodes.begin(), nodes.end(), [&](NodeId a, NodeId b) {
      const Span& first = timeline.spans[a];
      const Span& second = timeline.spans[b];
      return first.start != second.start ? first.start < second.start : first.end > second.end;
    });
    return nodes;
  }

  void write_names(Rank rank) {
    events_.name_process(rank);
    if (predicted_ != nullptr)
      events_.name_thread(rank, kPredicted, "actions, predicted");
    events_.name_thread(rank, threads_.actions,
                        predicted_ == nullptr ? "actions" : "actions, measured");
    events_.name_thread(rank, threads_.bubbles,
                        predicted_ == nullptr ? "bubbles" : "bubbles, measured");
    int thread = threads_.first_link;
    for (const auto& [link, nodes] : links_[static_cast<std::size_t>(rank)])
      events_.name_thread(
          rank, thread++,
          fmt::format("{} from rank {}",
                      link.second == OpKind::Forward ? "activations" : "gradients", link.first));
  }

  void write_actions(Rank rank) {
    const auto& nodes = actions_[static_cast<std::size_t>(rank)];
    for (const NodeId node : in_time_order(nodes, timeline_))
      write_action(node, timeline_.spans[node], {threads_.actions, origin_});
    write_live_activations(rank);
  }

  void write_predicted(Rank rank) {
    const auto& nodes = actions_[static_cast<std::size_t>(rank)];
    const Time origin = origin_of(*predicted_);
    for (const NodeId node : in_time_order(nodes, *predicted_))
      write_action(node, predicted_->spans[node], {kPredicted, origin});
  }

  struct Track {
    int thread;
    Time origin;
  };
  void write_action(NodeId node, const Span& span, Track track) {
    const Action& action = graph_.action(node);
    events_.event(R"("ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":"{}","cname":"{}",)"
                  R"("args":{{"action":"{}"}})",
                  graph_.rank()[node], track.thread,
                  TraceEvents::microseconds(span.start - track.origin), duration(span),
                  TraceEvents::label(action), TraceEvents::colour(action), to_string(action));
  }

  /// One sample for each moment at which the count changes, with what it is afterwards.
  void write_live_activations(Rank rank) {
    int live = 0;
    Time changed = Time::min();
    const auto sample = [&] {
      if (changed != Time::min())
        events_.event(
            R"("ph":"C","pid":{},"ts":{},"name":"live activations","args":{{"count":{}}})", rank,
            stamp(changed), live);
    };
    for (const NodeId node : actions_[static_cast<std::size_t>(rank)]) {
      graph_.action(node).for_each_op([&](const Op& op) {
        const int change = live_activation_change(op.kind());
        const Time moment = change > 0 ? timeline_.spans[node].start : timeline_.spans[node].end;
        if (change != 0 && moment != changed) {
          sample();
          changed = moment;
        }
        live += change;
      });
    }
    sample();
  }

  void write_bubbles() {
    for (const Bubble& bubble : bubbles_) {
      const bool waits = bubble.blocking != bubble.waiting;
      events_.event(
          R"("ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":"{}","cname":"grey",)"
          R"("args":{{{}}})",
          bubble.rank, threads_.bubbles, stamp(bubble.span.start), duration(bubble.span),
          name(bubble),
          waits ? fmt::format(R"("waiting":"{}","blocked_by":"{}","on_rank":{})",
                              name(bubble.waiting), name(bubble.blocking), home(bubble.blocking))
                : "");
    }
  }

  void write_messages(Rank rank) {
    int thread = threads_.first_link;
    for (const auto& [link, nodes] : links_[static_cast<std::size_t>(rank)]) {
      for (const NodeId node : in_time_order(nodes, timeline_)) {
        const MessageNode& message = graph_.message(node);
        const Span& span = timeline_.spans[node];
        events_.event(R"("ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":"{}","cname":"olive",)"
                      R"("args":{{"output":"{}","from":{},"to":{}}})",
                      rank, thread, stamp(span.start), duration(span),
                      TraceEvents::label(message.output), to_string(message.output), message.from,
                      message.to);
      }
      ++thread;
    }
  }

  /// From what makes an output to the first action of another rank that waits for it.
  void write_arrows() {
    std::uint32_t id = 0;
    for (NodeId node = 0; node < graph_.size(); ++node) {
      if (graph_.is_message(node))
        continue;
      for (EdgeId edge = graph_.first_edge()[node]; edge < graph_.first_edge()[node + 1]; ++edge) {
        NodeId producer = graph_.producer()[edge];
        if (graph_.is_message(producer))
          producer = graph_.message(producer).producer;
        if (graph_.rank()[producer] != graph_.rank()[node])
          write_arrow({producer, node}, id);
      }
    }
  }

  /// Arrows begin and end one nanosecond inside their slices, since viewers disagree about which
  /// slice a shared boundary belongs to. A slice too short for that has no arrow, nor has one that
  /// would go back in time, as where the clocks of two processes do not agree.
  void write_arrow(std::pair<NodeId, NodeId> ends, std::uint32_t& id) {
    constexpr Time kInside(1);
    const Span& from = timeline_.spans[ends.first];
    const Span& to = timeline_.spans[ends.second];
    if (from.length() <= kInside || to.length() <= kInside ||
        to.start + kInside < from.end - kInside)
      return;
    ++id;
    events_.event(R"("ph":"s","pid":{},"tid":{},"ts":{},"id":{},"name":"message","cat":"message")",
                  graph_.rank()[ends.first], threads_.actions, stamp(from.end - kInside), id);
    events_.event(R"("ph":"f","bp":"e","pid":{},"tid":{},"ts":{},"id":{},"name":"message",)"
                  R"("cat":"message")",
                  graph_.rank()[ends.second], threads_.actions, stamp(to.start + kInside), id);
  }

  std::string name(const Bubble& bubble) const {
    switch (bubble.cause) {
      case BubbleCause::Peer:
        return fmt::format("waits for rank {} to send or receive", home(bubble.blocking));
      case BubbleCause::Queue:
        return "message queued behind another";
      case BubbleCause::Unknown:
        return "idle";
      case BubbleCause::Dependency:
        return fmt::format("waits for rank {}", home(bubble.blocking));
      case BubbleCause::Imbalance:
        return fmt::format("waits for rank {}, a slower stage", home(bubble.blocking));
      case BubbleCause::WarmUp:
      case BubbleCause::Message:
      case BubbleCause::Contention:
      case BubbleCause::Drain:
        break;
    }
    return cause_name(bubble.cause);
  }

  /// An action in PyTorch's token, or the op whose output a message carries.
  std::string name(NodeId node) const {
    return graph_.is_message(node) ? to_string(graph_.message(node).output)
                                   : to_string(graph_.action(node));
  }
  /// The rank that executes an action, or sends a message.
  Rank home(NodeId node) const {
    return graph_.is_message(node) ? graph_.message(node).from : graph_.rank()[node];
  }

  std::string stamp(Time time) const { return TraceEvents::microseconds(time - origin_); }
  static std::string duration(const Span& span) { return TraceEvents::microseconds(span.length()); }

  const DependencyGraph& graph_;
  const Timeline& timeline_;
  const std::vector<Bubble>& bubbles_;
  const Timeline* predicted_;
  Threads threads_;
  Time origin_;
  TraceEvents events_;
  std::vector<std::vector<NodeId>> actions_;                // [rank] in its order
  std::vector<std::map<Link, std::vector<NodeId>>> links_;  // [rank] messages that arrive
};

}  // namespace

void write_chrome_trace(const Analysis& run, const Sink& sink, const Timeline* predicted) {
  TraceWriter(run, predicted, sink).write();
}

}  // namespace bubblescope
