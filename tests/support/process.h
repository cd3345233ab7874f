// Runs the built program as a user does, and makes folders for what it writes.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/sanitized.h"

namespace bubblescope {

struct ProcessOptions {
  /// Beside the caller's environment, of which BUBBLESCOPE_* and NO_COLOR are not passed on.
  std::map<std::string, std::string> environment = {};
  std::filesystem::path folder = {};  ///< Working directory; empty: the caller's.
  std::string stdout_path = {};       ///< Where stdout goes instead of `out`: "/dev/full".
  bool terminal = false;              ///< stdout is a terminal, of which `out` is the screen.
  /// Bytes. It bounds the resident memory too, whose peak wait4 cannot tell: Linux counts what
  /// this process held when it forked. No limit if kSanitized.
  std::optional<std::size_t> address_space = {};
};

struct ProcessResult {
  int exit_code = 0;  ///< 128 + the signal's number if a signal ended it.
  std::string out = {};
  std::string err = {};
  std::chrono::duration<double> wall{};
};

/// Whether `ProcessOptions::terminal` can be had: a container may lack /dev/pts.
bool has_terminals();

/// Runs bubblescope. Throws std::system_error if no process can be started.
ProcessResult run_program(const std::vector<std::string>& arguments,
                          const ProcessOptions& options = {});

/// The same through a shell, whose PATH finds this bubblescope first.
ProcessResult run_shell(const std::string& script, const ProcessOptions& options = {});

/// A new folder, which goes with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  void write(const std::string& name, std::string_view text) const;
  /// Names of all that lies in it, sorted, joined by blanks.
  std::string listing() const;

 private:
  std::filesystem::path path_;
};

}  // namespace bubblescope
