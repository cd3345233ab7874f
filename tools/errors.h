// Exit codes, and the exceptions that lead to them.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace bubblescope {

enum ExitCode : int {
  kDone = 0,
  kCheckFailed = 1,
  kUsage = 2,     ///< The command line itself is wrong.
  kBadInput = 3,  ///< An input, a schedule's constraint, or an output that cannot be written.
  kDevice = 4,    ///< A device or a peer failed or is missing: DeviceError.
};

/// Something is wrong on the command line; bad input is bubblescope::Error. It carries the options
/// that it is about by their long names, so that the message can end with where they come from.
class UsageError : public std::runtime_error {
 public:
  explicit UsageError(const std::string& what, std::vector<std::string> about = {})
      : std::runtime_error(what), about_(std::move(about)) {}

  const std::vector<std::string>& about() const { return about_; }

 private:
  std::vector<std::string> about_;
};

/// "--forward: expected …". `more` are other options that the message names.
inline UsageError wrong_option(const std::string& option, const std::string& what,
                               std::vector<std::string> more = {}) {
  more.insert(more.begin(), option);
  return UsageError(option + ": " + what, std::move(more));
}

}  // namespace bubblescope
