// Which ranks are on one node, and which links their messages share.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/types.h"

namespace bubblescope {

/// A message takes latency + bytes / bandwidth.
struct Link {
  Time latency{};
  double bytes_per_second = 0;  ///< 0: unlimited.
};

/// What messages of one kind travel on: each by itself, and all of a node together.
struct NetworkLink {
  Link message = {};                   ///< Of one message, however free the links are.
  double shared_bytes_per_second = 0;  ///< What those of a node divide; 0: nothing is shared.
};

/// Links that messages share, by number: 3 · node + kind.
using LinkId = std::uint32_t;
constexpr LinkId kNoLink = ~LinkId{0};
enum class LinkKind : std::uint8_t {
  NvLink,  ///< The NVLink domain of a node: messages within it, both ways together.
  NicOut,  ///< The NIC of a node: messages to other nodes.
  NicIn,   ///< The same NIC, messages from other nodes.
};
constexpr std::uint32_t kLinkKinds = 3;
/// "node 0 NVLink", "node 0 NIC out", "node 0 NIC in"
std::string link_name(LinkId link);

/// Which way a message goes from one rank to another.
struct Route {
  Link alone = {};                                ///< What it takes where nothing contends.
  double bytes_per_second = 0;                    ///< The most it takes by itself; 0: unlimited.
  std::array<LinkId, 2> links{kNoLink, kNoLink};  ///< Shared ones that it crosses, at the front.

  bool is_shared() const { return links[0] != kNoLink; }
};

struct Network {
  std::vector<std::int32_t> node_of_rank = {};  ///< Empty: each has `ranks_per_node`, in turn.
  int ranks_per_node = 1;
  NetworkLink intra_node = {};
  NetworkLink inter_node = {};

  std::int32_t node(Rank rank) const {
    return node_of_rank.empty() ? rank / ranks_per_node
                                : node_of_rank[static_cast<std::size_t>(rank)];
  }
  /// Whether messages can contend at all.
  bool is_shared() const {
    return intra_node.shared_bytes_per_second > 0 || inter_node.shared_bytes_per_second > 0;
  }
  /// Bytes per second; 0: the link is not shared.
  double capacity(LinkId link) const;
  Route route(Rank from, Rank to) const;
  /// [LinkId] of the nodes of ranks 0 … ranks−1.
  std::vector<double> capacities(int ranks) const;
};

/// Why the first `ranks` ranks are not placed on nodes; none where they are.
std::optional<std::string> find_network_fault(const Network& network, int ranks);

}  // namespace bubblescope
