// Options that put ranks on nodes and let their messages share links.
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>

#include "sim/costs/network.h"
#include "sim/transformer/analytic_costs.h"

namespace bubblescope {

struct NetworkOptions {
  std::string ranks_per_node, inter_p2p, inter_bandwidth, nic, nvlink;

  void add_to(CLI::App& app);
  /// Any of them.
  bool are_given() const { return !first_given().empty(); }
  /// The first option that is, "--nic"; empty where none is.
  std::string first_given() const;
  /// Whether bytes take time between nodes or on links that are shared.
  bool has_rate() const { return !(inter_bandwidth.empty() && nic.empty() && nvlink.empty()); }
  /// Of costs by hand, where a message within a node has `within`; none where ranks are not put on
  /// nodes. Throws UsageError.
  std::optional<Network> by_hand(const Link& within) const;
  /// Of costs from a model, whose hardware tells what a message takes. Throws UsageError.
  Nodes of_model() const;
};

}  // namespace bubblescope
