// bubblescope: reads the command line, dispatches, and turns exceptions into exit codes.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <istream>
#include <malloc.h>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "backend_cuda/replay/executor.h"
#include "sim/error.h"
#include "sim/nearest.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/output.h"
#include "tools/version.h"

namespace bubblescope {
namespace {

/// A flag beats the environment, and the environment beats the file. CLI11 reads the file first, so
/// what the environment sets is taken out of it here.
class ConfigBelowEnvironment : public CLI::ConfigTOML {
 public:
  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> given = CLI::ConfigTOML::from_config(input);
    std::erase_if(given, [](const CLI::ConfigItem& item) {
      const char* value = std::getenv(environment_name(item.name).c_str());
      return value != nullptr && *value != '\0';
    });
    return given;
  }
};

/// Help without the names of environment variables, which would double its length.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_name().empty() ? "" : " " + option->get_type_name();
  }
};

/// What was given but belongs to no subcommand or option, with the nearest that does.
void refuse_unknown(const CLI::App& root, const std::vector<Command>& commands) {
  std::vector<std::string> extras = root.remaining(true);
  std::erase(extras, "--");  // the end of the options
  if (extras.empty())
    return;
  const std::string& word = extras.front();
  std::vector<std::string> known;
  const bool is_option = word.starts_with('-');
  for (const Command& command : commands)
    if (!is_option)
      known.push_back(command.app->get_name());
    else if (command.app->parsed())
      for (const CLI::Option* option : command.app->get_options())
        for (const std::string& name : option->get_lnames())
          known.push_back("--" + name);
  if (is_option)
    for (const CLI::Option* option : root.get_options())
      for (const std::string& name : option->get_lnames())
        known.push_back("--" + name);
  const std::string name = word.substr(0, word.find('='));
  if (root.get_subcommands().empty() && !is_option)
    throw UsageError(fmt::format("there is no subcommand '{}'{}", name, did_you_mean(name, known)));
  throw UsageError(is_option
                       ? fmt::format("there is no option {}{}", name, did_you_mean(name, known))
                       : fmt::format("unexpected argument '{}'", word));
}

/// --help and --version, with one blank line between groups and a newline at the end.
int print_help(const CLI::App& root, const CLI::Success& success) {
  std::string text = success.get_name() == "CallForVersion" ? success.what() : root.help();
  for (auto gap = text.find("\n\n\n"); gap != std::string::npos; gap = text.find("\n\n\n"))
    text.erase(gap, 1);
  text.erase(text.find_last_not_of('\n') + 1);
  write_output("", text + "\n");
  return kDone;
}

/// " (from BUBBLESCOPE_RANKS)", or from the file of --config: whence an option comes that an error
/// begins with, unless it was on the command line.
std::string source_of_option(std::string_view error, const CLI::App& app, const CLI::App& root,
                             const std::vector<std::string>& words) {
  const std::string_view told = error.substr(0, error.find_first_of(": '"));  // "-p/--ranks"
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || !told.ends_with("--" + option->get_lnames().front()))
      continue;
    for (const std::string& word : words) {
      const std::string name = word.substr(0, word.find('='));
      const bool is_short =
          word.size() > 1 && word[1] != '-' && option->check_sname(word.substr(1, 1));
      if (word.starts_with('-') && (option->check_name(name) || is_short))
        return "";
    }
    const char* set = std::getenv(option->get_envname().c_str());
    if (set != nullptr && *set != '\0')
      return fmt::format(" (from {})", option->get_envname());
    const CLI::Option* config = root.get_config_ptr();
    return config->count() > 0 ? fmt::format(" (from {})", config->as<std::string>()) : "";
  }
  return "";
}

/// The words as a shell takes them.
std::string command_line(const std::vector<std::string>& words) {
  std::string line = "bubblescope";
  for (std::size_t i = 1; i < words.size(); ++i) {
    const bool plain = words[i].find_first_of(" \t\n\"'$&|;<>()*?[]#~`\\!{}") == std::string::npos;
    std::string quoted;
    for (const char c : words[i])
      quoted += c == '\'' ? "'\\''" : std::string(1, c);
    line += plain && !words[i].empty() ? " " + words[i] : " '" + quoted + "'";
  }
  return line;
}

int run(int argc, char** argv) {
  CLI::App root("Simulates and explains pipeline-parallel training schedules.", "bubblescope");
  GlobalOptions global;
  const std::vector<std::string> words(argv, argv + argc);
  global.command = command_line(words);
  global.add_to(root);
  root.set_version_flag("--version", std::string("bubblescope ") + kVersion, "the version")
      ->group("General");
  root.set_config("--config", "", "options from a TOML file, in a [section] a subcommand")
      ->type_name("FILE")
      ->group("General");
  root.config_formatter(std::make_shared<ConfigBelowEnvironment>());
  auto formatter = std::make_shared<HelpFormatter>();
  constexpr std::size_t kHelpColumn = 26;
  formatter->column_width(kHelpColumn);
  root.formatter(formatter);
  root.set_help_flag("-h,--help", "this help; also after a subcommand")->group("General");
  root.allow_extras();
  root.allow_config_extras(CLI::config_extras_mode::error);
  const std::vector<Command> commands = {
      add_schedules(root, global), add_order(root, global),    add_check(root, global),
      add_simulate(root, global),  add_compare(root, global),  add_explain(root, global),
      add_reproduce(root, global), add_analyze(root, global),  add_costs(root, global),
      add_replay(root, global),    add_validate(root, global), add_calibrate(root, global),
      add_man(root, global)};
  for (const Command& command : commands)
    command.app->fallthrough();
  root.footer(
      "Options also come from the environment (BUBBLESCOPE_RANKS=16) and from --config.\n"
      "Exit codes: 0 done, 1 a check failed, 2 usage, 3 bad input, a deadlock, or an output that "
      "cannot\nbe written, 4 a device or a peer failed or is missing.\n\n"
      "Example:\n  bubblescope compare -p 16 -m 120 --costs deepseek-v3-h800");
  try {
    root.parse(argc, argv);
  } catch (const CLI::Success& success) {
    return print_help(root, success);
  } catch (const CLI::FileError& error) {
    throw Error(fmt::format("--config: {}", error.what()));
  } catch (const CLI::ConfigError& error) {
    const std::string_view what = error.what();  // "INI was not able to parse order.rankz"
    throw UsageError(fmt::format("--config: the file has '{}', which is no option of a subcommand",
                                 what.substr(what.rfind(' ') + 1)));
  } catch (const CLI::ParseError& error) {
    refuse_unknown(root, commands);
    throw UsageError(error.what());
  }
  refuse_unknown(root, commands);
  global.check();
  for (const Command& command : commands)
    if (command.app->parsed())
      try {
        return command.run();
      } catch (const UsageError& error) {
        throw UsageError(error.what() + source_of_option(error.what(), *command.app, root, words));
      }
  throw UsageError("a subcommand is expected; 'bubblescope --help' lists them");
}

int fail(int code, const char* what) {
  fmt::print(stderr, "bubblescope: {}\n", what);
  return code;
}

/// Arrays below 32 MiB are reused by the next one instead of going back to the kernel: filling
/// fresh pages costs more than simulating the ops in them.
void keep_freed_memory() {
  constexpr int kMostKept = 1 << 30;
  constexpr int kLargestBlock = 32 << 20;  // the most that malloc takes for this setting
  mallopt(M_TRIM_THRESHOLD, kMostKept);
  mallopt(M_MMAP_THRESHOLD, kLargestBlock);
}

}  // namespace
}  // namespace bubblescope

int main(int argc, char** argv) {
  using namespace bubblescope;
  keep_freed_memory();
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    return fail(kUsage, error.what());
  } catch (const Error& error) {
    return fail(kBadInput, error.what());
  } catch (const DeviceError& error) {
    return fail(kDevice, error.what());
  } catch (const std::bad_alloc&) {
    return fail(kBadInput, "not enough memory for a job of this size");
  } catch (const std::exception& error) {
    return fail(kBadInput, (std::string("internal error: ") + error.what()).c_str());
  }
}
