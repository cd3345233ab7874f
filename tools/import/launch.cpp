#include "tools/import/launch.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <sstream>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr std::size_t kMostShown = 60;  // characters of a value in a message

/// Words parted by blanks; $(a command) is one.
std::vector<std::string> parts(std::string_view text) {
  std::istringstream stream{std::string(text)};
  std::vector<std::string> parts;
  std::ptrdiff_t open = 0;  // parentheses
  for (std::string part; stream >> part;) {
    const bool is_inside = open > 0;
    if (is_inside || part.find("$(") != part.npos)
      open += std::count(part.begin(), part.end(), '(') - std::count(part.begin(), part.end(), ')');
    if (is_inside)
      parts.back() += " " + part;
    else
      parts.push_back(part);
  }
  return parts;
}

/// As a list has it: launchers take --nproc_per_node for --nproc-per-node, and torchtitan
/// --training.seq-len for what its file calls training.seq_len.
std::string spelling(std::string name) {
  const bool is_key = name.starts_with("--") && name.find('.') != name.npos;
  if (is_key)
    name.erase(0, 2);
  if (is_key || name.starts_with("--"))
    std::replace(name.begin(), name.end(), is_key ? '-' : '_', is_key ? '_' : '-');
  return name;
}

/// Each flag with its values.
std::vector<GivenFlag> flags_of(const Words& words, const std::string& file) {
  std::vector<GivenFlag> flags;
  for (const Word& word : words)
    for (const std::string& part : parts(word.text)) {
      const std::size_t equals = part.find('=');
      const bool is_flag = part.size() > 1 && part[0] == '-' &&
                           std::isdigit(static_cast<unsigned char>(part[1])) == 0 && part[1] != '.';
      if (is_flag)
        flags.push_back({spelling(part.substr(0, equals)),
                         file.empty() ? "" : fmt::format("{}:{}", file, word.line)});
      if (!flags.empty() && !is_flag)
        flags.back().values.push_back(part);
      else if (is_flag && equals != part.npos)
        flags.back().values.push_back(part.substr(equals + 1));
    }
  return flags;
}

}  // namespace

LaunchedJob::LaunchedJob(const Framework& framework) {
  for (const Framework* each = &framework; each != nullptr; each = each->base) {
    const auto learn = [&](Kind kind, const Flag& flag) {
      const std::vector<std::string> names = parts(flag.names);
      for (const std::string& name : names)
        known_.try_emplace(name, Known{kind, names[0], flag.here});
    };
    for (const Flag& flag : each->read)
      learn(Kind::Read, flag);
    for (const Flag& flag : each->without_counterpart)
      learn(Kind::WithoutCounterpart, flag);
    learn(Kind::Silent, {each->silent, ""});
  }
}

/// The entry of a name, or of the longest beginning that stands with an asterisk in the list.
const LaunchedJob::Known* LaunchedJob::find_known(const std::string& name) const {
  if (const auto found = known_.find(name); found != known_.end())
    return &found->second;
  for (std::size_t length = name.size(); length > 0; --length)
    if (const auto found = known_.find(name.substr(0, length) + "*"); found != known_.end())
      return &found->second;
  return nullptr;
}

std::size_t LaunchedJob::known(const Words& words) const {
  const std::vector<GivenFlag> given = flags_of(words, "");
  return static_cast<std::size_t>(std::count_if(given.begin(), given.end(), [&](const auto& flag) {
    const Known* entry = find_known(flag.name);
    return entry != nullptr && entry->kind == Kind::Read;
  }));
}

void LaunchedJob::add(const Words& words, const std::string& file) {
  for (GivenFlag& flag : flags_of(words, file))
    add(std::move(flag));
}

void LaunchedJob::add(GivenFlag flag) {
  const Known* entry = find_known(flag.name);
  if (entry == nullptr) {
    std::vector<std::string> names;
    for (const auto& [name, known] : known_)
      names.push_back(name);
    if (flag.name.starts_with("--") || flag.name.find('.') != flag.name.npos)
      note(
          fmt::format("{}: unknown, and left out{}", flag.where(), did_you_mean(flag.name, names)));
    return;
  }
  constexpr std::array kOff = {"false", "False", "None", "none", "disabled", "null"};
  const bool is_off =
      flag.values.size() == 1 && std::find(kOff.begin(), kOff.end(), flag.values[0]) != kOff.end();
  if (entry->kind == Kind::Silent || (entry->kind == Kind::WithoutCounterpart && is_off))
    return silent.push_back(flag.name);
  if (entry->kind == Kind::WithoutCounterpart)
    return note(fmt::format("{}: no counterpart: {}", flag.where(), entry->here));
  GivenFlag& former = flags[entry->name];
  if (!former.name.empty() && former.name != flag.name && former.values != flag.values &&
      !former.values.empty() && !flag.values.empty())
    throw Error(fmt::format("{} is '{}', and {}, which says the same, is '{}'", flag.where(),
                            fmt::join(flag.values, " "), former.where(),
                            fmt::join(former.values, " ")));
  former = std::move(flag);
}

const GivenFlag* LaunchedJob::find(std::string_view name) const {
  const auto found = flags.find(name);
  return found != flags.end() ? &found->second : nullptr;
}

bool LaunchedJob::has(std::string_view name) const {
  const GivenFlag* flag = find(name);
  return flag != nullptr &&
         (flag->values.empty() || (flag->values[0] != "false" && flag->values[0] != "False"));
}

void LaunchedJob::fail(std::string_view name, std::string_view what) const {
  const GivenFlag* flag = find(name);
  throw Error(fmt::format("{}: {}", flag != nullptr ? flag->where() : std::string(name), what));
}

void LaunchedJob::note_of(std::string_view name, std::string_view what) {
  if (const GivenFlag* flag = find(name))
    note(fmt::format("{}: {}", flag->where(), what));
}

std::optional<std::string> LaunchedJob::text(std::string_view name) const {
  const GivenFlag* flag = find(name);
  if (flag == nullptr)
    return std::nullopt;
  if (flag->values.empty())
    fail(name, "expected a value");
  return flag->values.front();
}

Count LaunchedJob::count(std::string_view name, std::int64_t least) const {
  const auto value = text(name);
  if (!value || *value == "None" || *value == "null" || *value == "auto")
    return std::nullopt;
  std::int64_t number = 0;
  const char* end = value->data() + value->size();
  const auto [rest, error] = std::from_chars(value->data(), end, number);
  constexpr std::int64_t kMost = 1'000'000'000;
  if (error == std::errc() && rest == end && number >= least && number <= kMost)
    return number;
  const bool is_variable = value->starts_with('$') && value->find_first_of("({") == value->npos;
  fail(name, fmt::format("expected a whole number from {}, got '{}'{}", least,
                         printable(value->substr(0, kMostShown)),
                         is_variable ? fmt::format(": give {}=N behind the script",
                                                   printable(value->substr(1, kMostShown)))
                                     : ""));
}

void LaunchedJob::set_listed() {
  for (const auto& [name, flag] : flags) {
    const std::string_view here = known_.at(name).here;
    const bool is_option =
        here.starts_with("`--") && here.find('`', 1) == here.size() - 1 && !here.ends_with("=`");
    const bool is_key = here.starts_with("model `") && here.ends_with('`');
    const std::size_t begin = here.find('`') + (is_option ? 3 : 1);
    const std::string what(here.substr(std::min(begin, here.size()), here.size() - 1 - begin));
    const std::size_t blank = what.find(' ');
    if (is_key && flag.values.empty())
      model_json[what] = true;
    else if (const auto value = is_key ? count(name, 0) : std::nullopt)
      model_json[what] = *value;
    else if (is_option && blank != what.npos && has(name))
      set(what.substr(0, blank), what.substr(blank + 1));
    else if (const auto number = is_option && blank == what.npos ? count(name) : std::nullopt)
      set(what, *number);
  }
}

std::string flags_page(const Framework& framework) {
  const auto table = [&](std::string_view here, std::span<const Flag> list) {
    std::string text = fmt::format("| {} | {} |\n| --- | --- |\n", framework.title, here);
    for (const Flag& flag : list)
      text += fmt::format("| `{}` | {} |\n", fmt::join(parts(flag.names), "`, `"), flag.here);
    return text;
  };
  std::string silent;
  std::size_t column = 0;
  for (const std::string& name : parts(framework.silent)) {
    constexpr std::size_t kColumns = 98;
    const bool is_next = column + name.size() > kColumns;
    silent += fmt::format("{}`{}`", is_next ? "\n" : column > 0 ? " " : "", name);
    column = (is_next ? 0 : column) + name.size() + 3;
  }
  return table("here", framework.read) + "\nKnown, and without a counterpart; each is noted:\n\n" +
         table("why", framework.without_counterpart) +
         "\nKnown not to change the timing; a note counts them:\n\n" + silent + "\n";
}

}  // namespace bubblescope
