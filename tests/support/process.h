// Runs bubblescope as a user does, and makes folders for what it writes.
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/process_options.h"

namespace bubblescope {

struct ProcessResult {
  int exit_code = 0;  ///< 128 + the signal's number if a signal ended it.
  std::string out = {};
  std::string err = {};
  std::chrono::duration<double> wall{};
};

/// Whether `ProcessOptions::terminal` can be had: a container may lack /dev/pts.
bool has_terminals();

/// The built program.
std::filesystem::path program_file();

/// Runs bubblescope's command line in a process of its own. Throws std::system_error if none can be
/// started.
ProcessResult run_program(const std::vector<std::string>& arguments,
                          const ProcessOptions& options = {});

/// Runs a shell, whose PATH finds the built program first.
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
