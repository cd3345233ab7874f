#include "backend_cuda/nccl/nccl_executor.h"

#include <array>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/process_name.h"
#include "backend_cuda/cuda/cuda_executor.h"
#include "backend_cuda/nccl/wire.h"
#include "sim/base/printable.h"

namespace bubblescope::gpu {
namespace {

std::string bus_of(int gpu) {
  std::array<char, 32> bus{};
  BUBBLESCOPE_CHECK(cudaDeviceGetPCIBusId(bus.data(), static_cast<int>(bus.size()), gpu));
  return bus.data();
}

void require_one_gpu_each(const std::vector<std::string>& gpus) {
  for (std::size_t i = 0; i < gpus.size(); ++i)
    for (std::size_t k = 0; k < i; ++k)
      if (gpus[i] == gpus[k])
        throw JobError(fmt::format(
            "ranks {} and {} have the same GPU ({}): NCCL needs one for each; --local-rank and "
            "CUDA_VISIBLE_DEVICES choose it",
            k, i, printable_name(gpus[i].substr(gpus[i].rfind(' ') + 1))));
}

void require_one_version(const std::vector<std::string>& versions) {
  for (std::size_t i = 1; i < versions.size(); ++i)
    if (versions[i] != versions[0])
      throw JobError(fmt::format("rank 0 has NCCL {} and rank {} has {}: they need the same",
                                 printable_name(versions[0]), i, printable_name(versions[i])));
}

}  // namespace

void check_nccl() {
  count_gpus();
  const Nccl nccl;
}

std::unique_ptr<RankExecutor> make_nccl_executor(const Plan& plan, const ExecutorOptions& options,
                                                 const RankPlace& place, Control& control) {
  const auto nccl = std::make_shared<const Nccl>();
  const auto connect = [&](const Layout& layout, const Work& work) {
    const int gpu = layout.gpu_of_rank[static_cast<std::size_t>(place.rank)];
    require_one_version(control.all_gather(nccl->version_text()));
    require_one_gpu_each(control.all_gather(host_identity() + " " + bus_of(gpu)));
    return make_nccl_wire(nccl, plan, layout, work, control,
                          {.place = place, .max_ctas = options.max_ctas});
  };
  const Here here{.rank = place.rank,
                  .replica = place.replica,
                  .replicas = place.replicas,
                  .gpu = place.gpu,
                  .connect = connect};
  return make_cuda_rank_executor(plan, options, here);
}

}  // namespace bubblescope::gpu
