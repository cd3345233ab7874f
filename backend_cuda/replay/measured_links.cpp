#include "backend_cuda/replay/measured_links.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/replay/executor.h"
#include "sim/error.h"

namespace bubblescope {
namespace {

double nanoseconds(const MeasuredLink::Sample& sample) {
  return static_cast<double>(std::max(sample.time, Time(1)).count());
}

/// t = latency + per_byte · bytes, in ns.
struct Line {
  double latency;
  double per_byte;
};

/// Sums over samples, weighted by 1 / t², of 1, b, b², t and b·t.
Line least_squares(const std::vector<MeasuredLink::Sample>& samples) {
  double one = 0, b = 0, bb = 0, t = 0, bt = 0;
  for (const MeasuredLink::Sample& each : samples) {
    const auto bytes = static_cast<double>(each.bytes);
    const double time = nanoseconds(each);
    const double weight = 1 / (time * time);
    one += weight;
    b += weight * bytes;
    bb += weight * bytes * bytes;
    t += weight * time;
    bt += weight * bytes * time;
  }
  const double per_byte = (one * bt - b * t) / (one * bb - b * b);
  if (per_byte <= 0)
    return {t / one, 0};
  const double latency = (t - per_byte * b) / one;
  return latency < 0 ? Line{0, bt / bb} : Line{latency, per_byte};
}

/// Of phases that tell what they send, in every layer that has them.
void lay_all_to_alls(const MeasuredLink& measured, LayerPhases& stage) {
  for (std::size_t layer = 0; layer < stage.layers(); ++layer)
    for (std::size_t i = 0; i < stage.phases.size(); ++i) {
      PhaseTime& time = stage.times[layer * stage.phases.size() + i];
      const Bytes sent = stage.phases[i].sent;
      if (sent > 0 && time.elapsed > Time::zero())
        time.elapsed = time.busy = message_time(link_near(measured, sent), sent);
    }
}

}  // namespace

MeasuredLink fit_link(std::vector<MeasuredLink::Sample> samples) {
  std::set<Bytes> sizes;
  for (const MeasuredLink::Sample& each : samples)
    sizes.insert(each.bytes);
  if (sizes.size() < 2)
    throw DeviceError("messages of two sizes at least are needed to tell latency from bandwidth");
  const Line line = least_squares(samples);
  MeasuredLink result{.samples = std::move(samples)};
  result.link.latency = Time(std::llround(line.latency));
  result.link.bytes_per_second = line.per_byte > 0 ? 1e9 / line.per_byte : 0;
  for (const MeasuredLink::Sample& each : result.samples) {
    const double fitted = line.latency + line.per_byte * static_cast<double>(each.bytes);
    result.error = std::max(result.error, std::abs(fitted - nanoseconds(each)) / nanoseconds(each));
  }
  return result;
}

Link link_near(const MeasuredLink& measured, Bytes bytes) {
  std::map<Bytes, Time> times;
  for (const MeasuredLink::Sample& each : measured.samples)
    times[each.bytes] = each.time;
  if (times.size() < 2)
    return measured.link;
  auto above = times.upper_bound(bytes);
  if (above == times.begin())
    return {above->second, 0};
  if (above == times.end())
    --above;
  const auto [b0, t0] = *std::prev(above);
  const auto [b1, t1] = *above;
  if (t1 <= t0)
    return {bytes < b1 ? t0 : t1, 0};
  const double per_byte = static_cast<double>((t1 - t0).count()) / static_cast<double>(b1 - b0);
  const double latency = static_cast<double>(t1.count()) - per_byte * static_cast<double>(b1);
  if (latency >= 0)
    return {Time(std::llround(latency)), 1e9 / per_byte};
  const double time = latency + per_byte * static_cast<double>(bytes);
  return {Time::zero(), 1e9 * static_cast<double>(bytes) / time};
}

void lay_links(const MeasuredLinks& links, CostSource& costs) {
  std::set<Bytes> sizes;
  for (const StageCost& stage : costs.stages)
    sizes.insert(stage.message);
  const auto link = [&](const MeasuredLink& measured) {
    return sizes.size() == 1 ? link_near(measured, *sizes.begin()) : measured.link;
  };
  const std::optional<MeasuredLink>& any = links.same_node ? links.same_node : links.across;
  if (any)
    costs.network = Network{.node_of_rank = links.node_of_rank,
                            .intra_node = {link(links.same_node.value_or(*any))},
                            .inter_node = {link(links.across.value_or(*any))}};
  if (links.all_to_all)
    for (StageCost& stage : costs.stages)
      lay_all_to_alls(*links.all_to_all, stage.phases);
}

}  // namespace bubblescope
