#include "tools/executors.h"

#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <stdexcept>
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

fs::path find_module(Backend backend) {
  const char* named = std::getenv(kCudaModuleVariable);
  std::error_code error;
  if (named != nullptr && *named != '\0') {
    const fs::path path = fs::absolute(named, error);  // dlopen looks for a bare name elsewhere
    return error ? fs::path(named) : path;
  }
  for (const fs::path& place : module_places())
    if (fs::exists(place, error))
      return place;
  throw DeviceError(
      fmt::format("--backend {}: there is no {} in {}: build with nvcc (the preset cuda), or name "
                  "it in {}",
                  to_string(backend), kModule, module_places().front().parent_path().string(),
                  kCudaModuleVariable));
}

std::string first_line(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

/// Of the module, which stays loaded, since executors and their exceptions are made of its code.
template <class Function>
Function find_in_module(Backend backend, const char* name) {
  const fs::path path = find_module(backend);
  void* module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr)
    throw DeviceError(fmt::format("--backend {}: {}", to_string(backend), first_line(dlerror())));
  void* symbol = dlsym(module, name);
  if (symbol == nullptr)
    throw DeviceError(fmt::format(
        "--backend {}: {} is no module of this program{}: it lacks {}", to_string(backend),
        path.string(), backend == Backend::Nccl ? ", or was built without nccl.h" : "", name));
  return reinterpret_cast<Function>(symbol);
}

}  // namespace

std::unique_ptr<Executor> make_executor(Backend backend, const Plan& plan,
                                        const ExecutorOptions& options) {
  switch (backend) {
    case Backend::Cuda:
      return std::unique_ptr<Executor>(
          find_in_module<MakeExecutor>(backend, kMakeExecutor)(plan, options));
    case Backend::Nccl:
      throw std::logic_error("processes of a job have executors of their own");
    case Backend::Host:
      break;
  }
  return make_host_executor(plan, options);
}

void check_nccl() {
  find_in_module<CheckNccl>(Backend::Nccl, kCheckNccl)();
}

std::unique_ptr<RankExecutor> make_rank_executor(const Plan& plan, const ExecutorOptions& options,
                                                 const RankPlace& place, Control& control) {
  const auto make = find_in_module<MakeRankExecutor>(Backend::Nccl, kMakeRankExecutor);
  return std::unique_ptr<RankExecutor>(make(plan, options, place, control));
}

}  // namespace bubblescope
