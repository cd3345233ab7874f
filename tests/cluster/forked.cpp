#include "tests/cluster/forked.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kSignal = 128;  // as a shell tells it
constexpr int kThrew = 99;

}  // namespace

Forked::Forked(const std::function<int()>& work) : id_(0) {
  std::fflush(nullptr);  // so that it does not write what this one has not written yet
  id_ = ::fork();
  if (id_ < 0)
    throw std::system_error(errno, std::generic_category(), "fork");
  if (id_ > 0)
    return;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    ::_exit(work());
  } catch (const std::exception&) {
    ::_exit(kThrew);
  }
}

Forked::Forked(Forked&& other) noexcept
    : id_(std::exchange(other.id_, 0)), exit_code_(other.exit_code_) {}

Forked::~Forked() {
  if (id_ == 0 || exit_code_)
    return;
  send(SIGKILL);
  while (::waitpid(id_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Forked::send(int signal) const {
  if (!exit_code_)
    ::kill(id_, signal);
}

std::optional<int> Forked::exit_code(milliseconds patience) {
  comes_true(
      [&] {
        int status = 0;
        if (!exit_code_ && ::waitpid(id_, &status, WNOHANG) == id_)
          exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : kSignal + WTERMSIG(status);
        return exit_code_.has_value();
      },
      patience);
  return exit_code_;
}

int exit_code_of(const std::function<int()>& work) {
  return Forked(work).exit_code(std::chrono::seconds(30)).value_or(kSignal + SIGKILL);
}

bool comes_true(const std::function<bool()>& what, milliseconds patience) {
  const auto give_up = steady_clock::now() + patience;
  while (!what()) {
    if (steady_clock::now() >= give_up)
      return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

}  // namespace bubblescope
