#include "backend_cuda/replay/link_benchmarks.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "backend_cuda/replay/benchmark.h"

namespace bubblescope {
namespace {

/// Bytes: from what is nothing but latency to what is nothing but bandwidth.
constexpr Bytes kMessages[] = {1 << 12, 1 << 14, 1 << 16, 1 << 18,
                               1 << 20, 1 << 22, 1 << 24, 1 << 26};
constexpr Bytes kAllToAlls[] = {1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26};
constexpr int kCtas[] = {4, 8, 16, 32};

/// What messages of a chain take, apart for those within a node and those across.
class MessageTimes {
 public:
  explicit MessageTimes(const std::vector<std::int32_t>& node_of_rank) : node_(node_of_rank) {}

  void add(const Benchmark& chain, Bytes bytes) {
    const Plan& plan = chain.plan();
    for (const Replay& run : chain.runs())
      for (MessageId id = 0; id < plan.messages.size(); ++id)
        times_[{are_near(plan.messages[id]), bytes}].add(run.times.messages[id].length());
  }

  /// Nothing where no messages go that way. A message that took no time was too short for the
  /// clocks of its two processes.
  std::optional<MeasuredLink> link(bool near) const {
    std::vector<MeasuredLink::Sample> samples;
    for (const auto& [key, sample] : times_)
      if (const Time time = sample.median(); key.first == near && time > Time::zero())
        samples.push_back({key.second, time});
    return samples.empty() ? std::nullopt : std::optional(fit_link(std::move(samples)));
  }

 private:
  bool are_near(const PlanMessage& message) const {
    return node_[static_cast<std::size_t>(message.from)] ==
           node_[static_cast<std::size_t>(message.to)];
  }

  const std::vector<std::int32_t>& node_;
  std::map<std::pair<bool, Bytes>, Sample> times_ = {};
};

/// Stages whose F is two all-to-alls, as to experts and back, and nothing else.
CostSource all_to_all_costs(const Calibration& calibration, const Profile& profile, Bytes bytes) {
  CostSource costs = benchmark_costs(calibration, profile);
  const PhaseTime time = {.elapsed = calibration.action, .busy = calibration.action};
  LayerPhases& phases = costs.stages.front().phases;
  for (const char* name : {"dispatch(F)", "combine(F)"}) {
    phases.phases.push_back(
        {.name = name, .of = OpKind::Forward, .stream = PhaseStream::Expert, .sent = bytes});
    phases.times.push_back(time);
  }
  return costs;
}

}  // namespace

MeasuredLinks measure_links(const ExecutorMaker& make_executor, const Calibration& calibration,
                            Profile& profile) {
  const BenchmarkShape once{calibration.ranks, 1};
  ExecutorOptions options = calibration.options;
  options.workload = Workload::Timed;  // tensors carry activations, however short a message is
  MeasuredLinks links{.node_of_rank = calibration.node_of_rank, .replicas = calibration.replicas};
  MessageTimes times(calibration.node_of_rank);
  for (const Bytes bytes : kMessages) {
    CostSource costs = benchmark_costs(calibration, profile);
    costs.stages.front().message = bytes;
    BenchmarkGroup group(make_executor, calibration);
    const Benchmark& benchmark =
        group.add(chain(once, OpKind::Backward), Comm::Stream, costs, options);
    group.run(profile);
    times.add(benchmark, bytes);
  }
  links.same_node = times.link(true);
  links.across = times.link(false);
  if (calibration.replicas == 1)
    return links;
  std::vector<MeasuredLink::Sample> samples;
  for (const Bytes bytes : kAllToAlls) {
    BenchmarkGroup group(make_executor, calibration);
    const Benchmark& benchmark = group.add(chain(once, OpKind::Backward), Comm::Stream,
                                           all_to_all_costs(calibration, profile, bytes), options);
    group.run(profile);
    samples.push_back({bytes, benchmark.op_time(OpKind::Forward, Position::Middle) / 2});
  }
  links.all_to_all = fit_link(std::move(samples));
  return links;
}

std::vector<Contention> measure_contention(const ExecutorMaker& make_executor,
                                           const Calibration& calibration, Profile& profile) {
  const MeasuredLinks& links = *profile.links;
  const Link& slowest = links.across ? links.across->link : links.same_node->link;
  const auto measure = [&](int max_ctas) {
    ExecutorOptions options = calibration.options;
    options.max_ctas = max_ctas;
    const auto forward = [&](Schedule schedule, Comm comm, Bytes message) {
      CostSource costs = benchmark_costs(calibration, profile);
      costs.stages.front().message = message;
      BenchmarkGroup group(make_executor, calibration);
      const Benchmark& benchmark = group.add(std::move(schedule), comm, costs, options);
      group.run(profile);
      return benchmark.op_time(OpKind::Forward, Position::Middle);
    };
    // In a chain of batches an F waits for its batch, and nothing moves beside it.
    const Time alone = forward(chain({calibration.ranks, 1}, OpKind::Backward), Comm::Batched, 0);
    const auto seconds = static_cast<double>((alone - slowest.latency).count()) * 1e-9;
    const auto message = static_cast<Bytes>(seconds * slowest.bytes_per_second);
    const Time beside =
        forward(waves({calibration.ranks, 8}), Comm::Stream,
                std::clamp(message, std::begin(kMessages)[0], std::end(kMessages)[-1]));
    return Contention{max_ctas, std::max(1.0, static_cast<double>(beside.count()) /
                                                  static_cast<double>(alone.count()))};
  };
  std::vector<Contention> rows;
  if (calibration.options.max_ctas > 0)
    return {measure(calibration.options.max_ctas)};
  for (const int max_ctas : kCtas)
    rows.push_back(measure(max_ctas));
  return rows;
}

}  // namespace bubblescope
