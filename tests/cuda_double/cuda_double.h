// A test double of the CUDA runtime: streams are threads, device memory is the host's, and graphs
// replay what was captured. It is linked in place of the runtime and of the kernels, and proves
// what a machine without a GPU can: order, data, faults, and that calls are used as CUDA asks. It
// says nothing of speed. As a shared library it stands for libcudart in a process, for all that
// are loaded there. Until `install` is called, the machine is what these variables say when it is
// first asked for; a value that cannot be read throws std::invalid_argument:
//
//   BUBBLESCOPE_DOUBLE_GPUS=2             how many GPUs there are (1)
//   BUBBLESCOPE_DOUBLE_MEMORY=1000000     bytes of each (1 GiB)
//   BUBBLESCOPE_DOUBLE_CLOCK=5000,-20.5   %globaltimer, by the host's steady clock: so many ns
//                                         ahead at its epoch, and so many ppm faster (0,0)
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <functional>

namespace bubblescope::cuda_double {

struct Machine {
  int gpus = 1;
  int peers = 1 << 16;                        ///< The first so many reach each other's memory.
  cudaError_t found = cudaSuccess;            ///< What the search for GPUs says.
  int driver = 13000;                         ///< 0: there is none.
  int partitions = 0;                         ///< Green contexts at a time; 0: it knows none.
  std::size_t memory = std::size_t{1} << 30;  ///< Bytes of each GPU.
  std::chrono::nanoseconds launch_takes{};    ///< On the host.
  std::chrono::nanoseconds clock_ahead{};     ///< At the epoch of the host's steady clock.
  double clock_drift = 0;                     ///< ns that it gains in each of the host's.
};

inline constexpr unsigned int kSms = 16;  ///< Of each GPU.

/// A new machine, which has not failed. Nothing of the last one may be left.
void install(const Machine& machine);

/// Streams, events, graphs and pieces of memory that were not given back.
std::size_t things_left();

/// The clock of the stream's GPU in ns: that of the machine. GPU n is n seconds ahead of GPU 0.
std::uint64_t timer(cudaStream_t stream);

/// Launches a kernel, as <<<1, 1, 0, stream>>> does; the calling function names it.
cudaError_t launch(cudaStream_t stream, std::function<void()> kernel,
                   const char* caller = __builtin_FUNCTION());

/// How many kernels were launched in green contexts: the same one counts once in each.
std::size_t kernels_in_partitions();

/// What a kernel that breaks the context of its GPU does; whether one has.
void break_context();
bool is_broken();

// For the parts of the double.

const Machine& machine();
/// cudaSuccess, until something has broken the context.
cudaError_t state();
/// Why a thread may not make anything now: it captures. Else `state`.
cudaError_t may_make();
int current_gpu();
/// Counts what has to be given back.
void count_things(int change);
/// A kernel that was launched in a green context.
void note_kernel(CUgreenCtx partition, const char* name);
/// A stream of a green context.
cudaStream_t make_stream(int gpu, CUgreenCtx partition);
/// The green context that is current in this thread, if one is.
CUgreenCtx current_partition();

}  // namespace bubblescope::cuda_double
