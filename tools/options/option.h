// An option: how it is declared, and how its words become a value when the command line is parsed.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "sim/base/nearest.h"
#include "tools/errors.h"

namespace bubblescope {

/// "--net-latency", "TIME", what it does, and under which heading of the help.
struct OptionText {
  const char* names;
  const char* value;
  const char* help;
  const char* group;
};

/// BUBBLESCOPE_NET_LATENCY for "net-latency".
std::string environment_name(std::string_view option);

/// "-p/--ranks" for "-p,--ranks,--pp": other long names are not shown.
std::string display_name(std::string names);

/// Declares an option that hands each of its words to `take`. A UsageError that `take` throws gets
/// the option's name in front; an empty word is refused before.
CLI::Option* declare_option(CLI::App& app, const OptionText& text,
                            std::function<void(const std::string& word)> take);
/// Declares one that may be given several times, or take several words with commas.
CLI::Option* declare_list(CLI::App& app, const OptionText& text,
                          std::function<void(const std::string& word)> take);
/// Declares one that may be given several times, each time with one file.
CLI::Option* add_files(CLI::App& app, const OptionText& text, std::vector<std::string>& paths);

/// An option whose word `read` makes a value of. A reader throws UsageError("expected …").
template <typename T, typename Read>
CLI::Option* add_option(CLI::App& app, const OptionText& text, T& value, Read read) {
  return declare_option(app, text, [&value, read](const std::string& word) { value = read(word); });
}
CLI::Option* add_option(CLI::App& app, const OptionText& text, std::string& value);

template <typename T, typename Read>
CLI::Option* add_list(CLI::App& app, const OptionText& text, std::vector<T>& values, Read read) {
  return declare_list(app, text,
                      [&values, read](const std::string& word) { values.push_back(read(word)); });
}
CLI::Option* add_list(CLI::App& app, const OptionText& text, std::vector<std::string>& values);

CLI::Option* add_flag(CLI::App& app, const OptionText& text, bool& value);

/// Whether it is given, and not by the environment, which is for all subcommands.
bool is_on_line(const CLI::Option& option);

/// "expected F, got 'word'"
[[noreturn]] void refuse_word(std::string_view expected, std::string_view word);

/// The words that an option can have, with what they mean.
template <typename T>
using Choices = std::vector<std::pair<std::string, T>>;

/// The word for `value`, one of the choices.
template <typename T>
std::string word_for(const Choices<T>& choices, const T& value) {
  for (const auto& [word, meant] : choices)
    if (meant == value)
      return word;
  return "";
}

/// Reads one of the words that an option can have: `one_of<Format>({{"table", Format::Table}, …})`.
template <typename T>
auto one_of(Choices<T> choices) {
  return [choices = std::move(choices)](const std::string& word) {
    std::vector<std::string> names;
    for (const auto& [name, value] : choices) {
      if (name == word)
        return value;
      names.push_back(name);
    }
    throw UsageError(fmt::format("expected {}, got '{}'{}", fmt::join(names, "|"),
                                 word.substr(0, 40), did_you_mean(word, names)));
  };
}

/// The options of a group, to ask which of them is given.
class OptionGroup {
 public:
  void add(const CLI::Option* option) { options_.push_back(option); }
  void add(const OptionGroup& group) {
    options_.insert(options_.end(), group.options_.begin(), group.options_.end());
  }
  /// "--nic", the first that is given; empty where none is.
  std::string first_given() const;
  bool is_given() const { return !first_given().empty(); }
  bool is_given(std::string_view name) const;
  const std::vector<const CLI::Option*>& options() const { return options_; }

 private:
  std::vector<const CLI::Option*> options_;
};

}  // namespace bubblescope
