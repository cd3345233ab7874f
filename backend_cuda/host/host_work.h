// What actions and messages do with data on a host; when, the executor sees to.
#pragma once

#include <memory>
#include <optional>

#include "backend_cuda/host/abort.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope {

/// Ranks call it from threads of their own: a rank's actions come one after another, and a message
/// is delivered after what made its output and before what needs it.
class HostWork {
 public:
  HostWork() = default;
  HostWork(const HostWork&) = delete;
  HostWork& operator=(const HostWork&) = delete;
  virtual ~HostWork() = default;

  /// Before the first instruction of a step.
  virtual void reset() = 0;
  /// Throws DeviceError where an input is not what the action needs, and Aborted.
  virtual void execute(const Action& action) = 0;
  /// Copies what the sender made to where the receiver expects it.
  virtual void deliver(const PlanMessage& message) = 0;
  /// After a step.
  virtual std::optional<Parity> parity() = 0;
};

/// Outputs are tokens that tell what they are, so that each action can see whether its input is its
/// own.
std::unique_ptr<HostWork> make_token_work(const Plan& plan);

/// Outputs are activations and gradients of residual MLP blocks, in double precision. `aborted` is
/// seen within a second or two, and has to outlive the work.
std::unique_ptr<HostWork> make_tensor_work(const Plan& plan, const TensorShape& shape,
                                           const AbortFlag& aborted);

}  // namespace bubblescope
