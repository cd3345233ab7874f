// Exit codes, and the exceptions that lead to them.
#pragma once

#include <stdexcept>

namespace bubblescope {

enum ExitCode : int {
  kDone = 0,
  kCheckFailed = 1,
  kUsage = 2,     ///< The command line itself is wrong.
  kBadInput = 3,  ///< An input, a schedule's constraint, or an output that cannot be written.
  kDevice = 4,    ///< A device or a peer failed or is missing: DeviceError.
};

/// Something is wrong on the command line; bad input is bubblescope::Error.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace bubblescope
