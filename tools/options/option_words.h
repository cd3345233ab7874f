// One option of the command line: how it is declared, and how a word of it is chosen.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace bubblescope {

/// How an option is shown in the help: "--forward TIME    of F".
struct OptionText {
  std::string names;
  std::string value;
  std::string help;
  std::string group;
};

/// Adds an option whose value may also come from the environment: --cost-per from
/// BUBBLESCOPE_COST_PER.
void add_option(CLI::App& app, const OptionText& text, std::string& value);
/// Adds one of several values, given with commas or by several of the option.
void add_option(CLI::App& app, const OptionText& text, std::vector<std::string>& values);

/// The environment's name for an option: "cost-per" gives BUBBLESCOPE_COST_PER.
std::string environment_name(std::string_view option);

/// The index of `word` in `words`; UsageError, with the nearest one, if it is none of them.
std::size_t choose(std::string_view option, std::string_view word,
                   const std::vector<std::string>& words);

}  // namespace bubblescope
