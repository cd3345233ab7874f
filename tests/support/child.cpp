#include "tests/support/child.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <filesystem>
#include <iterator>
#include <map>
#include <optional>
#include <string_view>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "tests/support/effort.h"
#include "tools/command_line.h"

extern char** environ;

namespace bubblescope {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::vector<std::string> child_environment(const ProcessOptions& options) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = std::min(text.find('='), text.size());
    const std::string name(text.substr(0, equals));
    if (!name.starts_with("BUBBLESCOPE_") && name != "NO_COLOR" && equals < text.size())
      variables[name] = text.substr(equals + 1);
  }
  const std::filesystem::path program = BUBBLESCOPE_PROGRAM;
  variables["PATH"] = fmt::format("{}:{}", program.parent_path().string(), variables["PATH"]);
  for (const auto& [name, value] : options.environment)
    variables[name] = value;
  std::vector<std::string> result;
  for (const auto& [name, value] : variables)
    result.push_back(fmt::format("{}={}", name, value));
  return result;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts)
    result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

struct Child {
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::filesystem::path folder;
  std::optional<std::size_t> address_space;
  int streams[3];  // stdin, stdout, stderr
};

constexpr int kCannotStart = 127;

std::ptrdiff_t threads_of_process() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/task"), {});
}

/// Makes this fork what `child` tells. No memory may be allocated between fork and exec.
bool become(const Child& child) {
  bool good = prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
  for (int stream = 0; stream < 3; ++stream)
    good = good && dup2(child.streams[stream], stream) == stream;
  if (!child.folder.empty())
    good = good && chdir(child.folder.c_str()) == 0;
  if (child.address_space && !kSanitized) {
    const rlimit limit = {*child.address_space, *child.address_space};
    good = good && setrlimit(RLIMIT_AS, &limit) == 0;
  }
  return good;
}

/// A fork of this process that ends with what `run` returns of it.
template <typename Run>
pid_t start(std::vector<std::string> arguments, const ProcessOptions& options,
            const ChildStreams& streams, const Run& run) {
  std::vector<std::string> environment = child_environment(options);
  const Descriptor in(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
  const Child child = {pointers(arguments),
                       pointers(environment),
                       options.folder,
                       options.address_space,
                       {in.number(), streams.out, streams.err}};
  std::fflush(stdout);  // or the child would write it too
  const pid_t id = fork();
  if (id < 0)
    fail("fork");
  if (id == 0)
    _exit(become(child) ? run(child) : kCannotStart);
  return id;
}

}  // namespace

Descriptor::Descriptor(int number, const std::string& what) : number_(number) {
  if (number_ < 0)
    fail(what);
}

Descriptor::~Descriptor() {
  close(number_);
}

int memory_file(const char* name) {
  const int file = memfd_create(name, MFD_CLOEXEC);
  return file >= 0 && fcntl(file, F_SETFL, O_APPEND) == 0 ? file : -1;
}

std::string all_of(const Descriptor& file) {
  lseek(file.number(), 0, SEEK_SET);
  std::string text;
  char buffer[1 << 14];
  ssize_t got = 0;
  while ((got = read(file.number(), buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<std::size_t>(got));
  return text;
}

pid_t start_child(const std::string& path, std::vector<std::string> arguments,
                  const ProcessOptions& options, const ChildStreams& streams) {
  arguments.insert(arguments.begin(), path);
  return start(std::move(arguments), options, streams, [&path](const Child& child) {
    execve(path.c_str(), child.arguments.data(), child.environment.data());
    return kCannotStart;
  });
}

pid_t start_command(std::vector<std::string> arguments, const ProcessOptions& options,
                    const ChildStreams& streams) {
  // Where another thread holds a lock of a sanitizer's allocator, it stays locked in a fork.
  if (kSanitized && threads_of_process() > 1)
    return start_child(BUBBLESCOPE_PROGRAM, std::move(arguments), options, streams);
  arguments.insert(arguments.begin(), "bubblescope");
  return start(std::move(arguments), options, streams, [](Child child) {
    for (const int number : {SIGINT, SIGILL, SIGFPE, SIGSEGV, SIGTERM, SIGABRT})
      std::signal(number, SIG_DFL);  // doctest has handlers
    environ = child.environment.data();
    return run_command_line(static_cast<int>(child.arguments.size()) - 1, child.arguments.data());
  });
}

int exit_code_of(int wait_status) {
  constexpr int kSignal = 128;
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : kSignal + WTERMSIG(wait_status);
}

}  // namespace bubblescope
