#pragma once

#include <stdexcept>

namespace bubblescope {

/// Bad input. The message names the file or schedule, the place in it and what was expected, and
/// needs no word added to be shown to the user. Our own bugs are asserts, never Errors.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace bubblescope
