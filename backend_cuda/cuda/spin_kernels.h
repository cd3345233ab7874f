// The kernels of timed work, and those with which the executor holds, hangs and breaks a step,
// behind launchers that host code can call. Those that wait end when the host sets `stop`.
#pragma once

#include <cuda_runtime_api.h>

#include "backend_cuda/cuda/stamp.h"

namespace bubblescope::gpu {

/// What stands for an output: a number of its own, 0 as long as there is none.
using TimedToken = unsigned long long;

/// An action that found another token than its input's; `expected` is 0 where it did not.
struct WrongToken {
  TimedToken expected;
  TimedToken found;
};

struct TimedInput {
  const TimedToken* place;
  TimedToken expected;
};
struct TimedOutput {
  TimedToken* place;
  TimedToken token;
};
inline constexpr unsigned int kTimedInputs = 3;   ///< Of a pair: one of its F, two of its B.
inline constexpr unsigned int kTimedOutputs = 2;  ///< Of a pair: one of each op.

struct TimedAction {
  Stamp* stamp;
  unsigned long long nanoseconds;
  const unsigned int* stop;            ///< Shared with the host.
  WrongToken* wrong;                   ///< Shared with the host.
  TimedInput inputs[kTimedInputs];     ///< Without a place behind the last.
  TimedOutput outputs[kTimedOutputs];  ///< The same.
};

struct TimedMessage {
  Stamp* stamp;
  unsigned long long nanoseconds;
  const unsigned int* stop;
  const TimedToken* from;
  TimedToken* to;
};

struct TimedArrival {
  const Stamp* sent;
  unsigned long long nanoseconds;  ///< Since `sent` ended.
  const unsigned int* stop;
  const long long* sender_ahead;  ///< Of one common clock, in ns; shared with the host.
  const long long* receiver_ahead;
};

struct GateLaunch {
  const unsigned int* open;     ///< Shared with the host, which opens the gate by setting it,
  unsigned int* expired;        ///< and sees here how many opened before it did:
  unsigned long long limit_ns;  ///< after so long.
};

/// Loads the kernels now: one that is first loaded beside a running kernel may wait for it.
cudaError_t load_spin_kernels();

/// Lasts as long as asked, by %globaltimer, from the stamp's start to its end.
cudaError_t launch_timed_action(const TimedAction& action, cudaStream_t stream);
/// The same; the token is there at the end.
cudaError_t launch_timed_message(const TimedMessage& message, cudaStream_t stream);
cudaError_t launch_timed_arrival(const TimedArrival& arrival, cudaStream_t stream);
/// Lets what is behind it in the stream begin when the host says so.
cudaError_t launch_gate(const GateLaunch& gate, cudaStream_t stream);
/// Begins and does not end before `stop`.
cudaError_t launch_hang(Stamp* stamp, const unsigned int* stop, cudaStream_t stream);
/// Begins and breaks the context of its GPU.
cudaError_t launch_fail(Stamp* stamp, cudaStream_t stream);

}  // namespace bubblescope::gpu
