// What messages between processes were measured to take, and costs that say so.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sim/costs/cost_model.h"

namespace bubblescope {

/// What something that sends takes, by how much it sends.
struct MeasuredLink {
  struct Sample {
    Bytes bytes;
    Time time;
  };
  std::vector<Sample> samples = {};
  Link link = {};    ///< Fitted to them, as a summary: latency + bytes / bandwidth.
  double error = 0;  ///< How far a sample lies from that, at most, as a fraction of itself.
};

/// The line with the least squares of errors that are fractions of the samples, and no negative
/// latency or bandwidth. Throws DeviceError for fewer than two sizes.
MeasuredLink fit_link(std::vector<MeasuredLink::Sample> samples);

/// For what sends about so many bytes: the line through the samples of the sizes next to it. Below
/// the smallest size all takes what that one takes; without samples of two sizes, `measured.link`.
Link link_near(const MeasuredLink& measured, Bytes bytes);

/// Between processes, a rank each.
struct MeasuredLinks {
  std::vector<std::int32_t> node_of_rank = {};
  std::optional<MeasuredLink> same_node = {};  ///< A message between two ranks of one node.
  std::optional<MeasuredLink> across = {};     ///< Of two nodes.
  int replicas = 1;
  std::optional<MeasuredLink> all_to_all = {};  ///< Bytes from each replica to all others together.
};

/// Messages take what was measured of pairs of ranks such as theirs, by `link_near` where all
/// stages send as much, else by the line through all sizes; phases that tell what they send take
/// what was measured of all-to-alls. As many ranks as `node_of_rank` has.
void lay_links(const MeasuredLinks& links, CostSource& costs);

}  // namespace bubblescope
