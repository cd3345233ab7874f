// Ctrl-C and kill, for work that has something to save first.
#pragma once

#include <atomic>
#include <csignal>

namespace bubblescope {

/// While it lives, the first SIGINT or SIGTERM sets `seen`; the next ends the program as ever. One
/// at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  const std::atomic<bool>& seen() const;

 private:
  struct sigaction before_interrupt_ {};
  struct sigaction before_terminate_ {};
};

}  // namespace bubblescope
