// Names that files tell, as they may stand on a terminal.
#pragma once

#include <string>
#include <string_view>

namespace bubblescope {

/// UTF-8 `text` with a '?' for each control character, cut after 64 characters; "unnamed" where
/// there is none.
std::string printable_name(std::string_view text);

}  // namespace bubblescope
