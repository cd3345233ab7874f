#include "sim/circular_wait.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <optional>

#include <boost/graph/strong_components.hpp>
#include <fmt/format.h>

#include "sim/boost_graph.h"

namespace bubblescope {
namespace {

/// The actions that never ran, and who of them waits for whom: each for the one before it on its
/// rank, and for those that make its inputs. Stuck actions are numbered rank by rank.
class StuckActions {
 public:
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

  StuckActions(const Schedule& schedule, const std::vector<std::size_t>& next_action)
      : schedule_(schedule),
        producer_(2 * static_cast<std::size_t>(schedule.placement.stages()) *
                      static_cast<std::size_t>(schedule.microbatches),
                  kNone) {
    for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
      const auto r = static_cast<std::size_t>(rank);
      for (std::size_t i = next_action[r]; i < schedule.first_action[r + 1]; ++i) {
        rank_.push_back(rank);
        is_first_.push_back(i == next_action[r]);
        action_.push_back(i);
      }
    }
    for (std::uint32_t stuck = 0; stuck < size(); ++stuck)
      action(stuck).for_each_op([&](const Op& op) {
        if (op.kind() != OpKind::BackwardWeight)
          producer_[output(op.stage(), op.kind() != OpKind::Forward, op.microbatch())] = stuck;
      });
  }

  std::uint32_t size() const { return static_cast<std::uint32_t>(action_.size()); }
  const Action& action(std::uint32_t stuck) const { return schedule_.actions[action_[stuck]]; }
  Rank rank(std::uint32_t stuck) const { return rank_[stuck]; }
  /// "rank 2, action 5 (2F3)"
  std::string name(std::uint32_t stuck) const {
    const auto first = schedule_.first_action[static_cast<std::size_t>(rank(stuck))];
    return fmt::format("rank {}, action {} ({})", rank(stuck), action_[stuck] - first,
                       to_string(action(stuck)));
  }

  /// The stuck action before this one on its rank.
  std::optional<std::uint32_t> before(std::uint32_t stuck) const {
    return is_first_[stuck] ? std::nullopt : std::optional(stuck - 1);
  }

  /// Calls `visit(producer)` for each stuck action that makes an input of this one.
  template <typename Visitor>
  void for_each_producer(std::uint32_t stuck, Visitor&& visit) const {
    action(stuck).for_each_op([&](const Op& op) {
      if (op.kind() == OpKind::BackwardWeight)
        return;
      const bool backward = op.kind() != OpKind::Forward;
      const auto neighbour =
          backward ? schedule_.placement.after(op.stage()) : schedule_.placement.before(op.stage());
      if (!neighbour)
        return;
      if (const auto producer = producer_[output(*neighbour, backward, op.microbatch())];
          producer != kNone)
        visit(producer);
    });
  }

 private:
  std::size_t output(Stage stage, bool backward, MicroBatch microbatch) const {
    return (2 * static_cast<std::size_t>(stage) + (backward ? 1 : 0)) *
               static_cast<std::size_t>(schedule_.microbatches) +
           static_cast<std::size_t>(microbatch);
  }

  const Schedule& schedule_;
  std::vector<std::uint32_t> producer_;  // [output] the stuck action that makes it
  std::vector<Rank> rank_;
  std::vector<bool> is_first_;       // of its rank's stuck actions
  std::vector<std::size_t> action_;  // its index in schedule.actions
};

/// The strong component of each stuck action: every circle lies within one.
std::vector<std::uint32_t> components(const StuckActions& stuck) {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> edges;
  for (std::uint32_t node = 0; node < stuck.size(); ++node) {
    if (const auto before = stuck.before(node))
      edges.emplace_back(node, *before);
    stuck.for_each_producer(node,
                            [&](std::uint32_t producer) { edges.emplace_back(node, producer); });
  }
  const BoostGraph::Csr graph(boost::edges_are_sorted, edges.begin(), edges.end(), stuck.size());
  std::vector<std::uint32_t> component(stuck.size());
  boost::strong_components(
      graph, boost::make_iterator_property_map(component.begin(), get(boost::vertex_index, graph)));
  return component;
}

/// Searches circles by breadth: to wait for a producer counts one, to come after another action of
/// the same rank counts nothing.
class CircleSearch {
 public:
  explicit CircleSearch(const StuckActions& stuck)
      : stuck_(stuck),
        component_(components(stuck)),
        distance_(stuck.size()),
        from_(stuck.size()) {}

  /// The nodes of a shortest circle, each waiting for, or coming after, the next.
  std::vector<std::uint32_t> shortest() {
    std::vector<std::uint32_t> best;
    std::uint32_t best_waits = StuckActions::kNone;
    for (std::uint32_t start = 0; start < stuck_.size() && may_go_on(); ++start) {
      const auto waits = search(start, best_waits);
      if (waits < best_waits)
        best = path(start);
      found_ = !best.empty();
      best_waits = waits;
    }
    return best;
  }

 private:
  /// The search for a shorter circle ends at some time, that for the first one does not.
  bool may_go_on() const { return !found_ || work_ < kMostWork; }

  static constexpr std::size_t kMostWork = 20'000'000;  // node visits: about a second

  /// The fewest waits, below `limit`, that lead from `start` back to it; else `limit`.
  std::uint32_t search(std::uint32_t start, std::uint32_t limit) {
    for (const auto node : touched_)
      distance_[node] = 0;
    touched_.clear();
    std::deque<std::uint32_t> queue = {start};
    const auto reach = [&](std::uint32_t node, std::uint32_t next, std::uint32_t step) {
      const std::uint32_t waits = (node == start ? 0 : distance_[node] - 1) + step;
      if (component_[next] != component_[start] || waits >= limit)
        return;
      if (next == start) {
        limit = waits;
        last_ = node;
      } else if (distance_[next] == 0 || waits + 1 < distance_[next]) {
        distance_[next] = waits + 1;
        from_[next] = node;
        touched_.push_back(next);
        step == 0 ? queue.push_front(next) : queue.push_back(next);
      }
    };
    for (; !queue.empty() && may_go_on(); ++work_) {
      const auto node = queue.front();
      queue.pop_front();
      if (const auto before = stuck_.before(node))
        reach(node, *before, 0);
      stuck_.for_each_producer(node, [&](std::uint32_t producer) { reach(node, producer, 1); });
    }
    return limit;
  }

  std::vector<std::uint32_t> path(std::uint32_t start) const {
    std::vector<std::uint32_t> nodes;
    for (auto node = last_; node != start; node = from_[node])
      nodes.push_back(node);
    nodes.push_back(start);
    std::reverse(nodes.begin(), nodes.end());
    return nodes;
  }

  const StuckActions& stuck_;
  std::vector<std::uint32_t> component_;
  std::vector<std::uint32_t> distance_;  // [node] waits from the start, plus one; 0: not reached
  std::vector<std::uint32_t> from_;      // [node] the node before it on the way from the start
  std::vector<std::uint32_t> touched_;
  std::uint32_t last_ = 0;  // the node that closed the circle
  bool found_ = false;
  std::size_t work_ = 0;
};

}  // namespace

std::string describe_circular_wait(const Schedule& schedule,
                                   const std::vector<std::size_t>& next_action) {
  const StuckActions stuck(schedule, next_action);
  std::vector<std::uint32_t> circle = CircleSearch(stuck).shortest();
  const auto waits = [&](std::size_t i) {
    const auto next = circle[(i + 1) % circle.size()];
    return stuck.before(circle[i]) != next;
  };
  // Begin where a rank stands still, and leave out what lies between two waits on one rank.
  const auto first_wait = [&] {
    std::size_t i = 0;
    while (!waits(i))
      ++i;
    return i;
  }();
  std::rotate(circle.begin(), circle.begin() + static_cast<std::ptrdiff_t>(first_wait),
              circle.end());
  std::string text =
      fmt::format("schedule {}: ranks wait for one another in a circle:", schedule.name);
  std::uint32_t awaited = circle.front();
  for (std::size_t i = 0; i < circle.size(); ++i) {
    if (!waits(i))
      continue;
    if (circle[i] != awaited)
      text += fmt::format(", which comes after {}", stuck.name(circle[i]));
    awaited = circle[(i + 1) % circle.size()];
    text += fmt::format("{} waits for {}", i == 0 ? "\n  " + stuck.name(circle[i]) : ",\n  which",
                        stuck.name(awaited));
  }
  if (awaited != circle.front())
    text += fmt::format(", which comes after {}", stuck.name(circle.front()));
  return text;
}

}  // namespace bubblescope
