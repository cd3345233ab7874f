#include "tools/progress.h"

#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "sim/base/printable.h"
#include "tools/message.h"

namespace bubblescope {

using namespace std::chrono_literals;

Progress::Progress(bool quiet) {
  if (!quiet && isatty(STDERR_FILENO) != 0)
    thread_ = std::jthread([this](const std::stop_token& stop) { show(stop); });
}

Progress::~Progress() = default;

void Progress::now(std::string what) {
  const std::lock_guard lock(mutex_);
  what_ = std::move(what);
}

void Progress::show(const std::stop_token& stop) {
  constexpr auto kPatience = 1s;
  constexpr auto kInterval = 100ms;
  std::unique_lock lock(mutex_);
  const auto stopped = [&] { return stop.stop_requested(); };
  if (changed_.wait_for(lock, stop, kPatience, stopped))
    return;
  do {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
    write_stderr(fmt::format("\r\x1b[K{} ({:.1f} s)", printable(what_), elapsed.count()));
  } while (!changed_.wait_for(lock, stop, kInterval, stopped));
  write_stderr("\r\x1b[K");
}

}  // namespace bubblescope
