#include "backend_cuda/cluster/process_name.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/cluster/socket.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr int kMostRanges = 12;

}  // namespace

ProcessName this_process(int rank) {
  return {rank, host_name(), ::getpid()};
}

std::string host_identity() {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  std::error_code none;
  const std::string clock = std::filesystem::read_symlink("/proc/self/ns/time", none).string();
  return fmt::format("{} {} {}", host_name(), boot, clock);
}

std::string to_string(const ProcessName& process) {
  return fmt::format("rank {} (host {}, process {})", process.rank, printable_name(process.host),
                     process.pid);
}

std::string rank_ranges(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  int ranges = 0;
  for (std::size_t first = 0; first < ranks.size(); ++ranges) {
    if (ranges == kMostRanges)
      return text + fmt::format(", … ({} in all)", ranks.size());
    std::size_t last = first;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1)
      ++last;
    text += ranges == 0 ? "" : ", ";
    text += std::to_string(ranks[first]);
    if (last > first)
      text += fmt::format("{}{}", last == first + 1 ? ", " : "-", ranks[last]);
    first = last + 1;
  }
  return text;
}

std::string seconds_text(std::chrono::milliseconds time) {
  return fmt::format("{} s", static_cast<double>(time.count()) / 1'000);
}

}  // namespace bubblescope
