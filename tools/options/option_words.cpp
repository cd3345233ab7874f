#include "tools/options/option_words.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "sim/base/nearest.h"
#include "tools/errors.h"

namespace bubblescope {

std::string environment_name(std::string_view option) {
  std::string name = "BUBBLESCOPE_";
  for (const char c : option)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

namespace {

void add_text(CLI::Option& option, const OptionText& text) {
  option.envname(environment_name(option.get_lnames().front()));
  option.type_name(text.value);
  option.group(text.group);
  option.check([](const std::string& given) {
    return given.empty() ? "expected a value, got an empty one" : "";
  });
}

}  // namespace

void add_option(CLI::App& app, const OptionText& text, std::string& value) {
  add_text(*app.add_option(text.names, value, text.help), text);
}

void add_option(CLI::App& app, const OptionText& text, std::vector<std::string>& values) {
  CLI::Option* option = app.add_option(text.names, values, text.help);
  add_text(*option->delimiter(',')->allow_extra_args(false), text);
}

std::size_t choose(std::string_view option, std::string_view word,
                   const std::vector<std::string>& words) {
  const auto found = std::find(words.begin(), words.end(), word);
  if (found == words.end())
    throw UsageError(fmt::format("{}: expected {}, got '{}'{}", option, fmt::join(words, "|"),
                                 word.substr(0, 40), did_you_mean(word, words)));
  return static_cast<std::size_t>(found - words.begin());
}

}  // namespace bubblescope
