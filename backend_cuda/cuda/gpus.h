// The GPUs of this machine, how ranks are spread over them, and how far their clocks are apart.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "backend_cuda/cuda/clock.h"
#include "backend_cuda/cuda/green_context.h"
#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

struct Gpu {
  int ordinal;  ///< CUDA's number.
  std::string name;
  unsigned int sm_count;
  TimerRate timer;
};

/// At least 1. Throws DeviceError, which says in one line what is missing.
int count_gpus();

/// The first GPUs that CUDA shows, one a rank where there are so many, with kernels loaded. Each
/// can reach the memory of the others. Throws DeviceError, which says in one line what is missing.
std::vector<Gpu> find_gpus(int ranks);

/// The one with this number, for a process that runs one rank; the only one, where a launcher shows
/// each process just its own. The same errors.
Gpu find_gpu(int ordinal);

/// [rank] Its place among `gpus`: neighbours share one.
std::vector<std::size_t> spread(int ranks, std::size_t gpus);

/// Parts of the GPUs' SMs, one a rank.
struct Partitions {
  std::unique_ptr<GreenDriver> driver = {};
  std::vector<Partition> of_rank = {};  ///< None where the ranks share all SMs.
  std::string notice = {};              ///< What they are, or why there are none.
};
/// Those that another executor has for the same ranks, since a GPU gives only so many green
/// contexts; else new ones. Executors that share them run in turn.
std::shared_ptr<const Partitions> share_partitions(const std::vector<Gpu>& gpus,
                                                   const std::vector<std::size_t>& place);

/// How far the GPUs' clocks are ahead of the first one's, by the host's clock between them.
class Clocks {
 public:
  explicit Clocks(const std::vector<Gpu>& gpus);

  /// Measures again; nothing else may run. Without a second GPU there is nothing to do.
  void align();
  std::int64_t ahead(std::size_t gpu) const { return ahead_[gpu]; }
  /// The longest time within which host and GPU exchanged their readings.
  std::chrono::nanoseconds bracket() const { return bracket_; }

 private:
  const std::vector<Gpu>& gpus_;
  SharedBuffer<ClockMailbox> mailbox_;
  std::vector<Stream> streams_;
  std::vector<std::int64_t> ahead_;
  std::chrono::nanoseconds bracket_{};
};

}  // namespace bubblescope::gpu
