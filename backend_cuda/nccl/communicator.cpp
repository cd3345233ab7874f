#include "backend_cuda/nccl/communicator.h"

#include <chrono>
#include <exception>
#include <thread>
#include <utility>

#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::microseconds kNap{20};
/// For the word of a process that has failed, which ends its connections as well.
constexpr std::chrono::seconds kForTheCause{1};

}  // namespace

Communicator::Communicator(const Nccl& nccl, CommunicatorOptions options,
                           std::function<void()> keep_waiting)
    : nccl_(nccl), options_(std::move(options)), keep_waiting_(std::move(keep_waiting)) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  if (options_.max_ctas > 0) {
    config.minCTAs = 1;
    config.maxCTAs = options_.max_ctas;
  }
  check(nccl.init_rank(&communicator_, options_.processes, options_.id, options_.index, &config));
  try {
    settle();
  } catch (...) {
    abort();
    throw;
  }
}

/// In order where all is well: what its processes have begun has ended, so that no one waits long.
Communicator::~Communicator() {
  constexpr std::chrono::seconds kPatience{2};
  if (std::uncaught_exceptions() > 0)
    abort();
  if (communicator_ == nullptr)
    return;
  ncclResult_t result = nccl_.finalize(communicator_);
  try {
    for (const auto give_up = steady_clock::now() + kPatience;
         result == ncclInProgress && steady_clock::now() < give_up; result = state()) {
      keep_waiting_();
      std::this_thread::sleep_for(kNap);
    }
  } catch (const std::exception&) {  // it is aborted
  }
  if (result == ncclSuccess)
    nccl_.destroy(communicator_);
  else
    abort();
}

void Communicator::check() {
  const std::lock_guard lock(mutex_);
  if (communicator_ != nullptr)
    check(state());
}

void Communicator::abort() noexcept {
  const std::lock_guard lock(mutex_);
  if (communicator_ != nullptr)
    nccl_.abort(std::exchange(communicator_, nullptr));
}

void Communicator::require_alive() const {
  if (communicator_ == nullptr)
    throw DeviceError(options_.name + ": ended before its time");
}

/// Waits until the last call is through.
void Communicator::settle() {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      require_alive();
      const ncclResult_t now = state();
      if (now != ncclInProgress)
        return check(now);
    }
    keep_waiting_();
    std::this_thread::sleep_for(kNap);
  }
}

ncclResult_t Communicator::state() const {
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = nccl_.get_async_error(communicator_, &state);
  return asked == ncclSuccess ? state : asked;
}

void Communicator::wait_for_cause() const {
  for (const auto give_up = steady_clock::now() + kForTheCause; steady_clock::now() < give_up;) {
    keep_waiting_();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void Communicator::check(ncclResult_t result) const {
  find_cause([&] { nccl_.check(result, options_.name.c_str()); });
}

}  // namespace bubblescope::gpu
