#pragma once

#include <string>

namespace bubblescope {

/// Compares with tests/golden/`name`, or writes it where BUBBLESCOPE_UPDATE_GOLDEN is set.
void check_golden(const std::string& name, const std::string& text);

}  // namespace bubblescope
