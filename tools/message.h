// Messages on stderr, beside the result: a stderr that cannot be written changes no result.
#pragma once

#include <string_view>

namespace bubblescope {

/// "bubblescope: " and the text, of which only lines indented by two blanks follow the first:
/// whatever comes from a file or the environment can neither steer a terminal nor forge a message.
void say(std::string_view text);

/// Writes to stderr as it stands.
void write_stderr(std::string_view text);

}  // namespace bubblescope
