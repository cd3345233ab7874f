// bubblescope man: the manual page, made from the same words as --help.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/output.h"
#include "tools/variables.h"
#include "tools/version.h"

namespace bubblescope {
namespace {

/// As roff shows it unchanged: no line is a request, and a hyphen is the one that a shell knows.
std::string escaped(std::string_view text) {
  std::string out;
  bool begins_line = true;
  for (const char c : text) {
    if (begins_line && (c == '.' || c == '\''))
      out += "\\&";
    begins_line = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

/// Lines as they stand.
std::string verbatim(const std::string& text) {
  return text.empty() ? "" : fmt::format(".nf\n{}\n.fi\n", escaped(text));
}

std::string option_text(const CLI::Option& option) {
  const std::string name =
      option.nonpositional() ? option.get_name(false, true) : option.get_name(true);
  const std::string type = option.get_type_size() == 0 ? "" : option.get_type_name();
  return fmt::format(".TP\n\\fB{}\\fR{}\n{}\n", escaped(name),
                     type.empty() ? "" : " \\fI" + escaped(type) + "\\fR",
                     escaped(option.get_description()));
}

/// Group by group, as --help has them; those of `but` are left out.
std::string options_text(const CLI::App& app, const CLI::App* but = nullptr) {
  std::vector<std::string> groups;
  std::string text;
  for (const CLI::Option* option : app.get_options())
    if (std::find(groups.begin(), groups.end(), option->get_group()) == groups.end())
      groups.push_back(option->get_group());
  for (const std::string& group : groups) {
    if (group.empty())
      continue;
    for (const CLI::Option* option : app.get_options()) {
      const bool is_known =
          but != nullptr && !option->get_lnames().empty() &&
          but->get_option_no_throw("--" + option->get_lnames().front()) != nullptr;
      if (option->get_group() == group && !is_known)
        text += option_text(*option);
    }
  }
  return text;
}

std::string man_page(const CLI::App& root) {
  std::string page = fmt::format(
      ".TH BUBBLESCOPE 1 \"\" \"bubblescope {}\" \"User Commands\"\n"
      ".SH NAME\nbubblescope \\- {}\n"
      ".SH SYNOPSIS\n\\fBbubblescope\\fR [\\fIOPTIONS\\fR] \\fISUBCOMMAND\\fR [\\fIOPTIONS\\fR]\n"
      ".SH OPTIONS\n{}.SH SUBCOMMANDS\n",
      kVersion, escaped(root.get_description()), options_text(root));
  for (const CLI::App* app : root.get_subcommands([](const CLI::App*) { return true; }))
    page += fmt::format(".SS {}\n{}\n{}.PP\n{}", escaped(app->get_name()),
                        escaped(app->get_description()), options_text(*app, &root),
                        verbatim(app->get_footer()));
  page +=
      ".SH ENVIRONMENT\nEach option can be given by a variable: \\-\\-ranks by "
      "BUBBLESCOPE_RANKS.\n";
  for (const ProgramVariable& variable : kProgramVariables)
    page += fmt::format(".TP\n\\fB{}\\fR\n{}\n", variable.name, escaped(variable.help));
  return page + ".SH NOTES\n" + verbatim(root.get_footer());
}

}  // namespace

Command add_man(CLI::App& root, const GlobalOptions&) {
  auto* app = root.add_subcommand("man", "the manual page, for 'bubblescope man | man -l -'");
  return {app, [&root] {
            write_output("", man_page(root));
            return kDone;
          }};
}

}  // namespace bubblescope
