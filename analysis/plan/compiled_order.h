// A schedule that is simulated again and again under other costs: its graph as flat arrays in which
// costs are numbers of a table.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "analysis/figures/iteration.h"
#include "analysis/plan/split_costs.h"
#include "sim/program/posting.h"

namespace bubblescope {

/// A configuration comes to these figures.
struct PlanFigures {
  Time iteration_time{};  ///< The step's, where nothing comes after it.
  Time step_time{};
  Time busy{};  ///< Sum over ranks.
  double bubble_fraction = 0;
  Bytes peak_memory = 0;  ///< On the fullest rank.

  friend bool operator==(const PlanFigures&, const PlanFigures&) = default;
};

/// The order and waits of a posted program do not depend on costs, so its graph is built once. The
/// figures are those of `simulate` and `report`, which a test holds.
class CompiledOrder {
 public:
  /// Throws Error as `post_messages` and `build_graph` do.
  CompiledOrder(const CatalogueEntry& entry, Shape shape, Comm comm);
  explicit CompiledOrder(PostedProgram posted);

  const Placement& placement() const { return placement_; }
  int microbatches() const { return microbatches_; }
  std::size_t nodes() const { return cost_of_node_.size(); }

  /// Bytes of the fullest rank: no time is needed.
  Bytes peak_memory(const SplitCosts& costs) const;
  PlanFigures run(SplitCosts& costs, IterationOptions options) const;

 private:
  /// A rank may hold most at such a moment: by its stages, the activations that are
  /// whole and those between I and W.
  struct Held {
    std::vector<std::int32_t> whole = {};
    std::vector<std::int32_t> rest = {};
  };

  void number_nodes(const class DependencyGraph& graph);
  void number_edges(const DependencyGraph& graph);
  void find_held(const Schedule& schedule);
  std::vector<Time> cost_table(SplitCosts& costs) const;
  std::vector<Time> lag_table(const SplitCosts& costs) const;
  std::size_t position(Stage stage) const {
    return static_cast<std::size_t>(stage % placement_.depth);
  }

  Placement placement_;
  int microbatches_ = 0;
  bool has_lags_ = false;
  // Entries of the table of costs: ops by stage and kind, pairs, messages by the stage before.
  std::vector<std::pair<Stage, Stage>> pairs_ = {};
  std::vector<std::uint32_t> cost_of_node_ = {};         // [node]
  std::vector<std::uint32_t> first_edge_ = {};           // [node + 1]
  std::vector<std::uint32_t> producer_ = {};             // [edge]
  std::vector<std::uint32_t> lag_of_edge_ = {};          // [edge] the stage before + 1; 0: none
  std::vector<std::uint64_t> count_of_cost_ = {};        // [entry] how many actions have it
  std::vector<std::uint32_t> first_node_ = {};           // [rank]
  std::vector<std::uint32_t> last_node_ = {};            // [rank]
  std::vector<std::uint32_t> last_backward_ = {};        // [stage] its last W or B
  std::vector<std::vector<Stage>> stages_of_rank_ = {};  // [rank]
  std::vector<std::vector<Held>> held_ = {};             // [rank] none that another one contains
};

}  // namespace bubblescope
