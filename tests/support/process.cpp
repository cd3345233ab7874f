#include "tests/support/process.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "tests/support/child.h"

namespace bubblescope {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

int open_terminal() {
  const int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  return terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0 ? terminal : -1;
}

/// Where the child writes: the far end of `screen`, `path`, or `captured`.
int stdout_of_child(const ProcessOptions& options, int screen, int captured) {
  if (options.terminal)
    return open(ptsname(screen), O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (!options.stdout_path.empty())
    return open(options.stdout_path.c_str(), O_WRONLY | O_CLOEXEC);
  return fcntl(captured, F_DUPFD_CLOEXEC, 0);
}

/// `start(options, streams)` starts the child.
template <typename Start>
ProcessResult run(const ProcessOptions& options, const Start& start) {
  const Descriptor out(options.terminal ? open_terminal() : memory_file("stdout"), "stdout");
  const Descriptor err(memory_file("stderr"), "stderr");
  auto far_end = std::make_unique<Descriptor>(stdout_of_child(options, out.number(), out.number()),
                                              options.stdout_path);
  const auto begin = std::chrono::steady_clock::now();
  const pid_t id = start(options, ChildStreams{far_end->number(), err.number()});
  far_end.reset();
  ProcessResult result;
  if (options.terminal)  // it holds a few KiB only
    result.out = all_of(out);
  int status = 0;
  while (waitpid(id, &status, 0) < 0)
    if (errno != EINTR)
      fail("waitpid");
  result.wall = std::chrono::steady_clock::now() - begin;
  result.exit_code = exit_code_of(status);
  if (!options.terminal)
    result.out = all_of(out);
  result.err = all_of(err);
  return result;
}

}  // namespace

bool has_terminals() {
  const int terminal = open_terminal();
  const int far_end = terminal < 0 ? -1 : open(ptsname(terminal), O_RDWR | O_NOCTTY | O_CLOEXEC);
  for (const int file : {terminal, far_end})
    if (file >= 0)
      close(file);
  return far_end >= 0;
}

std::filesystem::path program_file() {
  return BUBBLESCOPE_PROGRAM;
}

ProcessResult run_program(const std::vector<std::string>& arguments,
                          const ProcessOptions& options) {
  return run(options, [&](const auto&... how) { return start_command(arguments, how...); });
}

ProcessResult run_shell(const std::string& script, const ProcessOptions& options) {
  return run(options, [&](const auto&... how) {
    return start_child("/bin/sh", {"-c", script}, how...);
  });
}

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "bubblescope-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr)
    fail(name);
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void TemporaryFolder::write(const std::string& name, std::string_view text) const {
  std::ofstream file(path_ / name, std::ios::binary);
  file << text;
  if (!file.flush())
    fail(name);
}

std::string TemporaryFolder::listing() const {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path_))
    names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, " "));
}

}  // namespace bubblescope
