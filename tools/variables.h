// Variables of the environment that are no options.
#pragma once

#include <array>

#include "backend_cuda/cluster/seat.h"
#include "backend_cuda/replay/executor.h"
#include "backend_cuda/replay/rank_executor.h"
#include "tools/executors.h"

namespace bubblescope {

struct ProgramVariable {
  const char* name;
  const char* help;
};

constexpr std::array<ProgramVariable, 4> kProgramVariables = {{
    {kCudaModuleVariable,
     "the file of the module with the GPU backends (default: bubblescope_cuda.so in "
     "lib/bubblescope "
     "beside the program, or where it is installed)"},
    {kNcclLibraryVariable,
     "the file of NCCL, for --backend nccl (default: as the loader finds it)"},
    {kCublasLtVariable,
     "the file of cublasLt, for --workload tensors on GPUs (default: as the loader finds it)"},
    {kSecretVariable,
     "the same word for all processes of a job, which keeps out who does not know it"},
}};

}  // namespace bubblescope
