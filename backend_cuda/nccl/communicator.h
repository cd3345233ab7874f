// One of NCCL's communicators, non-blocking, so that nothing hangs with a peer that does.
#pragma once

#include <functional>
#include <mutex>
#include <string>

#include "backend_cuda/nccl/library.h"

namespace bubblescope::gpu {

struct CommunicatorOptions {
  std::string name;  ///< "messages from rank 0 to rank 1", for errors.
  ncclUniqueId id;
  int processes;
  int index;     ///< Of this process among them.
  int max_ctas;  ///< 0: as many as NCCL likes.
};

class Communicator {
 public:
  /// Waits until all its processes have made it. While anything is waited for, also at its end,
  /// `keep_waiting` is called, and throws once that is in vain.
  Communicator(const Nccl& nccl, CommunicatorOptions options, std::function<void()> keep_waiting);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// Calls `enqueue(communicator)`, whose sends and receives begin together.
  template <class Enqueue>
  void group(Enqueue&& enqueue) {
    {
      const std::lock_guard lock(mutex_);
      require_alive();
      find_cause([&] {
        nccl_.check(nccl_.group_start(), "ncclGroupStart");
        try {
          enqueue(communicator_);
        } catch (...) {
          nccl_.group_end();  // an open group is the thread's, and would take its next calls too
          throw;
        }
        nccl_.check(nccl_.group_end(), "ncclGroupEnd");
      });
    }
    settle();
  }

  int index() const { return options_.index; }
  /// Throws DeviceError where it has failed. From any thread, as `abort`.
  void check();
  void abort() noexcept;

 private:
  /// Where a connection has ended, waits for word of the process that is the cause.
  template <class Call>
  void find_cause(Call&& call) const {
    try {
      call();
    } catch (const ConnectionEnded&) {
      wait_for_cause();
      throw;
    }
  }
  void wait_for_cause() const;
  void require_alive() const;
  void settle();
  ncclResult_t state() const;
  void check(ncclResult_t result) const;

  const Nccl& nccl_;
  const CommunicatorOptions options_;
  const std::function<void()> keep_waiting_;
  mutable std::mutex mutex_;  // nothing may use it while it is aborted
  ncclComm_t communicator_ = nullptr;
};

}  // namespace bubblescope::gpu
