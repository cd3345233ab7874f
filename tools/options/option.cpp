#include "tools/options/option.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>

namespace bubblescope {

std::string environment_name(std::string_view option) {
  std::string name = "BUBBLESCOPE_";
  for (const char c : option)
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

std::string display_name(std::string names) {
  const std::size_t first = names.find(',');
  if (first == names.npos)
    return names;
  names[first] = '/';
  return names.substr(0, names.find(','));
}

namespace {

/// Gives each word to `take`, and an error of it the option's name. The environment and a file are
/// for all subcommands: what is not for the one that runs stays unread.
CLI::callback_t each_word(const CLI::App& app, std::string name,
                          std::function<void(const std::string& word)> take) {
  return [&app, name = std::move(name), take = std::move(take)](const CLI::results_t& words) {
    if (!app.parsed())
      return true;
    for (const std::string& word : words)
      try {
        if (word.empty())
          throw UsageError("expected a value, got an empty one");
        take(word);
      } catch (const UsageError& error) {
        throw UsageError(name + ": " + error.what(), {name});
      }
    return true;
  };
}

CLI::Option* with_text(CLI::Option* option, const OptionText& text) {
  option->envname(environment_name(option->get_lnames().front()));
  option->type_name(text.value);
  option->group(text.group);
  return option;
}

}  // namespace

CLI::Option* declare_option(CLI::App& app, const OptionText& text,
                            std::function<void(const std::string& word)> take) {
  const std::string name = display_name(text.names);
  const auto once = [&app, name,
                     take = each_word(app, name, std::move(take))](const CLI::results_t& words) {
    if (app.parsed() && words.size() > 1)
      throw wrong_option(name, fmt::format("given {} times", words.size()));
    return take(words);
  };
  CLI::Option* option = app.add_option(text.names, CLI::callback_t(once), text.help);
  return with_text(option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll), text);
}

namespace {

CLI::Option* declare_repeated(CLI::App& app, const OptionText& text, CLI::callback_t take) {
  CLI::Option* option = app.add_option(text.names, std::move(take), text.help);
  option->expected(CLI::detail::expected_max_vector_size)->allow_extra_args(false);
  return with_text(option, text);
}

}  // namespace

CLI::Option* declare_list(CLI::App& app, const OptionText& text,
                          std::function<void(const std::string& word)> take) {
  const auto take_parts = [take = std::move(take)](const std::string& list) {
    for (std::size_t begin = 0; begin <= list.size();) {
      const std::size_t end = std::min(list.find(',', begin), list.size());
      if (begin == end)
        throw UsageError(fmt::format("expected no empty value, got '{}'", list.substr(0, 40)));
      take(list.substr(begin, end - begin));
      begin = end + 1;
    }
  };
  return declare_repeated(app, text, each_word(app, display_name(text.names), take_parts));
}

CLI::Option* add_files(CLI::App& app, const OptionText& text, std::vector<std::string>& paths) {
  return declare_repeated(app, text,
                          each_word(app, display_name(text.names),
                                    [&paths](const std::string& path) { paths.push_back(path); }));
}

CLI::Option* add_option(CLI::App& app, const OptionText& text, std::string& value) {
  return declare_option(app, text, [&value](const std::string& word) { value = word; });
}

CLI::Option* add_list(CLI::App& app, const OptionText& text, std::vector<std::string>& values) {
  return declare_list(app, text, [&values](const std::string& word) { values.push_back(word); });
}

CLI::Option* add_flag(CLI::App& app, const OptionText& text, bool& value) {
  CLI::Option* option = app.add_flag(text.names, value, text.help);
  return option->envname(environment_name(option->get_lnames().front()))->group(text.group);
}

bool is_on_line(const CLI::Option& option) {
  return option.count() > 0 && std::getenv(option.get_envname().c_str()) == nullptr;
}

void refuse_word(std::string_view expected, std::string_view word) {
  throw UsageError(fmt::format("expected {}, got '{}'", expected, word.substr(0, 40)));
}

std::string OptionGroup::first_given() const {
  for (const CLI::Option* option : options_)
    if (option->count() > 0)
      return "--" + option->get_lnames().front();
  return "";
}

bool OptionGroup::is_given(std::string_view name) const {
  return std::any_of(options_.begin(), options_.end(), [&](const CLI::Option* option) {
    return option->count() > 0 && option->get_lnames().front() == name.substr(2);
  });
}

}  // namespace bubblescope
