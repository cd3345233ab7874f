// A command line as it can be typed again.
#pragma once

#include <string>
#include <vector>

namespace bubblescope {

/// "bubblescope" and the words, each as a shell takes it.
std::string shell_line(const std::vector<std::string>& words);

}  // namespace bubblescope
