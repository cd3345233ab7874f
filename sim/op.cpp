#include "sim/op.h"

#include <fmt/format.h>

namespace bubblescope {

std::string to_string(const Op& op) {
  return fmt::format("{}{}{}", op.stage(), letter(op.kind()), op.microbatch());
}

std::string to_string(const Action& action) {
  if (!action.is_pair())
    return to_string(action.op());
  return fmt::format("({};{})OVERLAP_F_B", to_string(action.op()), to_string(action.overlapped()));
}

}  // namespace bubblescope
