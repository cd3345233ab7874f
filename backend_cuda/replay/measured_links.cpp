#include "backend_cuda/replay/measured_links.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "backend_cuda/replay/executor.h"
#include "sim/base/statistics.h"

namespace bubblescope {
namespace {

double nanoseconds(const MeasuredLink::Sample& sample) {
  return static_cast<double>(std::max(sample.time, Time(1)).count());
}

/// ns by bytes, with the least relative errors; neither falls nor begins below 0.
FittedLine time_by_bytes(const std::vector<MeasuredLink::Sample>& samples) {
  std::vector<DataPoint> points;
  for (const MeasuredLink::Sample& each : samples) {
    const double time = nanoseconds(each);
    points.push_back(
        {.x = static_cast<double>(each.bytes), .y = time, .weight = 1 / (time * time)});
  }
  FittedLine line = fit_line(points);
  line.slope = std::max(line.slope, 0.0);
  if (line.at(0) >= 0)
    return line;
  double xx = 0;
  double xy = 0;
  for (const DataPoint& each : points) {
    xx += each.weight * each.x * each.x;
    xy += each.weight * each.x * each.y;
  }
  return {.slope = xy / xx};
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
  const FittedLine line = time_by_bytes(samples);
  MeasuredLink result{.samples = std::move(samples)};
  result.link.latency = Time(std::llround(line.at(0)));
  result.link.bytes_per_second = line.slope > 0 ? 1e9 / line.slope : 0;
  for (const MeasuredLink::Sample& each : result.samples) {
    const double fitted = line.at(static_cast<double>(each.bytes));
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
