#include "sim/program/deadlock.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include <boost/graph/compressed_sparse_row_graph.hpp>
#include <boost/graph/strong_components.hpp>
#include <fmt/format.h>

#include "sim/program/steps.h"
#include "sim/schedule/words.h"

namespace bubblescope {
namespace {

/// An action, or a transfer in one of two states: it has started, or it is through. Numbered in
/// this order.
using Node = std::uint32_t;
enum class Reason : std::uint8_t {
  After,   ///< It comes after an action of its rank.
  Behind,  ///< It comes after a transfer on its channel, which has to be through.
  Needs,   ///< An action needs a transfer of its rank to be through.
  Start,   ///< A transfer that is through has started, and so has what starts with it.
  Peer,    ///< A transfer waits for its other end to start.
  Input,   ///< An action waits for the one that makes its input.
  Early,   ///< A stream's receive is posted when an action starts, and that one waits for this.
};
/// Whether it counts as a wait; the others are a rank's own order.
constexpr bool is_wait(Reason reason) {
  return reason == Reason::Peer || reason == Reason::Input || reason == Reason::Early;
}

struct Need {
  Node node;  ///< That is waited for.
  Reason reason;
};

/// Who waits for whom, in compressed sparse rows.
class WaitGraph {
 public:
  explicit WaitGraph(const Program& program)
      : program_(program), schedule_(program.schedule()), transfers_(program.posted.transfers) {
    find_instructions();
    first_.reserve(size() + std::size_t{1});
    for (std::size_t action = 0; action < schedule_.actions.size(); ++action)
      add_action(action);
    for (TransferId transfer = 0; transfer < transfers_.size(); ++transfer)
      add_transfer(transfer);
    end_row();
  }

  Node size() const { return static_cast<Node>(actions() + 2 * transfers_.size()); }
  std::span<const Need> waits(Node node) const {
    return std::span(waits_).subspan(first_[node], first_[node + 1] - first_[node]);
  }

  /// "rank 2, step 5 (2F3)"
  std::string name(Node node) const {
    const std::size_t index = node < actions() ? node : (node - actions()) / 2;
    const InstructionId id =
        node < actions() ? instruction_of_action_[index] : program_.instruction_of_transfer[index];
    const Rank rank = program_.rank_of(id);
    if (node < actions())
      return fmt::format("rank {}, step {} ({})", rank,
                         step_of_action(program_.posted, rank, index),
                         to_string(schedule_.actions[index]));
    return fmt::format("rank {}, step {} ({})", rank,
                       step_of_transfer(program_.posted, rank, index),
                       to_string(transfers_[index], schedule_.placement));
  }

 private:
  static constexpr Node kNone = ~Node{0};

  std::size_t actions() const { return schedule_.actions.size(); }
  Node started(std::size_t transfer) const { return static_cast<Node>(actions() + 2 * transfer); }
  Node through(std::size_t transfer) const { return started(transfer) + 1; }

  /// Where each action stands, and which one comes before each instruction on its stream.
  void find_instructions() {
    instruction_of_action_.resize(actions());
    action_before_.assign(program_.instructions.size(), kNone);
    for (InstructionId id = 0; id < program_.instructions.size(); ++id) {
      const Instruction& instruction = program_.instructions[id];
      if (!instruction.is_first_of_stream)
        action_before_[id] = program_.is_action(id - 1) ? program_.instructions[id - 1].first
                                                        : action_before_[id - 1];
      if (program_.is_action(id))
        instruction_of_action_[instruction.first] = id;
    }
  }

  void end_row() { first_.push_back(static_cast<std::uint32_t>(waits_.size())); }
  void add(Node node, Reason reason) { waits_.push_back({node, reason}); }

  void add_action(std::size_t action) {
    end_row();
    add_reasons(instruction_of_action_[action], Reason::Input, Reason::Needs);
  }

  /// Why an action cannot start yet: the one before it, and its inputs, local and received.
  void add_reasons(InstructionId action, Reason local, Reason received) {
    if (action_before_[action] != kNone)
      add(action_before_[action], Reason::After);
    for (const Wait& wait : program_.waits_of(action))
      if (program_.is_action(wait.instruction))
        add(program_.instructions[wait.instruction].first, local);
      else
        add_all(wait.instruction, received);
    for (InstructionId id = action;
         !program_.instructions[id].is_first_of_stream && !program_.is_action(id - 1); --id)
      add_all(id - 1, received);
  }

  /// All transfers of an instruction have to be through; of an eager program, the inputs that are
  /// received have to be made.
  void add_all(InstructionId transfers, Reason reason) {
    for (TransferId i = program_.instructions[transfers].first;
         i < program_.end_of_transfers(transfers); ++i)
      if (!program_.is_eager)
        add(through(i), reason);
      else if (!transfers_[i].is_send)
        add(action_before_[program_.instruction_of_transfer[program_.other_end(i)]], Reason::Input);
  }

  void add_transfer(TransferId transfer) {
    end_row();
    if (program_.is_eager)
      return end_row();  // it is where its action is
    const InstructionId id = program_.instruction_of_transfer[transfer];
    if (transfers_[transfer].joins_batch)  // it starts with the one before
      add(started(transfer - 1), Reason::Start);
    else
      add_start(id);
    end_row();
    add(started(transfer), Reason::Start);
    add(started(program_.other_end(transfer)), Reason::Peer);
  }

  void add_start(InstructionId id) {
    for (const Wait& wait : program_.waits_of(id))
      if (wait.moment == Wait::For::Start)
        add_reasons(wait.instruction, Reason::Early, Reason::Early);
      else
        add(program_.instructions[wait.instruction].first, Reason::After);
    if (action_before_[id] != kNone)
      add(action_before_[id], Reason::After);
    if (!program_.instructions[id].is_first_of_stream && !program_.is_action(id - 1))
      add_all(id - 1, Reason::Behind);
  }

  const Program& program_;
  const Schedule& schedule_;
  const Transfers& transfers_;
  std::vector<InstructionId> instruction_of_action_ = {};
  std::vector<Node> action_before_ = {};  // [instruction] on its stream
  std::vector<Need> waits_ = {};
  std::vector<std::uint32_t> first_ = {};  // [nodes + 1]
};

/// [node] Whether it can never be: what nothing waits for any more is taken away, again and again.
std::vector<bool> stuck_nodes(const WaitGraph& graph) {
  std::vector<std::uint32_t> first(graph.size() + std::size_t{1});
  for (Node node = 0; node < graph.size(); ++node)
    for (const Need& wait : graph.waits(node))
      ++first[wait.node + 1];
  for (Node node = 0; node < graph.size(); ++node)
    first[node + 1] += first[node];
  std::vector<std::uint32_t> next(first.begin(), first.end() - 1);
  std::vector<Node> waiting(first.back());
  std::vector<std::uint32_t> unmet(graph.size());
  std::vector<Node> done;
  for (Node node = 0; node < graph.size(); ++node) {
    for (const Need& wait : graph.waits(node))
      waiting[next[wait.node]++] = node;
    unmet[node] = static_cast<std::uint32_t>(graph.waits(node).size());
    if (unmet[node] == 0)
      done.push_back(node);
  }
  std::vector<bool> stuck(graph.size(), true);
  while (!done.empty()) {
    const Node node = done.back();
    done.pop_back();
    stuck[node] = false;
    for (std::uint32_t i = first[node]; i < first[node + 1]; ++i)
      if (--unmet[waiting[i]] == 0)
        done.push_back(waiting[i]);
  }
  return stuck;
}

/// A run that has stopped, and its stuck instructions.
struct StoppedRun {
  const WaitGraph& graph;
  std::vector<bool> stuck;  ///< [node] as `stuck_nodes` tells

  /// Visits what `node` waits for, if the run has come to it; else what comes before it on its
  /// rank.
  template <typename Visitor>
  void for_each_wait(Node node, Visitor&& visit) const {
    const auto is_before = [&](const Need& wait) {
      return stuck[wait.node] && (wait.reason == Reason::After || wait.reason == Reason::Start);
    };
    const bool is_reached = std::ranges::none_of(graph.waits(node), is_before);
    for (const Need& wait : graph.waits(node))
      if (is_reached ? stuck[wait.node] : is_before(wait))
        visit(wait);
  }
};

/// [node] The strong component: every circle lies within one.
std::vector<std::uint32_t> components(const StoppedRun& run) {
  std::vector<std::pair<Node, Node>> edges;
  for (Node node = 0; node < run.graph.size(); ++node)
    run.for_each_wait(node, [&](const Need& wait) { edges.emplace_back(node, wait.node); });
  const boost::compressed_sparse_row_graph<> csr(boost::edges_are_sorted, edges.begin(),
                                                 edges.end(), run.graph.size());
  std::vector<std::uint32_t> component(run.graph.size());
  boost::strong_components(
      csr, boost::make_iterator_property_map(component.begin(), get(boost::vertex_index, csr)));
  return component;
}

/// One step of a circle: who waits, and for what.
struct Arc {
  Node node;
  Need wait;
};

/// Searches circles by breadth: a wait counts one, what is a rank's own order counts nothing.
class CircleSearch {
 public:
  explicit CircleSearch(const StoppedRun& run)
      : run_(run),
        component_(components(run)),
        distance_(component_.size()),
        from_(component_.size()) {}

  /// A shortest circle.
  std::vector<Arc> shortest() {
    std::uint32_t best_waits = std::numeric_limits<std::uint32_t>::max();
    for (Node start = 0; start < run_.graph.size() && may_go_on(); ++start) {
      const auto waits = search(start, best_waits);
      if (waits < best_waits)
        best_ = path(start);
      best_waits = waits;
    }
    return best_;
  }

 private:
  /// The search for a shorter circle ends at some time, that for the first one does not.
  bool may_go_on() const { return best_.empty() || work_ < kMostWork; }

  static constexpr std::size_t kMostWork = 20'000'000;  // node visits: about a second

  /// The fewest waits, below `limit`, that lead from `start` back to it; else `limit`.
  std::uint32_t search(Node start, std::uint32_t limit) {
    for (const Node node : touched_)
      distance_[node] = 0;
    touched_.clear();
    std::deque<Node> queue = {start};
    const auto reach = [&](Node node, const Need& wait) {
      const std::uint32_t waits =
          (node == start ? 0 : distance_[node] - 1) + (is_wait(wait.reason) ? 1 : 0);
      if (component_[wait.node] != component_[start] || waits >= limit)
        return;
      if (wait.node == start) {
        limit = waits;
        last_ = {node, wait};
      } else if (distance_[wait.node] == 0 || waits + 1 < distance_[wait.node]) {
        distance_[wait.node] = waits + 1;
        from_[wait.node] = {node, wait};
        touched_.push_back(wait.node);
        is_wait(wait.reason) ? queue.push_back(wait.node) : queue.push_front(wait.node);
      }
    };
    for (; !queue.empty() && may_go_on(); ++work_) {
      const Node node = queue.front();
      queue.pop_front();
      run_.for_each_wait(node, [&](const Need& wait) { reach(node, wait); });
    }
    return limit;
  }

  std::vector<Arc> path(Node start) const {
    std::vector<Arc> arcs = {last_};
    while (arcs.back().node != start)
      arcs.push_back(from_[arcs.back().node]);
    std::reverse(arcs.begin(), arcs.end());
    return arcs;
  }

  const StoppedRun& run_;
  std::vector<std::uint32_t> component_;
  std::vector<std::uint32_t> distance_;  // [node] waits from the start, plus one; 0: not reached
  std::vector<Arc> from_;                // [node] how the search came to it
  std::vector<Node> touched_;
  Arc last_{};  // closes the circle
  std::vector<Arc> best_;
  std::size_t work_ = 0;
};

/// Leaves out what goes without saying: that a transfer that is through has started, what lies
/// between two places of one order, and the receive through which an action gets its input.
std::vector<Arc> told(std::vector<Arc> circle) {
  std::erase_if(circle, [](const Arc& arc) { return arc.wait.reason == Reason::Start; });
  const auto first_wait = std::find_if(circle.begin(), circle.end(),
                                       [](const Arc& arc) { return is_wait(arc.wait.reason); });
  if (first_wait != circle.end())  // else one rank waits for itself, in an unsound program
    std::rotate(circle.begin(), first_wait + 1, circle.end());  // ends with a wait
  std::vector<Arc> arcs;
  for (const Arc& arc : circle) {
    const Reason reason = arc.wait.reason;
    const bool goes_on = !arcs.empty() && arcs.back().wait.reason == reason && !is_wait(reason);
    const bool receives =
        !arcs.empty() && arcs.back().wait.reason == Reason::Needs && reason == Reason::Peer;
    if (goes_on || receives)
      arcs.back().wait = arc.wait;
    else
      arcs.push_back(arc);
  }
  // Begins with a wait: that of an action, or else a transfer, of the lowest rank.
  const auto first = std::min_element(arcs.begin(), arcs.end(), [](const Arc& a, const Arc& b) {
    return std::pair(!is_wait(a.wait.reason), a.node) < std::pair(!is_wait(b.wait.reason), b.node);
  });
  std::rotate(arcs.begin(), first, arcs.end());
  return arcs;
}

std::string_view words(Reason reason) {
  switch (reason) {
    case Reason::After:
      return "comes after";
    case Reason::Behind:
      return "stands behind";
    case Reason::Needs:
      return "needs";
    case Reason::Early:
      return "is posted with an action that waits for";
    default:
      return "waits for";
  }
}

}  // namespace

bool can_run(const Program& program) {
  const std::vector<bool> stuck = stuck_nodes(WaitGraph(program));
  return std::find(stuck.begin(), stuck.end(), true) == stuck.end();
}

std::string describe_deadlock(const Program& program) {
  const WaitGraph graph(program);
  const std::vector<Arc> arcs = told(CircleSearch({graph, stuck_nodes(graph)}).shortest());
  const bool is_of_ranks =
      std::ranges::any_of(arcs, [](const Arc& arc) { return is_wait(arc.wait.reason); });
  std::string text = is_of_ranks ? "ranks wait for one another in a circle:\n  "
                                 : "a rank waits for what it does later itself:\n  ";
  text += graph.name(arcs.front().node);
  for (const Arc& arc : arcs)
    text += fmt::format("{} {} {}", &arc == arcs.data() ? "" : ",\n  which", words(arc.wait.reason),
                        graph.name(arc.wait.node));
  return text;
}

}  // namespace bubblescope
