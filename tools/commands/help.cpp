// bubblescope help [SUBCOMMAND]: what --help prints.
#include <string>
#include <utility>
#include <vector>

#include "tools/commands/command.h"

namespace bubblescope {

std::string help_text(const CLI::App& app) {
  std::string text = app.help();
  for (auto gap = text.find("\n\n\n"); gap != std::string::npos; gap = text.find("\n\n\n"))
    text.erase(gap, 1);
  text.erase(text.find_last_not_of('\n') + 1);
  return text + "\n";
}

void add_help(CLI::App& root) {
  root.add_subcommand("help", "how a subcommand is used: bubblescope help compare");
}

std::vector<std::string> without_help_command(std::vector<std::string> words) {
  if (words.size() < 2 || words[1] != "help")
    return words;
  words.erase(words.begin() + 1);
  words.emplace_back("--help");
  return words;
}

}  // namespace bubblescope
