#include "tests/bench/measure.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <sys/wait.h>
#include <unistd.h>

#include "sim/base/flat_array.h"

namespace bubblescope::bench {
namespace {

/// Forks; the child runs `work(pipe)` and ends. Gives what it wrote into the pipe.
std::string read_from_child(const std::function<void(int)>& work) {
  int ends[2];
  std::fflush(nullptr);
  if (pipe(ends) != 0)
    throw std::runtime_error("cannot make a pipe");
  const pid_t child = fork();
  if (child < 0)
    throw std::runtime_error("cannot fork");
  if (child == 0) {
    close(ends[0]);
    try {
      work(ends[1]);
      _exit(EXIT_SUCCESS);
    } catch (const std::exception& error) {
      std::fprintf(stderr, "bubblescope_bench: %s\n", error.what());
      _exit(EXIT_FAILURE);
    }
  }
  close(ends[1]);
  std::string written;
  char buffer[4096];
  for (ssize_t count = 0; (count = read(ends[0], buffer, sizeof buffer)) > 0;)
    written.append(buffer, static_cast<std::size_t>(count));
  close(ends[0]);
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0)
    throw std::runtime_error("a measuring process failed");
  return written;
}

/// A line of /proc/self/status, "VmHWM:    1234 kB", in bytes.
std::int64_t status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  std::string word;
  while (file >> word)
    if (word == key + ":") {
      std::int64_t kibibytes = 0;
      file >> kibibytes;
      return kibibytes * 1024;
    }
  throw std::runtime_error("/proc/self/status tells no " + key);
}

}  // namespace

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Resident resident() {
  return {.peak_bytes = status_bytes("VmHWM"), .now_bytes = status_bytes("VmRSS")};
}

void make_present(double bytes) {
  in_child([=] {
    FlatArray<char> memory(static_cast<std::size_t>(bytes));
    std::fill(memory.begin(), memory.end(), 'x');
    return memory.back();
  });
}

void run_in_child(void* result, std::size_t size, const std::function<void(void*)>& work) {
  const std::string bytes = read_from_child([&](int pipe) {
    work(result);  // the child's copy of it
    if (write(pipe, result, size) != static_cast<ssize_t>(size))
      throw std::runtime_error("cannot hand over a result");
  });
  if (bytes.size() != size)
    throw std::runtime_error("a measuring process gave no result");
  std::copy(bytes.begin(), bytes.end(), static_cast<char*>(result));
}

std::string output_of(const std::vector<std::string>& command) {
  return read_from_child([&](int pipe) {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& word : command)
      arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    dup2(pipe, STDOUT_FILENO);
    execv(arguments[0], arguments.data());
    throw std::runtime_error("cannot run " + command[0]);
  });
}

}  // namespace bubblescope::bench
