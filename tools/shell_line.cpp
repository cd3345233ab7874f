#include "tools/shell_line.h"

namespace bubblescope {

std::string shell_line(const std::vector<std::string>& words) {
  std::string line = "bubblescope";
  for (const std::string& word : words) {
    const bool plain = word.find_first_of(" \t\n\"'$&|;<>()*?[]#~`\\!{}") == std::string::npos;
    std::string quoted;
    for (const char c : word)
      quoted += c == '\'' ? "'\\''" : std::string(1, c);
    line += plain && !word.empty() ? " " + word : " '" + quoted + "'";
  }
  return line;
}

}  // namespace bubblescope
