#include "tests/support/process.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

extern char** environ;

namespace bubblescope {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

class Descriptor {
 public:
  Descriptor(int number, const std::string& what) : number_(number) {
    if (number_ < 0)
      fail(what);
  }
  ~Descriptor() { close(number_); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

/// What a file has from its beginning, or what a terminal has shown.
std::string all_of(const Descriptor& file) {
  lseek(file.number(), 0, SEEK_SET);
  std::string text;
  char buffer[1 << 14];
  ssize_t got = 0;
  while ((got = read(file.number(), buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<std::size_t>(got));
  return text;
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
  std::string path;
  std::vector<char*> arguments;
  std::vector<char*> environment;
  std::filesystem::path folder;
  std::optional<std::size_t> address_space;
  int streams[3];  // stdin, stdout, stderr
};

/// Between fork and exec, where no memory may be allocated.
[[noreturn]] void become(const Child& child) {
  constexpr int kCannotStart = 127;
  bool good = true;
  for (int stream = 0; stream < 3; ++stream)
    good = good && dup2(child.streams[stream], stream) == stream;
  if (!child.folder.empty())
    good = good && chdir(child.folder.c_str()) == 0;
  if (child.address_space && !kSanitized) {
    const rlimit limit = {*child.address_space, *child.address_space};
    good = good && setrlimit(RLIMIT_AS, &limit) == 0;
  }
  if (good)
    execve(child.path.c_str(), child.arguments.data(), child.environment.data());
  _exit(kCannotStart);
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

ProcessResult run(const std::string& path, std::vector<std::string> arguments,
                  const ProcessOptions& options) {
  arguments.insert(arguments.begin(), path);
  std::vector<std::string> environment = child_environment(options);
  const Descriptor in(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
  const Descriptor out(options.terminal ? open_terminal() : memfd_create("stdout", MFD_CLOEXEC),
                       "stdout");
  const Descriptor err(memfd_create("stderr", MFD_CLOEXEC), "stderr");
  auto far_end = std::make_unique<Descriptor>(stdout_of_child(options, out.number(), out.number()),
                                              options.stdout_path);
  const Child child = {
      path,           pointers(arguments),   pointers(environment),
      options.folder, options.address_space, {in.number(), far_end->number(), err.number()}};
  const auto begin = std::chrono::steady_clock::now();
  const pid_t id = fork();
  if (id < 0)
    fail("fork");
  if (id == 0)
    become(child);
  far_end.reset();
  ProcessResult result;
  if (options.terminal)  // it holds a few KiB only
    result.out = all_of(out);
  int status = 0;
  while (waitpid(id, &status, 0) < 0)
    if (errno != EINTR)
      fail("waitpid");
  result.wall = std::chrono::steady_clock::now() - begin;
  constexpr int kSignal = 128;  // as a shell tells it
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : kSignal + WTERMSIG(status);
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

ProcessResult run_program(const std::vector<std::string>& arguments,
                          const ProcessOptions& options) {
  return run(BUBBLESCOPE_PROGRAM, arguments, options);
}

ProcessResult run_shell(const std::string& script, const ProcessOptions& options) {
  return run("/bin/sh", {"-c", script}, options);
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
