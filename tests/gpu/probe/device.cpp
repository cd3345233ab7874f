#include "tests/gpu/probe/device.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <stdexcept>
#include <sys/utsname.h>
#include <thread>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "backend_cuda/cuda/clock_kernels.h"
#include "backend_cuda/cuda/library.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

/// NVIDIA's management library tells driver and clocks. It comes with the driver, but not into
/// every container, and its header not with the toolkit, hence the types here.
void add_nvml_facts(int ordinal, ordered_json& facts) {
  std::array<char, 96> text{};
  BUBBLESCOPE_CHECK(cudaDeviceGetPCIBusId(text.data(), static_cast<int>(text.size()), ordinal));
  try {
    const Library nvml({.what = "the driver's version and clocks need NVML",
                        .variable = "BUBBLESCOPE_NVML",
                        .names = {"libnvidia-ml.so.1"}});
    auto* const clock = nvml.find<int(void*, int, unsigned int*)>("nvmlDeviceGetClockInfo");
    auto* const version = nvml.find<int(char*, unsigned int)>("nvmlSystemGetDriverVersion");
    void* device = nullptr;
    if (nvml.find<int()>("nvmlInit_v2")() != 0)
      return;
    if (nvml.find<int(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2")(text.data(),
                                                                                &device) == 0) {
      unsigned int mhz = 0;
      if (version(text.data(), text.size() - 1) == 0)
        facts["driver"] = text.data();
      if (clock(device, 1, &mhz) == 0)  // NVML_CLOCK_SM
        facts["sm_clock_nvml_mhz"] = mhz;
      if (clock(device, 2, &mhz) == 0)  // NVML_CLOCK_MEM
        facts["memory_clock_nvml_mhz"] = mhz;
    }
    nvml.find<int()>("nvmlShutdown")();
  } catch (const DeviceError&) {  // the facts stay null
  }
}

std::string host_text() {
  std::ifstream file("/proc/cpuinfo");
  std::string model = "unknown processor";
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name") && line.find(": ") != std::string::npos) {
      model = line.substr(line.find(": ") + 2);
      break;
    }
  utsname system{};
  uname(&system);
  return fmt::format("{}, {} cores, {} {}", model, std::thread::hardware_concurrency(),
                     system.sysname, system.release);
}

}  // namespace

Device open_device() {
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted != cudaSuccess || count == 0)
    throw std::runtime_error(
        std::string("no GPU to measure: ") +
        (counted != cudaSuccess ? cudaGetErrorString(counted) : "the driver shows no device"));
  Device device;
  cudaDeviceProp properties{};
  BUBBLESCOPE_CHECK(cudaGetDeviceProperties(&properties, device.ordinal));
  device.name = properties.name;
  device.sm_count = static_cast<unsigned int>(properties.multiProcessorCount);
  device.max_shared_bytes = properties.sharedMemPerBlockOptin;
  BUBBLESCOPE_CHECK(cudaSetDevice(device.ordinal));
  BUBBLESCOPE_CHECK(cudaDeviceSynchronize());
  BUBBLESCOPE_CHECK(load_clock_kernels());
  BUBBLESCOPE_CHECK(load_kernels(device.max_shared_bytes));
  return device;
}

ordered_json describe(const Device& device) {
  int driver = 0;
  int runtime = 0;
  BUBBLESCOPE_CHECK(cudaDriverGetVersion(&driver));
  BUBBLESCOPE_CHECK(cudaRuntimeGetVersion(&runtime));
  const auto value = [&](cudaDeviceAttr name) {
    int found = 0;
    BUBBLESCOPE_CHECK(cudaDeviceGetAttribute(&found, name, device.ordinal));
    return found;
  };
  const char* connections = std::getenv("CUDA_DEVICE_MAX_CONNECTIONS");
  ordered_json facts = {
      {"device", device.name},
      {"compute_capability", fmt::format("{}.{}", value(cudaDevAttrComputeCapabilityMajor),
                                         value(cudaDevAttrComputeCapabilityMinor))},
      {"sms", device.sm_count},
      {"shared_bytes_per_sm", value(cudaDevAttrMaxSharedMemoryPerMultiprocessor)},
      {"shared_bytes_per_block", device.max_shared_bytes},
      {"l2_bytes", value(cudaDevAttrL2CacheSize)},
      {"copy_engines", value(cudaDevAttrAsyncEngineCount)},
      {"driver", nullptr},
      {"driver_cuda", version_text(driver)},
      {"runtime_cuda", version_text(runtime)},
      {"sm_clock_mhz", rounded(measure_sm_clock(device))},
      {"sm_clock_peak_mhz", value(cudaDevAttrClockRate) / 1e3},
      {"sm_clock_nvml_mhz", nullptr},
      {"memory_clock_peak_mhz", value(cudaDevAttrMemoryClockRate) / 1e3},
      {"memory_clock_nvml_mhz", nullptr},
      {"clocks_from",
       "sm_clock: cycles by %globaltimer under load; peaks: cudaDeviceGetAttribute; "
       "nvml: NVML just after the load, null where NVML is not here"},
      {"max_connections", connections != nullptr ? connections : "default"},
      {"host", host_text()},
      {"date", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)))}};
  add_nvml_facts(device.ordinal, facts);
  return facts;
}

double measure_sm_clock(const Device& device) {
  constexpr unsigned int kIterations = 1U << 15;
  constexpr int kLaunches = 300;
  const Stream stream = make_stream();
  const DeviceBuffer<BlockStamp> stamps(device.sm_count);
  for (int i = 0; i < kLaunches; ++i)
    BUBBLESCOPE_CHECK(launch_fma(stamps.data(), kIterations, device.sm_count, 0, stream.get()));
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
  const BlockStamp last = stamps.download().front();
  return static_cast<double>(last.cycles) / static_cast<double>(last.end - last.start) * 1e3;
}

std::size_t more_than_half_of_shared(const Device& device) {
  constexpr std::size_t kMore = 1024;
  return std::min(device.max_shared_bytes, device.max_shared_bytes / 2 + kMore);
}

Span span_of(std::span<const BlockStamp> stamps) {
  Span span = kNoSpan;
  for (const BlockStamp& stamp : stamps) {
    if (stamp.end == 0)
      throw std::runtime_error("a block of a kernel left no time stamp");
    span.include(
        {Time(static_cast<std::int64_t>(stamp.start)), Time(static_cast<std::int64_t>(stamp.end))});
  }
  return span;
}

SmHolder::SmHolder(const Device& device, const Wish& wish)
    : flags_(std::size_t{1} + wish.sms), stream_(wish.stream) {
  constexpr milliseconds kPatience{50};
  const auto limit = static_cast<unsigned long long>(nanoseconds(wish.limit).count());
  BUBBLESCOPE_CHECK(launch_hold({.stop = flags_.on_device(),
                                 .seats = flags_.on_device() + 1,
                                 .limit_ns = limit,
                                 .blocks = wish.sms,
                                 .shared_bytes = device.max_shared_bytes},
                                stream_));
  const auto give_up = steady_clock::now() + kPatience;
  for (unsigned int i = 1; i <= wish.sms; ++i) {
    const std::atomic_ref<unsigned int> seat(flags_[i]);
    unsigned int sm_plus_one = 0;
    do {
      sm_plus_one = seat.load(std::memory_order_acquire);
    } while (sm_plus_one == 0 && steady_clock::now() < give_up);
    if (sm_plus_one != 0)
      sms_.insert(sm_plus_one - 1);
  }
  if (sms_.size() == wish.sms)
    return;
  release();
  throw NotSupported(fmt::format("only {} of {} SMs could be held", sms_.size(), wish.sms));
}

void SmHolder::release() noexcept {
  std::atomic_ref<unsigned int>(flags_[0]).store(1, std::memory_order_release);
  cudaStreamSynchronize(stream_);
}

}  // namespace bubblescope::gpu
