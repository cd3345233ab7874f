// bubblescope help [SUBCOMMAND]: what --help prints.
#include <string>

#include "tools/commands/command.h"

namespace bubblescope {

std::string help_text(const CLI::App& app) {
  const CLI::App* parent = app.get_parent();
  const std::string name = (parent != nullptr ? parent->get_name() + " " : "") + app.get_name();
  std::string text = app.get_formatter()->make_help(&app, name, CLI::AppFormatMode::Normal);
  for (auto gap = text.find("\n\n\n"); gap != std::string::npos; gap = text.find("\n\n\n"))
    text.erase(gap, 1);
  text.erase(text.find_last_not_of('\n') + 1);
  return text + "\n";
}

CLI::App* add_help(CLI::App& root) {
  return root.add_subcommand("help", "how a subcommand is used: bubblescope help compare");
}

}  // namespace bubblescope
