#include "tools/options/network_options.h"

#include <fmt/format.h>

#include "tools/options/units.h"

namespace bubblescope {

void NetworkOptions::add_to(CLI::App& app) {
  const char* group = "Network";
  given.add(add_option(
      app,
      {"--ranks-per-node", "N",
       "nodes of N ranks: --p2p and --bandwidth are within one (default with --model: as many "
       "stages as a node has GPUs for)",
       group},
      nodes.ranks_per_node, count_from(1)));
  between_nodes.add(add_option(
      app, {"--inter-p2p", "TIME", "latency of a message between nodes (default: --p2p)", group},
      inter_p2p, read_time));
  between_nodes.add(add_option(
      app,
      {"--inter-bandwidth", "RATE", "of a message between nodes (default: --bandwidth)", group},
      inter_bandwidth, read_rate));
  given.add(between_nodes);
  given.add(add_option(
      app,
      {"--nic", "RATE",
       "what the messages of a node to others divide, and those from others (default: unlimited)",
       group},
      nodes.nic, read_rate));
  given.add(add_option(
      app,
      {"--nvlink", "RATE", "what the messages within a node divide (default: unlimited)", group},
      nodes.nvlink, read_rate));
}

std::optional<Network> NetworkOptions::by_hand(const Link& within) const {
  if (!nodes.ranks_per_node && given.is_given())
    throw UsageError(
        fmt::format("{} needs --ranks-per-node: which ranks share a node", given.first_given()),
        {given.first_given()});
  if (!nodes.ranks_per_node)
    return std::nullopt;
  Network network{.ranks_per_node = *nodes.ranks_per_node,
                  .intra_node = {.message = within, .shared_bytes_per_second = nodes.nvlink},
                  .inter_node = {.message = within, .shared_bytes_per_second = nodes.nic}};
  network.inter_node.message.latency = inter_p2p.value_or(within.latency);
  network.inter_node.message.bytes_per_second = inter_bandwidth.value_or(within.bytes_per_second);
  return network;
}

}  // namespace bubblescope
