#include "tests/cuda_double/cuda_double.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace bubblescope::cuda_double {
namespace {

/// Reads a number off the beginning of `text`.
template <class T>
bool take_number(std::string_view& text, T& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return error == std::errc();
}

/// What a variable says, where it is set: `read` takes the whole of it.
template <class Read>
void ask(const char* variable, const char* expected, const Read& read) {
  const char* const value = std::getenv(variable);
  if (value == nullptr || *value == '\0')
    return;
  std::string_view text = value;
  if (!read(text) || !text.empty())
    throw std::invalid_argument(std::string(variable) + "=" + value + ": expected " + expected);
}

Machine machine_of_environment() {
  Machine machine;
  ask("BUBBLESCOPE_DOUBLE_GPUS", "a number of GPUs",
      [&](std::string_view& text) { return take_number(text, machine.gpus) && machine.gpus >= 0; });
  ask("BUBBLESCOPE_DOUBLE_MEMORY", "a number of bytes",
      [&](std::string_view& text) { return take_number(text, machine.memory); });
  ask("BUBBLESCOPE_DOUBLE_CLOCK", "NANOSECONDS,PPM", [&](std::string_view& text) {
    std::int64_t ahead = 0;
    double ppm = 0;
    if (!take_number(text, ahead) || !text.starts_with(','))
      return false;
    text.remove_prefix(1);
    if (!take_number(text, ppm))
      return false;
    machine.clock_ahead = std::chrono::nanoseconds(ahead);
    machine.clock_drift = ppm * 1e-6;
    return true;
  });
  if (machine.gpus == 0)
    machine.found = cudaErrorNoDevice;
  return machine;
}

struct Allocation {
  int gpu;  ///< Host memory: none.
  std::size_t bytes;
};
constexpr int kHost = -1;

struct Context {
  Machine machine = machine_of_environment();
  std::atomic<bool> broken = false;
  std::atomic<std::size_t> things = 0;
  std::mutex mutex;
  std::map<void*, Allocation> allocations;               ///< Guarded by `mutex`, as all below.
  std::map<int, std::size_t> used;                       ///< [gpu] bytes
  std::set<std::pair<CUgreenCtx, std::string>> kernels;  ///< Launched.
};
Context& context() {
  static Context only;
  return only;
}
thread_local int gpu_of_thread = 0;

/// As aligned as what cudaMalloc gives.
constexpr std::size_t kAlignment = 256;

cudaError_t allocate(void** memory, std::size_t bytes, int gpu) {
  if (const cudaError_t refused = may_make(); refused != cudaSuccess)
    return refused;
  Context& all = context();
  const std::lock_guard lock(all.mutex);
  std::size_t& used = all.used[gpu];
  if (bytes > all.machine.memory - std::min(used, all.machine.memory))
    return cudaErrorMemoryAllocation;
  *memory = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
  all.allocations[*memory] = {gpu, bytes};
  used += bytes;
  ++all.things;
  return state();
}

cudaError_t give_back(void* memory) {
  Context& all = context();
  const std::lock_guard lock(all.mutex);
  const auto found = all.allocations.find(memory);
  if (found == all.allocations.end())
    return cudaErrorInvalidValue;
  all.used[found->second.gpu] -= found->second.bytes;
  all.allocations.erase(found);
  --all.things;
  std::free(memory);
  return state();
}

}  // namespace

void install(const Machine& machine) {
  context().machine = machine;
  context().broken = false;
  context().kernels.clear();
  gpu_of_thread = 0;
}

const Machine& machine() {
  return context().machine;
}

cudaError_t state() {
  return context().broken ? cudaErrorLaunchFailure : cudaSuccess;
}

int current_gpu() {
  return gpu_of_thread;
}

std::size_t things_left() {
  return context().things;
}

void count_things(int change) {
  context().things += static_cast<std::size_t>(change);
}

void note_kernel(CUgreenCtx partition, const char* name) {
  const std::lock_guard lock(context().mutex);
  context().kernels.emplace(partition, name);
}

std::size_t kernels_in_partitions() {
  const std::lock_guard lock(context().mutex);
  return context().kernels.size();
}

void break_context() {
  context().broken = true;
}

bool is_broken() {
  return context().broken;
}

}  // namespace bubblescope::cuda_double

using namespace bubblescope::cuda_double;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  *count = context().machine.gpus;
  return context().machine.found;
}

cudaError_t cudaSetDevice(int device) {
  gpu_of_thread = device;
  return device < context().machine.gpus ? state() : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDevice(int* device) {
  *device = gpu_of_thread;
  return state();
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  if (device < 0 || device >= context().machine.gpus)
    return cudaErrorInvalidDevice;
  const int needed =
      std::snprintf(id, static_cast<std::size_t>(length), "0000:%02x:00.0", device + 1);
  return needed < length ? state() : cudaErrorInvalidValue;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int /*device*/) {
  *properties = {};
  std::strncpy(properties->name, "test double", sizeof properties->name - 1);
  properties->multiProcessorCount = static_cast<int>(kSms);
  return state();
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = context().machine.driver;
  return state();
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return state();
}

cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = std::max(device, peer) < context().machine.peers ? 1 : 0;
  return state();
}

cudaError_t cudaDeviceEnablePeerAccess(int /*peer*/, unsigned int /*flags*/) {
  return state();
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorNoDevice:
      return "cudaErrorNoDevice";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorStreamCaptureUnsupported:
      return "cudaErrorStreamCaptureUnsupported";
    case cudaErrorStreamCaptureUnjoined:
      return "cudaErrorStreamCaptureUnjoined";
    case cudaErrorStreamCaptureIsolation:
      return "cudaErrorStreamCaptureIsolation";
    default:
      return "another error";
  }
}

const char* cudaGetErrorString(cudaError_t /*error*/) {
  return "said by the test double";
}

cudaError_t cudaGetLastError() {
  return state();
}

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return allocate(memory, bytes, gpu_of_thread);
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const std::lock_guard lock(context().mutex);
  *total = context().machine.memory;
  *free = *total - context().used[gpu_of_thread];
  return state();
}

cudaError_t cudaHostAlloc(void** memory, std::size_t bytes, unsigned int /*flags*/) {
  return allocate(memory, bytes, kHost);
}

cudaError_t cudaHostGetDevicePointer(void** on_device, void* memory, unsigned int /*flags*/) {
  *on_device = memory;
  return state();
}

cudaError_t cudaFree(void* memory) {
  return give_back(memory);
}

cudaError_t cudaFreeHost(void* memory) {
  return give_back(memory);
}

cudaError_t cudaMemset(void* memory, int byte, std::size_t bytes) {
  std::memset(memory, byte, bytes);
  return state();
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind /*kind*/) {
  std::memcpy(to, from, bytes);
  return state();
}

}  // extern "C"
