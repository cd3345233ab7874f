// How messages call processes.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace bubblescope {

/// A process of a job, and where to find it.
struct ProcessName {
  int rank;
  std::string host;
  std::int64_t pid;
};

ProcessName this_process(int rank);
/// Of this host and its clock until it boots again: a name alone may be that of many containers,
/// and a container may have a clock of its own.
std::string host_identity();
/// "rank 2 (host gpu7, process 4711)"
std::string to_string(const ProcessName& process);
/// "rank 2", "ranks 2, 5-7": ascending ones; "ranks 0, 2, … (9 in all)" where they are many.
std::string rank_ranges(const std::vector<int>& ranks);
/// "60 s", "0.5 s"
std::string seconds_text(std::chrono::milliseconds time);

}  // namespace bubblescope
