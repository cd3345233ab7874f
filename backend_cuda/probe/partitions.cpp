#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iterator>
#include <set>
#include <stdexcept>
#include <string>

#include "backend_cuda/cuda/green_context.h"
#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/probe/measurements.h"
#include "backend_cuda/probe/probe_kernels.h"
#include "backend_cuda/probe/statistics.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

using Sms = std::set<unsigned int>;

/// "0-3,8,10"
std::string list(const Sms& sms) {
  std::string text;
  for (auto first = sms.begin(); first != sms.end();) {
    auto last = first;
    while (std::next(last) != sms.end() && *std::next(last) == *last + 1)
      ++last;
    text += (text.empty() ? "" : ",") + std::to_string(*first);
    if (last != first)
      text += "-" + std::to_string(*last);
    first = std::next(last);
  }
  return text;
}

/// Kernels that have far more blocks than there are SMs, one in each partition, and where they ran.
class Survey {
 public:
  Survey(const Device& device, const std::vector<Partition>& partitions)
      : partitions_(partitions),
        blocks_(kBlocksPerSm * device.sm_count),
        stamps_(partitions.size() * blocks_),
        plain_stream_(make_stream()),
        fork_(make_event()) {}

  /// Launches, or captures, partition i's kernel.
  void enqueue(std::size_t i) const {
    BUBBLESCOPE_CHECK(launch_spin({.stamps = stamps_.data() + i * blocks_,
                                   .nanoseconds = kSpin.count(),
                                   .blocks = static_cast<unsigned int>(blocks_)},
                                  partitions_[i].stream()));
  }

  std::vector<Sms> run_alone();
  std::vector<Sms> run_together();
  std::vector<Sms> run_graphs(bool in_own_stream);
  std::vector<Sms> run_fork();

  /// Whether the events that ordered the fork had to be made in the green context.
  bool needs_own_events() const { return needs_own_events_; }

 private:
  static constexpr std::size_t kBlocksPerSm = 4;
  static constexpr nanoseconds kSpin = microseconds(20);

  void synchronize() const;
  std::vector<Sms> where() const;
  Event recordable_event(const Partition& partition);

  const std::vector<Partition>& partitions_;
  std::size_t blocks_;
  DeviceBuffer<BlockStamp> stamps_;
  Stream plain_stream_;
  Event fork_;
  bool needs_own_events_ = false;
};

void Survey::synchronize() const {
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(plain_stream_.get()));
  for (const Partition& partition : partitions_)
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(partition.stream()));
}

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

std::vector<Sms> Survey::run_alone() {
  stamps_.fill(0);
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    enqueue(i);
    synchronize();
  }
  return where();
}

std::vector<Sms> Survey::run_together() {
  stamps_.fill(0);
  for (std::size_t i = 0; i < partitions_.size(); ++i)
    enqueue(i);
  return where();
}

/// Each kernel as a graph captured in its partition's stream, launched there or in a plain stream.
std::vector<Sms> Survey::run_graphs(bool in_own_stream) {
  stamps_.fill(0);
  for (std::size_t i = 0; i < partitions_.size(); ++i) {
    const cudaStream_t own = partitions_[i].stream();
    const Graph graph = capture(own, [&] { enqueue(i); });
    BUBBLESCOPE_CHECK(cudaGraphLaunch(graph.get(), in_own_stream ? own : plain_stream_.get()));
    synchronize();
  }
  return where();
}

/// One graph, captured from a plain stream, that forks into every partition and joins again.
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
  std::size_t outside = 0;
  std::size_t shared = 0;
  Sms met;
  for (std::size_t i = 0; i < seen.size(); ++i) {
    if (seen[i].size() > partitions[i].sm_count())
      ++outside;
    for (const unsigned int sm : seen[i])
      if (!met.insert(sm).second)
        ++shared;
  }
  if (outside == 0 && shared == 0)
    return "inside";
  return std::to_string(outside) + " too wide, " + std::to_string(shared) + " SMs shared";
}

/// Whether kernels kept to the SMs that they had when they ran alone.
std::string judge_against(const std::vector<Sms>& alone, const std::vector<Sms>& seen) {
  std::size_t outside = 0;
  for (std::size_t i = 0; i < seen.size(); ++i)
    if (!std::includes(alone[i].begin(), alone[i].end(), seen[i].begin(), seen[i].end()))
      ++outside;
  return outside == 0 ? "inside"
                      : std::to_string(outside) + " of " + std::to_string(seen.size()) + " outside";
}

struct Tables {
  Table splits{.name = "partitions",
               .title = "green contexts: one split, and whether work stays in its partition",
               .columns = {{"asked"},
                           {"coscheduled"},
                           {"groups"},
                           {"sms_each"},
                           {"rest"},
                           {"create_ms", 2},
                           {"alone"},
                           {"together"},
                           {"graph_in_own_stream"},
                           {"graph_in_plain_stream"},
                           {"graph_fork"},
                           {"own_events"}},
               .notes = {"alone, together: kernels in the partitions' streams; graph_fork: one "
                         "graph over all partitions, launched in a plain stream; own_events: "
                         "whether an event must be made in the green context to be recorded"}};
  Table sms{.name = "partition_sms",
            .title = "green contexts: the SMs (%smid) that kernels ran on when alone",
            .columns = {{"asked"}, {"coscheduled"}, {"partition"}, {"sms"}, {"seen"}, {"ids"}}};
};

/// Splits once, makes every partition and runs kernels and graphs in them.
void survey(const GreenDriver& driver, const Device& device, const SplitWish& wish,
            Tables& tables) {
  const SmSplit split = split_sms(driver, device.ordinal, wish);
#if CUDA_VERSION >= 13000
  if (tables.splits.rows.empty())
    tables.splits.notes.push_back("the driver asks for groups of at least " +
                                  std::to_string(split.all.sm.minSmPartitionSize) +
                                  " SMs, in multiples of " +
                                  std::to_string(split.all.sm.smCoscheduledAlignment));
#endif
  const auto begin = steady_clock::now();
  std::vector<Partition> partitions;
  for (const CUdevResource& group : split.groups)
    partitions.emplace_back(driver, device.ordinal, group);
  if (split.has_rest())
    partitions.emplace_back(driver, device.ordinal, split.rest);
  const nanoseconds creating = steady_clock::now() - begin;
  Survey survey(device, partitions);
  const std::vector<Sms> alone = survey.run_alone();
  const auto inside = [&](const std::function<std::vector<Sms>()>& run) -> Cell {
    try {
      return judge_against(alone, run());
    } catch (const NotSupported& error) {
      tables.splits.notes.emplace_back(error.what());
      return std::string("not supported");
    } catch (const std::runtime_error& error) {
      tables.splits.notes.emplace_back(error.what());
      return std::string("failed");
    }
  };
  const auto asked = static_cast<std::int64_t>(wish.group_sms);
  const bool coscheduled = (wish.flags & CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING) == 0;
  const Cell together = inside([&] { return survey.run_together(); });
  const Cell own = inside([&] { return survey.run_graphs(true); });
  const Cell plain = inside([&] { return survey.run_graphs(false); });
  const Cell fork = inside([&] { return survey.run_fork(); });
  tables.splits.rows.push_back(
      {asked, coscheduled, static_cast<std::int64_t>(split.groups.size()),
       static_cast<std::int64_t>(partitions.at(0).sm_count()),
       static_cast<std::int64_t>(split.has_rest() ? split.rest.sm.smCount : 0),
       static_cast<double>(creating.count()) / 1e6 / static_cast<double>(partitions.size()),
       judge_alone(alone, partitions), together, own, plain, fork, survey.needs_own_events()});
  for (std::size_t i = 0; i < partitions.size(); ++i)
    tables.sms.rows.push_back({asked, coscheduled, static_cast<std::int64_t>(i),
                               static_cast<std::int64_t>(partitions[i].sm_count()),
                               static_cast<std::int64_t>(alone[i].size()), list(alone[i])});
}

}  // namespace

std::vector<Table> measure_partitions(const Device& device) {
  const GreenDriver driver;
  constexpr unsigned int kFine = CU_DEV_SM_RESOURCE_SPLIT_IGNORE_SM_COSCHEDULING;
  Tables tables;
  for (const SplitWish& wish : {SplitWish{8}, SplitWish{16}, SplitWish{24}, SplitWish{32},
                                SplitWish{64}, SplitWish{8, kFine}, SplitWish{20, kFine}}) {
    if (wish.group_sms > device.sm_count)
      continue;
    try {
      survey(driver, device, wish, tables);
    } catch (const std::runtime_error& error) {
      tables.splits.notes.push_back("groups of " + std::to_string(wish.group_sms) + ": " +
                                    error.what());
    }
  }
  return {tables.splits, tables.sms};
}

}  // namespace bubblescope::gpu
