// Whether work stays on the SMs of its green context.
#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <set>
#include <stdexcept>

#include <fmt/format.h>

#include "backend_cuda/cuda/green_context.h"
#include "tests/gpu/probe/device.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::steady_clock;

using Sms = std::set<unsigned int>;

/// "0-3,8,10"
std::string list(const Sms& sms) {
  std::string text;
  for (auto first = sms.begin(); first != sms.end();) {
    auto last = first;
    while (std::next(last) != sms.end() && *std::next(last) == *last + 1)
      ++last;
    text += fmt::format("{}{}", text.empty() ? "" : ",", *first);
    if (last != first)
      text += fmt::format("-{}", *last);
    first = std::next(last);
  }
  return text;
}

/// Kernels that have far more blocks than there are SMs, one in each partition, and where they ran.
class Survey {
 public:
  Survey(const Device& device, const std::vector<Partition>& partitions)
      : partitions_(partitions),
        blocks_(4 * std::size_t{device.sm_count}),
        stamps_(partitions.size() * blocks_) {}

  /// [partition] The SMs of the kernels in the partitions' streams, one after the other or all at
  /// once.
  std::vector<Sms> run_kernels(bool together) {
    stamps_.fill(0);
    for (std::size_t i = 0; i < partitions_.size(); ++i) {
      enqueue(i);
      if (!together)
        synchronize();
    }
    return where();
  }

  /// Each kernel is a graph captured in its partition's stream, launched there or in a plain one.
  std::vector<Sms> run_graphs(bool in_own_stream) {
    stamps_.fill(0);
    for (std::size_t i = 0; i < partitions_.size(); ++i) {
      const cudaStream_t own = partitions_[i].stream();
      const Graph graph = capture(own, [&] { enqueue(i); });
      BUBBLESCOPE_CHECK(cudaGraphLaunch(graph.get(), in_own_stream ? own : plain_stream_.get()));
      synchronize();
    }
    return where();
  }

  std::vector<Sms> run_fork();

  /// Whether the events that ordered the fork had to be made in the green context.
  bool needs_own_events() const { return needs_own_events_; }

 private:
  /// Launches, or captures, partition i's kernel.
  void enqueue(std::size_t i) const {
    constexpr std::chrono::nanoseconds kSpin = std::chrono::microseconds(20);
    BUBBLESCOPE_CHECK(launch_spin(stamps_.data() + i * blocks_, kSpin.count(),
                                  static_cast<unsigned int>(blocks_), partitions_[i].stream()));
  }

  void synchronize() const {
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(plain_stream_.get()));
    for (const Partition& partition : partitions_)
      BUBBLESCOPE_CHECK(cudaStreamSynchronize(partition.stream()));
  }

  std::vector<Sms> where() const;
  Event recordable_event(const Partition& partition);

  const std::vector<Partition>& partitions_;
  std::size_t blocks_;
  DeviceBuffer<BlockStamp> stamps_;
  Stream plain_stream_ = make_stream();
  Event fork_ = make_event();
  bool needs_own_events_ = false;
};

std::vector<Sms> Survey::where() const {
  synchronize();
  const std::vector<BlockStamp> stamps = stamps_.download();
  std::vector<Sms> seen(partitions_.size());
  for (std::size_t i = 0; i < stamps.size(); ++i) {
    if (stamps[i].end == 0)
      throw std::runtime_error("a kernel in a partition did not run");
    seen[i / blocks_].insert(stamps[i].sm);
  }
  return seen;
}

/// One graph, captured from a plain stream, forks into every partition and joins again.
std::vector<Sms> Survey::run_fork() {
  stamps_.fill(0);
  std::vector<Event> joins;
  for (const Partition& partition : partitions_)
    joins.push_back(recordable_event(partition));
  const Graph graph = capture(plain_stream_.get(), [&] {
    BUBBLESCOPE_CHECK(cudaEventRecord(fork_.get(), plain_stream_.get()));
    for (std::size_t i = 0; i < partitions_.size(); ++i) {
      BUBBLESCOPE_CHECK(cudaStreamWaitEvent(partitions_[i].stream(), fork_.get()));
      enqueue(i);
      BUBBLESCOPE_CHECK(cudaEventRecord(joins[i].get(), partitions_[i].stream()));
      BUBBLESCOPE_CHECK(cudaStreamWaitEvent(plain_stream_.get(), joins[i].get()));
    }
  });
  BUBBLESCOPE_CHECK(cudaGraphLaunch(graph.get(), plain_stream_.get()));
  return where();
}

/// An event of the primary context if the partition's stream takes it, else one of its own.
Event Survey::recordable_event(const Partition& partition) {
  Event event = make_event();
  try {
    BUBBLESCOPE_CHECK(cudaEventRecord(event.get(), partition.stream()));
    return event;
  } catch (const CudaError&) {
    needs_own_events_ = true;
    return partition.make_own_event();
  }
}

/// Whether no partition's kernel ran on more SMs than the partition has, or on another's SMs.
std::string judge_alone(const std::vector<Sms>& seen, const std::vector<Partition>& partitions) {
  int outside = 0;
  int shared = 0;
  Sms met;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    outside += seen[i].size() > partitions[i].sm_count() ? 1 : 0;
    for (const unsigned int sm : seen[i])
      shared += met.insert(sm).second ? 0 : 1;
  }
  return outside == 0 && shared == 0 ? "inside"
                                     : fmt::format("{} too wide, {} SMs shared", outside, shared);
}

/// Whether kernels kept to the SMs that they had when they ran alone.
std::string judge_against(const std::vector<Sms>& alone, const std::vector<Sms>& seen) {
  int outside = 0;
  for (std::size_t i = 0; i < seen.size(); ++i)
    outside +=
        std::includes(alone[i].begin(), alone[i].end(), seen[i].begin(), seen[i].end()) ? 0 : 1;
  return outside == 0 ? "inside" : fmt::format("{} of {} outside", outside, seen.size());
}

/// Splits once, makes every partition and runs kernels and graphs in them.
void survey(const GreenDriver& driver, const Device& device, const SplitWish& wish, Table& splits,
            Table& sms) {
  const SmSplit split = split_sms(driver, device.ordinal, wish);
#if CUDA_VERSION >= 13000
  if (splits.rows.empty())
    splits.notes.push_back(
        fmt::format("the driver asks for groups of at least {} SMs, in multiples of {}",
                    split.all.sm.minSmPartitionSize, split.all.sm.smCoscheduledAlignment));
#endif
  const auto begin = steady_clock::now();
  std::vector<Partition> partitions;
  for (const CUdevResource& group : split.groups)
    partitions.emplace_back(driver, device.ordinal, group);
  if (split.has_rest())
    partitions.emplace_back(driver, device.ordinal, split.rest);
  const std::chrono::duration<double, std::milli> creating = steady_clock::now() - begin;
  Survey survey(device, partitions);
  const std::vector<Sms> alone = survey.run_kernels(false);
  const auto inside = [&](const std::function<std::vector<Sms>()>& run) -> std::string {
    try {
      return judge_against(alone, run());
    } catch (const std::runtime_error& error) {
      splits.notes.emplace_back(error.what());
      return dynamic_cast<const NotSupported*>(&error) != nullptr ? "not supported" : "failed";
    }
  };
  const ordered_json asked = {
      {"asked", wish.group_sms},
      {"coscheduled", (wish.flags & CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING) == 0}};
  ordered_json row = asked;
  row["groups"] = split.groups.size();
  row["sms_each"] = partitions.at(0).sm_count();
  row["rest"] = split.has_rest() ? split.rest.sm.smCount : 0;
  row["create_ms"] = rounded(creating.count() / static_cast<double>(partitions.size()));
  row["alone"] = judge_alone(alone, partitions);
  row["together"] = inside([&] { return survey.run_kernels(true); });
  row["graph_in_own_stream"] = inside([&] { return survey.run_graphs(true); });
  row["graph_in_plain_stream"] = inside([&] { return survey.run_graphs(false); });
  row["graph_fork"] = inside([&] { return survey.run_fork(); });
  row["own_events"] = survey.needs_own_events();
  splits.rows.push_back(row);
  for (std::size_t i = 0; i < partitions.size(); ++i) {
    ordered_json& each = sms.rows.emplace_back(asked);
    each["partition"] = i;
    each["sms"] = partitions[i].sm_count();
    each["seen"] = alone[i].size();
    each["ids"] = list(alone[i]);
  }
}

}  // namespace

std::vector<Table> measure_partitions(const Device& device) {
  const GreenDriver driver;
  constexpr unsigned int kFine = CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING;
  Table splits{.name = "partitions",
               .title = "green contexts: one split, and whether work stays in its partition",
               .notes = {"alone, together: kernels in the partitions' streams; graph_fork: one "
                         "graph over all partitions, launched in a plain stream; own_events: "
                         "whether an event must be made in the green context to be recorded"}};
  Table sms{.name = "partition_sms",
            .title = "green contexts: the SMs (%smid) that kernels ran on when alone"};
  for (const SplitWish& wish : {SplitWish{8}, SplitWish{16}, SplitWish{24}, SplitWish{32},
                                SplitWish{64}, SplitWish{8, kFine}, SplitWish{20, kFine}}) {
    if (wish.group_sms > device.sm_count)
      continue;
    try {
      survey(driver, device, wish, splits, sms);
    } catch (const std::runtime_error& error) {
      splits.notes.push_back(fmt::format("groups of {}: {}", wish.group_sms, error.what()));
    }
  }
  return {splits, sms};
}

}  // namespace bubblescope::gpu
