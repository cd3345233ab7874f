#include "analysis/chrome_trace.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/bubbles.h"

namespace bubblescope {
namespace {

constexpr int kActions = 1;  // thread ids
constexpr int kBubbles = 2;
constexpr int kFirstLink = 3;  // messages of a kind from a rank; the next ones follow

class TraceWriter {
 public:
  TraceWriter(const DependencyGraph& graph, const Timeline& timeline, const Sink& sink)
      : graph_(graph), timeline_(timeline), sink_(sink) {
    for (const Span& span : timeline.spans)
      origin_ = std::min(origin_, span.start);
    order_by_rank();
  }

  void write() {
    const Schedule& schedule = graph_.schedule();
    emit(R"({{"displayTimeUnit":"ms","otherData":{{"schedule":{},"source":{},"ranks":{},)"
         R"("microbatches":{}}},)"
         "\n\"traceEvents\":[",
         nlohmann::json(schedule.name).dump(), nlohmann::json(timeline_.source).dump(),
         schedule.placement.ranks, schedule.microbatches);
    for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
      write_names(rank);
      write_actions(rank);
      write_messages(rank);
    }
    write_bubbles();
    write_arrows();
    emit("\n]}}\n");
    flush();
  }

 private:
  /// Messages that share a track: of one kind from one rank.
  using Link = std::pair<Rank, OpKind>;
  static Link link_of(const MessageNode& message) { return {message.from, message.output.kind()}; }

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
  std::vector<NodeId> in_time_order(std::vector<NodeId> nodes) const {
    std::stable_sort(nodes.begin(), nodes.end(), [&](NodeId a, NodeId b) {
      const Span& first = timeline_.spans[a];
      const Span& second = timeline_.spans[b];
      return first.start != second.start ? first.start < second.start : first.end > second.end;
    });
    return nodes;
  }

  void write_names(Rank rank) {
    event(R"("ph":"M","pid":{0},"name":"process_name","args":{{"name":"rank {0}"}})", rank);
    event(R"("ph":"M","pid":{0},"name":"process_sort_index","args":{{"sort_index":{0}}})", rank);
    write_thread(rank, kActions, "actions");
    write_thread(rank, kBubbles, "bubbles");
    int thread = kFirstLink;
    for (const auto& [link, nodes] : links_[static_cast<std::size_t>(rank)])
      write_thread(
          rank, thread++,
          fmt::format("{} from rank {}",
                      link.second == OpKind::Forward ? "activations" : "gradients", link.first));
  }

  void write_thread(Rank rank, int thread, std::string_view name) {
    event(R"("ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}"}})", rank, thread,
          name);
    event(R"("ph":"M","pid":{0},"tid":{1},"name":"thread_sort_index","args":{{"sort_index":{1}}})",
          rank, thread);
  }

  void write_actions(Rank rank) {
    for (const NodeId node : in_time_order(actions_[static_cast<std::size_t>(rank)])) {
      const Action& action = graph_.action(node);
      const Span& span = timeline_.spans[node];
      event(R"("ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":"{}","cname":"{}",)"
            R"("args":{{"action":"{}"}})",
            rank, kActions, stamp(span.start), duration(span), label(action), colour(action),
            to_string(action));
    }
    write_live_activations(rank);
  }

  /// One sample for each moment at which the count changes, with what it is afterwards.
  void write_live_activations(Rank rank) {
    int live = 0;
    Time changed = Time::min();
    const auto sample = [&] {
      if (changed != Time::min())
        event(R"("ph":"C","pid":{},"ts":{},"name":"live activations","args":{{"count":{}}})", rank,
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
    for (const Bubble& bubble : find_bubbles(graph_, timeline_)) {
      const bool waits = bubble.blocking != bubble.waiting;
      event(R"("ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":"{}","cname":"grey",)"
            R"("args":{{{}}})",
            bubble.rank, kBubbles, stamp(bubble.span.start), duration(bubble.span), name(bubble),
            waits ? fmt::format(R"("waiting":"{}","blocked_by":"{}","on_rank":{})",
                                name(bubble.waiting), name(bubble.blocking), home(bubble.blocking))
                  : "");
    }
  }

  void write_messages(Rank rank) {
    int thread = kFirstLink;
    for (const auto& [link, nodes] : links_[static_cast<std::size_t>(rank)]) {
      for (const NodeId node : in_time_order(nodes)) {
        const MessageNode& message = graph_.message(node);
        const Span& span = timeline_.spans[node];
        event(R"("ph":"X","pid":{},"tid":{},"ts":{},"dur":{},"name":"{} {}","cname":"olive",)"
              R"("args":{{"output":"{}","from":{},"to":{}}})",
              rank, thread, stamp(span.start), duration(span),
              message.output.kind() == OpKind::Forward ? "act" : "grad",
              message.output.microbatch(), to_string(message.output), message.from, message.to);
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
  /// slice a shared boundary belongs to. A slice too short for that has no arrow.
  void write_arrow(std::pair<NodeId, NodeId> ends, std::uint32_t& id) {
    constexpr Time kInside(1);
    const Span& from = timeline_.spans[ends.first];
    const Span& to = timeline_.spans[ends.second];
    if (from.length() <= kInside || to.length() <= kInside)
      return;
    ++id;
    event(R"("ph":"s","pid":{},"tid":{},"ts":{},"id":{},"name":"message","cat":"message")",
          graph_.rank()[ends.first], kActions, stamp(from.end - kInside), id);
    event(R"("ph":"f","bp":"e","pid":{},"tid":{},"ts":{},"id":{},"name":"message",)"
          R"("cat":"message")",
          graph_.rank()[ends.second], kActions, stamp(to.start + kInside), id);
  }

  /// "F3", "F7&B3": viewers give one colour to names that differ in digits only.
  static std::string label(const Action& action) {
    const auto op_label = [](const Op& op) {
      return fmt::format("{}{}", letter(op.kind()), op.microbatch());
    };
    return action.is_pair() ? op_label(action.op()) + "&" + op_label(action.overlapped())
                            : op_label(action.op());
  }

  /// Reserved names of catapult's colour scheme; an unknown one makes it refuse the file.
  static const char* colour(const Action& action) {
    static constexpr const char* kColours[] = {"rail_response", "thread_state_running", "yellow",
                                               "good"};
    return action.is_pair() ? "thread_state_iowait"
                            : kColours[static_cast<int>(action.op().kind())];
  }

  std::string name(const Bubble& bubble) const {
    switch (bubble.cause) {
      case BubbleCause::WarmUp:
        return "warm-up";
      case BubbleCause::Drain:
        return "drain";
      case BubbleCause::Peer:
        return fmt::format("waits for rank {} to send or receive", home(bubble.blocking));
      case BubbleCause::Queue:
        return "message queued behind another";
      case BubbleCause::Message:
        return "message in flight";
      case BubbleCause::Unknown:
        return "idle";
      case BubbleCause::Dependency:
        break;
    }
    return fmt::format("waits for rank {}", home(bubble.blocking));
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

  std::string stamp(Time time) const { return microseconds(time - origin_); }
  static std::string duration(const Span& span) { return microseconds(span.length()); }
  static std::string microseconds(Time time) {
    return fmt::format("{}.{:03}", time.count() / 1000, time.count() % 1000);
  }

  template <typename... Args>
  void event(fmt::format_string<Args...> format, Args&&... args) {
    buffer_.append(std::string_view(std::exchange(first_, false) ? "\n{" : ",\n{"));
    emit(format, std::forward<Args>(args)...);
    emit("}}");
    if (buffer_.size() > kPiece)
      flush();
  }

  template <typename... Args>
  void emit(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(buffer_), format, std::forward<Args>(args)...);
  }

  void flush() {
    sink_({buffer_.data(), buffer_.size()});
    buffer_.clear();
  }

  static constexpr std::size_t kPiece = std::size_t{1} << 16;

  const DependencyGraph& graph_;
  const Timeline& timeline_;
  const Sink& sink_;
  Time origin_ = Time::max();
  std::vector<std::vector<NodeId>> actions_;                // [rank] in its order
  std::vector<std::map<Link, std::vector<NodeId>>> links_;  // [rank] messages that arrive
  fmt::memory_buffer buffer_;
  bool first_ = true;
};

}  // namespace

void write_chrome_trace(const DependencyGraph& graph, const Timeline& timeline, const Sink& sink) {
  TraceWriter(graph, timeline, sink).write();
}

}  // namespace bubblescope
