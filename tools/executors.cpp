#include "tools/executors.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/host/host_executor.h"

namespace bubblescope {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModule = "bubblescope_cuda.so";

/// Where the module may lie: beside the program in a build, or where it is installed.
std::vector<fs::path> module_places() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<fs::path> places;
  for (const char* place :
       {"lib/bubblescope", "../lib/bubblescope", "../lib64/bubblescope",
        "../lib/x86_64-linux-gnu/bubblescope", "../lib/aarch64-linux-gnu/bubblescope"})
    places.push_back((folder / place / kModule).lexically_normal());
  return places;
}

fs::path find_module() {
  const char* named = std::getenv(kCudaModuleVariable);
  if (named != nullptr && *named != '\0')
    return fs::absolute(named);  // dlopen looks for a bare name elsewhere
  std::error_code error;
  for (const fs::path& place : module_places())
    if (fs::exists(place, error))
      return place;
  throw DeviceError(fmt::format(
      "--backend cuda: there is no {} in {}: build with nvcc (the preset cuda), or name "
      "it in {}",
      kModule, module_places().front().parent_path().string(), kCudaModuleVariable));
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

/// The module stays loaded, since executors and their exceptions are made of its code.
std::unique_ptr<Executor> make_cuda_executor(const Plan& plan, const ExecutorOptions& options) {
  const fs::path path = find_module();
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr)
    throw DeviceError(fmt::format("--backend cuda: {}", first_line(dlerror())));
  void* symbol = dlsym(module, kMakeExecutor);
  if (symbol == nullptr)
    throw DeviceError(fmt::format("--backend cuda: {} is no module of this program: it lacks {}",
                                  path.string(), kMakeExecutor));
  const auto make = reinterpret_cast<MakeExecutor>(symbol);
  return std::unique_ptr<Executor>(make(plan, options));
}

}  // namespace

std::unique_ptr<Executor> make_executor(Backend backend, const Plan& plan,
                                        const ExecutorOptions& options) {
  switch (backend) {
    case Backend::Cuda:
      return make_cuda_executor(plan, options);
    case Backend::Nccl:
      throw DeviceError("--backend nccl is not built in: a GPU for each rank comes later");
    case Backend::Host:
      break;
  }
  return make_host_executor(plan, options);
}

}  // namespace bubblescope
