#include "backend_cuda/cuda/gpus.h"

#include <algorithm>
#include <set>

#include "backend_cuda/cuda/spin_kernels.h"

namespace bubblescope::gpu {
namespace {

std::string why_none(cudaError_t error) {
  const std::string detail =
      " (" + std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error) + ")";
  if (error == cudaErrorNoDevice)
    return "there is no GPU" + detail;
  if (error != cudaErrorInsufficientDriver)
    return "no GPU can be used" + detail;
  int driver = 0;
  cudaDriverGetVersion(&driver);
  if (driver == 0)
    return "no CUDA driver is installed" + detail;
  return "the CUDA driver, for CUDA " + version_text(driver) + ", is too old" + detail;
}

void let_reach(const Gpu& gpu, const Gpu& other) {
  int can = 0;
  BUBBLESCOPE_CHECK(cudaDeviceCanAccessPeer(&can, gpu.ordinal, other.ordinal));
  if (can == 0)
    throw DeviceError("GPU " + std::to_string(gpu.ordinal) + " cannot reach the memory of GPU " +
                      std::to_string(other.ordinal) +
                      "; CUDA_VISIBLE_DEVICES=0 replays on one GPU alone");
  const cudaError_t enabled = cudaDeviceEnablePeerAccess(other.ordinal, 0);
  if (enabled == cudaErrorPeerAccessAlreadyEnabled)
    cudaGetLastError();
  else
    BUBBLESCOPE_CHECK(enabled);
}

Gpu open(int ordinal) {
  BUBBLESCOPE_CHECK(cudaSetDevice(ordinal));
  cudaDeviceProp properties{};
  BUBBLESCOPE_CHECK(cudaGetDeviceProperties(&properties, ordinal));
  BUBBLESCOPE_CHECK(load_clock_kernels());
  BUBBLESCOPE_CHECK(load_spin_kernels());
  const Stream stream = make_stream();
  return {.ordinal = ordinal,
          .name = properties.name,
          .sm_count = static_cast<unsigned int>(properties.multiProcessorCount),
          .timer = measure_timer_rate(stream.get())};
}

/// The largest groups of which one split of a GPU gives as many as asked.
std::vector<CUdevResource> largest_groups(const GreenDriver& driver, const Gpu& gpu,
                                          std::size_t count) {
  for (auto sms = gpu.sm_count / static_cast<unsigned int>(count); sms > 0; --sms) {
    SmSplit split = split_sms(driver, gpu.ordinal, {.group_sms = sms});
    if (split.groups.size() < count)
      continue;
    split.groups.resize(count);
    return split.groups;
  }
  throw NotSupported(std::to_string(gpu.sm_count) + " SMs cannot be split for " +
                     std::to_string(count) + " ranks");
}

}  // namespace

int count_gpus() {
  int count = 0;
  if (const cudaError_t counted = cudaGetDeviceCount(&count); counted != cudaSuccess) {
    cudaGetLastError();
    throw DeviceError(why_none(counted));
  }
  if (count == 0)
    throw DeviceError(why_none(cudaErrorNoDevice));
  return count;
}

std::vector<Gpu> find_gpus(int ranks) {
  const int count = std::min(count_gpus(), ranks);
  std::vector<Gpu> gpus;
  gpus.reserve(static_cast<std::size_t>(count));
  for (int ordinal = 0; ordinal < count; ++ordinal)
    gpus.push_back(open(ordinal));
  for (const Gpu& gpu : gpus) {
    BUBBLESCOPE_CHECK(cudaSetDevice(gpu.ordinal));
    for (const Gpu& other : gpus)
      if (other.ordinal != gpu.ordinal)
        let_reach(gpu, other);
  }
  return gpus;
}

Gpu find_gpu(int ordinal) {
  const int count = count_gpus();
  if (ordinal >= count && count > 1)
    throw DeviceError("GPU " + std::to_string(ordinal) + " is wanted, of " + std::to_string(count) +
                      " on this host: start as many processes on a host");
  return open(std::min(ordinal, count - 1));
}

std::vector<std::size_t> spread(int ranks, std::size_t gpus) {
  std::vector<std::size_t> place;
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(ranks); ++rank)
    place.push_back(rank * gpus / static_cast<std::size_t>(ranks));
  return place;
}

namespace {

Partitions make_partitions(const std::vector<Gpu>& gpus, const std::vector<std::size_t>& place) {
  Partitions partitions;
  std::set<unsigned int> sizes;
  try {
    partitions.driver = std::make_unique<GreenDriver>();
    for (std::size_t gpu = 0; gpu < gpus.size(); ++gpu) {
      const auto ranks = static_cast<std::size_t>(std::count(place.begin(), place.end(), gpu));
      if (ranks == 0)
        continue;
      BUBBLESCOPE_CHECK(cudaSetDevice(gpus[gpu].ordinal));
      for (const CUdevResource& group : largest_groups(*partitions.driver, gpus[gpu], ranks)) {
        partitions.of_rank.emplace_back(*partitions.driver, gpus[gpu].ordinal, group);
        sizes.insert(partitions.of_rank.back().sm_count());
      }
    }
  } catch (const std::runtime_error& error) {  // not supported, or no more of them to be had
    return {.driver = {},
            .of_rank = {},
            .notice = std::string("none, ranks share all SMs: ") + error.what()};
  }
  for (const unsigned int sms : sizes)
    partitions.notice += (partitions.notice.empty() ? "" : " or ") + std::to_string(sms);
  partitions.notice += " SMs for each rank";
  return partitions;
}

}  // namespace

std::shared_ptr<const Partitions> share_partitions(const std::vector<Gpu>& gpus,
                                                   const std::vector<std::size_t>& place) {
  static std::weak_ptr<const Partitions> last;
  static std::vector<std::size_t> last_place;
  if (auto found = last.lock(); found && last_place == place)
    return found;
  auto made = std::make_shared<const Partitions>(make_partitions(gpus, place));
  if (!made->of_rank.empty()) {
    last = made;
    last_place = place;
  }
  return made;
}

Clocks::Clocks(const std::vector<Gpu>& gpus) : gpus_(gpus), mailbox_(1), ahead_(gpus.size()) {
  for (const Gpu& gpu : gpus) {
    BUBBLESCOPE_CHECK(cudaSetDevice(gpu.ordinal));
    streams_.push_back(make_stream());
  }
  align();
}

void Clocks::align() {
  if (gpus_.size() == 1)
    return;
  std::vector<std::int64_t> ahead_of_host;
  bracket_ = {};
  for (std::size_t gpu = 0; gpu < gpus_.size(); ++gpu) {
    BUBBLESCOPE_CHECK(cudaSetDevice(gpus_[gpu].ordinal));
    const Exchange exchange = read_clock(mailbox_, streams_[gpu].get(), gpus_[gpu].ordinal);
    const std::chrono::nanoseconds host = exchange.host.time_since_epoch();
    ahead_of_host.push_back(exchange.device - host.count());
    ahead_[gpu] = ahead_of_host[gpu] - ahead_of_host[0];
    bracket_ = std::max(bracket_, exchange.bracket);
  }
}

}  // namespace bubblescope::gpu
