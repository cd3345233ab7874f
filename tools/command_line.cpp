#include "tools/command_line.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <istream>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "backend_cuda/replay/executor.h"
#include "sim/base/error.h"
#include "sim/base/nearest.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/job.h"
#include "tools/message.h"
#include "tools/options/files.h"
#include "tools/options/option.h"
#include "tools/output.h"
#include "tools/shell_line.h"
#include "tools/variables.h"
#include "tools/version.h"

namespace bubblescope {
namespace {

/// A flag beats the environment, and the environment beats the file. CLI11 reads the file first, so
/// what the environment sets is taken out of it here.
class ConfigBelowEnvironment : public CLI::ConfigTOML {
 public:
  ConfigBelowEnvironment(const CLI::App& root, const CLI::Option& path)
      : root_(root), path_(path) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::istringstream text(whole(input));
    std::vector<CLI::ConfigItem> given = CLI::ConfigTOML::from_config(text);
    std::erase_if(given, [&](const CLI::ConfigItem& item) {
      const char* value = std::getenv(variable_of(item).c_str());
      return value != nullptr && *value != '\0';
    });
    return given;
  }

 private:
  /// The variable of the option that an item names, by whichever of its names.
  std::string variable_of(const CLI::ConfigItem& item) const {
    const CLI::App* app = &root_;
    for (const std::string& parent : item.parents)
      for (const CLI::App* each : root_.get_subcommands([](const CLI::App*) { return true; }))
        app = each->get_name() == parent ? each : app;
    const std::string dashes = item.name.size() == 1 ? "-" : "--";
    const CLI::Option* option = app->get_option_no_throw(dashes + item.name);
    return option != nullptr ? option->get_envname() : environment_name(item.name);
  }

  /// A stream that fails looks to CLI11 as one that ends.
  std::string whole(std::istream& input) const {
    constexpr std::size_t kMostBytes = std::size_t{1} << 20;
    std::string text(kMostBytes + 1, '\0');
    input.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (input.bad())
      throw Error(fmt::format("--config: {}: {}", path_.as<std::string>(), std::strerror(errno)));
    text.resize(static_cast<std::size_t>(input.gcount()));
    if (text.size() > kMostBytes)
      throw Error(fmt::format("--config: {}: is larger than the {} bytes that it may have",
                              path_.as<std::string>(), kMostBytes));
    return text;
  }

  const CLI::App& root_;
  const CLI::Option& path_;
};

/// Help without the names of environment variables, which would double its length.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_type_name().empty() ? "" : " " + option->get_type_name();
  }
};

/// UsageError for a word that is no subcommand, option or argument, with the nearest name.
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
  const auto& given = root.get_subcommands();
  const bool lacks_subcommand = given.empty() || given.front()->get_name() == "help";
  if (lacks_subcommand && !is_option)
    throw UsageError(fmt::format("there is no subcommand '{}'{}", name, did_you_mean(name, known)));
  throw UsageError(is_option
                       ? fmt::format("there is no option {}{}", name, did_you_mean(name, known))
                       : fmt::format("unexpected argument '{}'", word));
}

/// Notes variables of the environment that look like options and are none of any subcommand.
void note_unknown_variables(const CLI::App& root, const std::vector<Command>& commands,
                            const GlobalOptions& global) {
  std::vector<std::string> known;
  known.reserve(kProgramVariables.size());
  for (const ProgramVariable& variable : kProgramVariables)
    known.emplace_back(variable.name);
  const auto add = [&](const CLI::App& app) {
    for (const CLI::Option* option : app.get_options())
      if (!option->get_envname().empty())
        known.push_back(option->get_envname());
  };
  add(root);
  for (const Command& command : commands)
    add(*command.app);
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    const std::string name(text.substr(0, text.find('=')));
    const bool is_of_test_double = name.starts_with("BUBBLESCOPE_DOUBLE_");
    if (name.starts_with(environment_name("")) && !is_of_test_double &&
        std::find(known.begin(), known.end(), name) == known.end())
      global.note(fmt::format("{} in the environment is no option of a subcommand{}", name,
                              did_you_mean(name, known)));
  }
}

/// Gives the source of an option that is not on the command line: BUBBLESCOPE_RANKS, or the file
/// of --config. Empty where it is there, or was not given at all.
std::string source_of_option(const CLI::Option& option, const CLI::App& root,
                             const std::vector<std::string>& words) {
  if (option.count() == 0)
    return "";
  for (const std::string& word : words) {
    const std::string name = word.substr(0, word.find('='));
    const bool is_short =
        word.size() > 1 && word[1] != '-' && option.check_sname(word.substr(1, 1));
    if (word.starts_with('-') && (option.check_name(name) || is_short))
      return "";
  }
  const char* set = std::getenv(option.get_envname().c_str());
  return set != nullptr && *set != '\0' ? option.get_envname()
                                        : root.get_config_ptr()->as<std::string>();
}

/// " (from BUBBLESCOPE_RANKS)" of the option that an error begins with, and " (--model from
/// BUBBLESCOPE_MODEL)" of others that it is about, unless they are on the command line.
std::string sources_of(const UsageError& error, const CLI::App& root,
                       const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& about : error.about()) {
    const std::string name = about.substr(std::min(about.find("--"), about.size()));
    const CLI::App* app = &root;
    for (const CLI::App* each : root.get_subcommands())
      app = each->get_option_no_throw(name) != nullptr ? each : app;
    const CLI::Option* option = name.empty() ? nullptr : app->get_option_no_throw(name);
    const std::string source =
        option != nullptr ? source_of_option(*option, root, words) : std::string();
    if (!source.empty())
      text +=
          fmt::format(" ({}from {})",
                      std::string_view(error.what()).starts_with(about) ? "" : name + " ", source);
  }
  return text;
}

/// UsageError for two options that exclude each other, or one without another that it needs.
void check_pairs(const CLI::App& app) {
  const auto name = [](const CLI::Option* option) { return option->get_name(); };
  for (const CLI::Option* option : app.get_options()) {
    if (option->count() == 0)
      continue;
    for (const CLI::Option* needed : option->get_needs())
      if (needed->count() == 0)
        throw UsageError(fmt::format("{} needs {}", name(option), name(needed)), {name(option)});
    const std::set<CLI::Option*> excluded = option->get_excludes();
    const auto all = app.get_options();  // in the order of the help
    const auto other = std::find_if(all.begin(), all.end(), [&](const CLI::Option* each) {
      return each->count() > 0 && std::any_of(excluded.begin(), excluded.end(),
                                              [&](const CLI::Option* one) { return one == each; });
    });
    if (other != all.end())
      throw UsageError(
          fmt::format("{} and {} do not go together: give one of them", name(option), name(*other)),
          {name(option), name(*other)});
  }
}

/// `reversed` words, the last one first as CLI11 takes them, with --config where only
/// BUBBLESCOPE_CONFIG tells the file: CLI11 asks the environment after it has read the file.
std::vector<std::string> with_config_of_environment(std::vector<std::string> reversed) {
  const char* file = std::getenv(environment_name("config").c_str());
  const bool is_given = std::any_of(reversed.begin(), reversed.end(), [](const std::string& word) {
    return word.substr(0, word.find('=')) == "--config";
  });
  if (file != nullptr && *file != '\0' && !is_given)
    reversed.insert(reversed.end(), {file, "--config"});
  return reversed;
}

/// Options before the subcommand, and what holds for all subcommands. Returns --config.
const CLI::Option& declare_root(CLI::App& root, GlobalOptions& global) {
  global.add_to(root);
  root.set_version_flag("--version", fmt::format("bubblescope {} ({})", kVersion, kBuild),
                        "the version, its commit and its compiler")
      ->group("General");
  const CLI::Option* config =
      root.set_config("--config", "", "options from a TOML file, in a [section] a subcommand")
          ->envname(environment_name("config"))
          ->type_name("FILE")
          ->group("General");
  root.config_formatter(std::make_shared<ConfigBelowEnvironment>(root, *config));
  auto formatter = std::make_shared<HelpFormatter>();
  constexpr std::size_t kHelpColumn = 26;
  formatter->column_width(kHelpColumn);
  root.formatter(formatter);
  root.set_help_flag("-h,--help", "this help; also after a subcommand")->group("General");
  root.allow_extras();
  root.allow_config_extras(CLI::config_extras_mode::error);
  root.footer(
      "Options also come from the environment (BUBBLESCOPE_RANKS=16) and from --config.\n"
      "Exit codes: 0 done, 1 a check failed, 2 usage, 3 bad input, a deadlock, or an output that "
      "cannot\nbe written, 4 a device or a peer failed or is missing.\n\n"
      "Example:\n  bubblescope compare -p 16 -m 120 --costs deepseek-v3-h800");
  return *config;
}

/// Throws UsageError, as a value that cannot be read does, and CLI::Success for --help.
void parse(CLI::App& root, const std::vector<Command>& commands, const CLI::Option& config,
           const std::vector<std::string>& words) {
  try {
    root.parse(with_config_of_environment({words.rbegin(), words.rend() - 1}));
  } catch (const CLI::Success&) {
    throw;
  } catch (const CLI::FileError& error) {
    throw Error(fmt::format("--config: {}", error.what()));
  } catch (const CLI::ConfigError& error) {
    const std::string_view what = error.what();  // "INI was not able to parse order.rankz"
    throw UsageError(fmt::format("--config: {}: '{}' is no option of a subcommand",
                                 config.as<std::string>(), what.substr(what.rfind(' ') + 1)));
  } catch (const CLI::ParseError& error) {
    refuse_unknown(root, commands);
    for (const CLI::App* app : root.get_subcommands())
      check_pairs(*app);
    throw UsageError(error.what());
  }
  refuse_unknown(root, commands);
}

/// The help that `help NAME` or --help asks for, whatever else is wrong; none where neither is
/// there.
std::optional<std::string> asked_help(const CLI::App& root, const CLI::App& help,
                                      const std::vector<std::string>& words) {
  const bool has_flag = std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word == "-h" || word == "--help";
  });
  if (!help.parsed() && !has_flag)
    return std::nullopt;
  if (help.parsed() && root.remaining_size(true) > 0)
    return std::nullopt;
  for (const CLI::App* app : root.get_subcommands())
    if (app != &help)
      return help_text(*app);
  return help_text(root);
}

int run(int argc, char** argv) {
  CLI::App root("Simulates and explains pipeline-parallel training schedules.", "bubblescope");
  GlobalOptions global;
  const std::vector<std::string> words(argv, argv + argc);
  global.command = shell_line({words.begin() + 1, words.end()});
  const CLI::Option& config = declare_root(root, global);
  const std::vector<Command> commands = {
      add_schedules(root, global),    add_models(root, global),   add_hardware(root, global),
      add_order(root, global),        add_check(root, global),    add_simulate(root, global),
      add_compare(root, global),      add_plan(root, global),     add_explain(root, global),
      add_reproduce(root, global),    add_analyze(root, global),  add_costs(root, global),
      add_replay(root, global),       add_validate(root, global), add_calibrate(root, global),
      add_hardware_fit(root, global), add_import(root, global),   add_man(root, global)};
  const CLI::App& help = *add_help(root);
  for (const Command& command : commands)
    command.app->fallthrough();
  try {
    parse(root, commands, config, words);
    if (const auto text = help.parsed() ? asked_help(root, help, words) : std::nullopt) {
      write_output("", *text);
      return kDone;
    }
    note_unknown_variables(root, commands, global);
    for (const Command& command : commands)
      if (command.app->parsed()) {
        check_files(*command.app, root);
        return command.run();
      }
  } catch (const CLI::Success& success) {
    const bool is_version = success.get_name() == "CallForVersion";
    write_output("", is_version ? success.what() + std::string("\n")
                                : asked_help(root, help, words).value_or(help_text(root)));
    return kDone;
  } catch (const UsageError& error) {
    const auto text = asked_help(root, help, words);
    if (!text)
      throw UsageError(error.what() + sources_of(error, root, words));
    write_output("", *text);
    return kDone;
  }
  throw UsageError("a subcommand is expected; 'bubblescope --help' lists them");
}

int fail(int code, const char* what) {
  say(what);
  return code;
}

}  // namespace

int run_command_line(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const FaultElsewhere& fault) {
    return fault.what.empty() ? fault.code : fail(fault.code, fault.what.c_str());
  } catch (const UsageError& error) {
    return fail(kUsage, error.what());
  } catch (const UnknownColumn& error) {
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

}  // namespace bubblescope
