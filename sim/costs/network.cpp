#include "sim/costs/network.h"

#include <algorithm>

#include <fmt/format.h>

namespace bubblescope {
namespace {

LinkId link_of(std::int32_t node, LinkKind kind) {
  return static_cast<LinkId>(node) * kLinkKinds + static_cast<LinkId>(kind);
}

/// The lower of two rates of which 0 is unlimited.
double lower(double a, double b) {
  return a == 0 || b == 0 ? std::max(a, b) : std::min(a, b);
}

}  // namespace

std::string link_name(LinkId link) {
  constexpr const char* kNames[] = {"NVLink", "NIC out", "NIC in"};
  return fmt::format("node {} {}", link / kLinkKinds, kNames[link % kLinkKinds]);
}

double Network::capacity(LinkId link) const {
  const bool is_intra = static_cast<LinkKind>(link % kLinkKinds) == LinkKind::NvLink;
  return (is_intra ? intra_node : inter_node).shared_bytes_per_second;
}

Route Network::route(Rank from, Rank to) const {
  const bool is_intra = node(from) == node(to);
  const NetworkLink& link = is_intra ? intra_node : inter_node;
  Route route{.alone = link.message, .bytes_per_second = link.message.bytes_per_second};
  route.alone.bytes_per_second = lower(route.bytes_per_second, link.shared_bytes_per_second);
  if (link.shared_bytes_per_second == 0)
    return route;
  if (is_intra)
    route.links[0] = link_of(node(from), LinkKind::NvLink);
  else
    route.links = {link_of(node(from), LinkKind::NicOut), link_of(node(to), LinkKind::NicIn)};
  return route;
}

std::vector<double> Network::capacities(int ranks) const {
  std::int32_t nodes = 0;
  for (Rank rank = 0; rank < ranks; ++rank)
    nodes = std::max(nodes, node(rank) + 1);
  std::vector<double> result(static_cast<std::size_t>(nodes) * kLinkKinds);
  for (LinkId link = 0; link < result.size(); ++link)
    result[link] = capacity(link);
  return result;
}

std::optional<std::string> find_network_fault(const Network& network, int ranks) {
  const auto placed = network.node_of_rank.size();
  if (placed > 0 && placed != static_cast<std::size_t>(ranks))
    return fmt::format("places {} ranks on nodes, and the schedule has {}", placed, ranks);
  return std::nullopt;
}

}  // namespace bubblescope
