#include "backend_cuda/probe/device.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <dlfcn.h>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <sys/utsname.h>
#include <thread>

#include "backend_cuda/cuda/check.h"
#include "backend_cuda/cuda/clock_kernels.h"
#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/probe/probe_kernels.h"

namespace bubblescope::gpu {
namespace {

struct LibraryCloser {
  void operator()(void* library) const noexcept { dlclose(library); }
};
using Library = std::unique_ptr<void, LibraryCloser>;

Library open_library(const char* name) {
  return Library(dlopen(name, RTLD_NOW | RTLD_LOCAL));
}

/// NVIDIA's management library, of which this only reads. It comes with the driver, but not into
/// every container, and its header not with the toolkit, hence the declarations here.
class Nvml {
 public:
  explicit Nvml(int ordinal) : library_(open_library("libnvidia-ml.so.1")) {
    std::array<char, 32> bus{};
    if (!library_ || !find(init_, "nvmlInit_v2") || !find(shutdown_, "nvmlShutdown") ||
        !find(handle_, "nvmlDeviceGetHandleByPciBusId_v2") ||
        !find(clock_, "nvmlDeviceGetClockInfo") ||
        !find(driver_version_, "nvmlSystemGetDriverVersion"))
      return;
    BUBBLESCOPE_CHECK(cudaDeviceGetPCIBusId(bus.data(), static_cast<int>(bus.size()), ordinal));
    started_ = init_() == kSuccess;
    works_ = started_ && handle_(bus.data(), &device_) == kSuccess;
  }
  ~Nvml() {
    if (started_)
      shutdown_();
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;

  bool works() const { return works_; }
  Cell sm_clock_mhz() const { return clock_mhz(1); }      // NVML_CLOCK_SM
  Cell memory_clock_mhz() const { return clock_mhz(2); }  // NVML_CLOCK_MEM

  Cell driver_version() const {
    std::array<char, 96> version{};
    if (!works_ || driver_version_(version.data(), version.size() - 1) != kSuccess)
      return {};
    return std::string(version.data());
  }

 private:
  static constexpr int kSuccess = 0;

  template <class Function>
  bool find(Function& function, const char* name) {
    function = reinterpret_cast<Function>(dlsym(library_.get(), name));
    return function != nullptr;
  }

  Cell clock_mhz(int kind) const {
    unsigned int mhz = 0;
    if (!works_ || clock_(device_, kind, &mhz) != kSuccess)
      return {};
    return static_cast<std::int64_t>(mhz);
  }

  Library library_;
  int (*init_)() = nullptr;
  int (*shutdown_)() = nullptr;
  int (*handle_)(const char*, void**) = nullptr;
  int (*clock_)(void*, int, unsigned int*) = nullptr;
  int (*driver_version_)(char*, unsigned int) = nullptr;
  void* device_ = nullptr;
  bool started_ = false;
  bool works_ = false;
};

std::int64_t attribute(cudaDeviceAttr name, int ordinal) {
  int value = 0;
  BUBBLESCOPE_CHECK(cudaDeviceGetAttribute(&value, name, ordinal));
  return value;
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
  return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores, " +
         system.sysname + " " + system.release;
}

std::string now_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text.data();
}

}  // namespace

Device open_device() {
  if (!open_library("libcuda.so.1"))
    throw std::runtime_error("no GPU to measure: there is no NVIDIA driver (libcuda.so.1) here");
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

std::vector<Fact> describe(const Device& device) {
  int driver = 0;
  int runtime = 0;
  BUBBLESCOPE_CHECK(cudaDriverGetVersion(&driver));
  BUBBLESCOPE_CHECK(cudaRuntimeGetVersion(&runtime));
  const auto value = [&](cudaDeviceAttr name) { return attribute(name, device.ordinal); };
  const Nvml nvml(device.ordinal);
  const double sm_clock = measure_sm_clock(device);
  const char* connections = std::getenv("CUDA_DEVICE_MAX_CONNECTIONS");
  return {
      {"device", device.name},
      {"compute_capability", std::to_string(value(cudaDevAttrComputeCapabilityMajor)) + "." +
                                 std::to_string(value(cudaDevAttrComputeCapabilityMinor))},
      {"sms", static_cast<std::int64_t>(device.sm_count)},
      {"shared_bytes_per_sm", value(cudaDevAttrMaxSharedMemoryPerMultiprocessor)},
      {"shared_bytes_per_block", static_cast<std::int64_t>(device.max_shared_bytes)},
      {"l2_bytes", value(cudaDevAttrL2CacheSize)},
      {"copy_engines", value(cudaDevAttrAsyncEngineCount)},
      {"driver", nvml.driver_version()},
      {"driver_cuda", version_text(driver)},
      {"runtime_cuda", version_text(runtime)},
      {"sm_clock_mhz", sm_clock},
      {"sm_clock_peak_mhz", static_cast<double>(value(cudaDevAttrClockRate)) / 1e3},
      {"sm_clock_nvml_mhz", nvml.sm_clock_mhz()},
      {"memory_clock_peak_mhz", static_cast<double>(value(cudaDevAttrMemoryClockRate)) / 1e3},
      {"memory_clock_nvml_mhz", nvml.memory_clock_mhz()},
      {"clocks_from", std::string("sm_clock: cycles by %globaltimer under load; peaks: "
                                  "cudaDeviceGetAttribute; nvml: ") +
                          (nvml.works() ? "NVML just after the load" : "NVML is not here")},
      {"max_connections", std::string(connections != nullptr ? connections : "default")},
      {"host", host_text()},
      {"date", now_utc()},
  };
}

double measure_sm_clock(const Device& device) {
  constexpr unsigned int kIterations = 1U << 15;
  constexpr int kLaunches = 300;
  const Stream stream = make_stream();
  const DeviceBuffer<BlockStamp> stamps(device.sm_count);
  const DeviceBuffer<float> sink(1);
  const FmaLaunch launch{.stamps = stamps.data(),
                         .sink = sink.data(),
                         .iterations = kIterations,
                         .blocks = device.sm_count,
                         .shared_bytes = 0};
  for (int i = 0; i < kLaunches; ++i)
    BUBBLESCOPE_CHECK(launch_fma(launch, stream.get()));
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
  const BlockStamp last = stamps.download().front();
  return static_cast<double>(last.cycles) / static_cast<double>(last.end - last.start) * 1e3;
}

std::size_t more_than_half_of_shared(const Device& device) {
  constexpr std::size_t kMore = 1024;
  return std::min(device.max_shared_bytes, device.max_shared_bytes / 2 + kMore);
}

}  // namespace bubblescope::gpu
