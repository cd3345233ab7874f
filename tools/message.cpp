#include "tools/message.h"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <ctime>
#include <string>
#include <unistd.h>

#include "sim/base/printable.h"

namespace bubblescope {
namespace {

/// Keeps this thread from a SIGPIPE that its writes raise, which would end the program.
class NoPipeSignal {
 public:
  NoPipeSignal() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoPipeSignal() {
    const timespec at_once{};
    if (sigismember(&before_, SIGPIPE) == 0)
      sigtimedwait(&pipe_, nullptr, &at_once);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoPipeSignal(const NoPipeSignal&) = delete;
  NoPipeSignal& operator=(const NoPipeSignal&) = delete;

 private:
  sigset_t pipe_{};
  sigset_t before_{};
};

}  // namespace

void say(std::string_view text) {
  const auto next_line = [](std::string_view rest) {
    return std::size_t{rest.starts_with("\n  ")};
  };
  write_stderr("bubblescope: " + printable(text, next_line) + "\n");
}

void write_stderr(std::string_view text) {
  const NoPipeSignal no_signal;
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace bubblescope
