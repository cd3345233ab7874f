// Options that put ranks on nodes and let their messages share links.
#pragma once

#include <optional>

#include <CLI/CLI.hpp>

#include "sim/costs/network.h"
#include "sim/transformer/analytic_costs.h"
#include "tools/options/option.h"

namespace bubblescope {

struct NetworkOptions {
  Nodes nodes = {};
  std::optional<Time> inter_p2p = {};
  std::optional<double> inter_bandwidth = {};
  OptionGroup given;          ///< All of them.
  OptionGroup between_nodes;  ///< A model's hardware tells these two instead.

  void add_to(CLI::App& app);
  /// Whether bytes take time between nodes or on links that are shared.
  bool has_rate() const { return inter_bandwidth || nodes.nic > 0 || nodes.nvlink > 0; }
  /// For costs by hand, where a message within a node takes `within`; none where ranks are not put
  /// on nodes. Throws UsageError.
  std::optional<Network> by_hand(const Link& within) const;
};

}  // namespace bubblescope
