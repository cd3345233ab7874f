// How a process is run.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "tests/support/effort.h"

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

}  // namespace bubblescope
