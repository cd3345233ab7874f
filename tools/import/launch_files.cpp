#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "tools/import/launch.h"

namespace bubblescope {
namespace {

/// Takes blanks and a comment off a line, appends the rest and counts brackets that are open.
void append_line(std::string_view line, std::string& entry, int& depth) {
  char quote = '\0';
  for (const char c : line) {
    if (quote == '\0' && c == '#')
      break;
    if (c == '"' || c == '\'')
      quote = quote == c ? '\0' : quote == '\0' ? c : quote;
    else if (quote == '\0')
      depth += c == '[' ? 1 : c == ']' ? -1 : 0;
    if (quote != '\0' || std::string_view(" \t\r").find(c) == std::string_view::npos)
      entry += c;
  }
}

/// The members of a value such as ["a","b"], or it alone; quotes go.
std::vector<std::string> members(std::string_view value) {
  std::vector<std::string> members(1);
  char quote = '\0';
  for (const char c : value)
    if (c == quote || (quote == '\0' && (c == '"' || c == '\'')))
      quote = quote == '\0' ? c : '\0';
    else if (quote == '\0' && c == ',')
      members.emplace_back();
    else if (quote != '\0' || (c != '[' && c != ']'))
      members.back() += c;
  std::erase(members, "");
  return members;
}

/// [section] and key = value, as torchtitan's files have them: each is given as "section.key".
void add_toml(LaunchedJob& launch, const std::string& text, const std::string& file) {
  std::istringstream lines{text};
  std::string section;
  std::size_t number = 0;
  for (std::string line; std::getline(lines, line);) {
    const std::string place = fmt::format("{}:{}", file, ++number);
    int depth = 0;
    std::string entry;
    append_line(line, entry, depth);
    for (; depth > 0 && std::getline(lines, line); ++number)
      append_line(line, entry, depth);
    if (depth != 0)
      throw Error(place + ": expected as many ']' as '['");
    const std::size_t equals = entry.find('=');
    const std::string value = entry.substr(equals == entry.npos ? 0 : equals + 1);
    if (entry.starts_with('[') && equals == entry.npos)
      section = entry.substr(1, entry.size() - 2) + ".";
    else if (!entry.empty() &&
             (equals == entry.npos || equals == 0 || value.empty() || value.starts_with("\"\"\"") ||
              value.starts_with("'''") || value.starts_with('{')))
      throw Error(place + ": expected [section], or key = number, text, true, false or list");
    else if (!entry.empty())
      launch.add({section + entry.substr(0, equals), place, members(value)});
  }
}

/// Each value of a document that is none of objects, as "section.key".
void add_json(LaunchedJob& launch, const nlohmann::json& value, const std::string& file,
              const std::string& path = "") {
  for (const auto& [key, member] : value.items()) {
    if (member.is_object())
      add_json(launch, member, file, path + key + ".");
    else
      launch.add(
          {path + key, file, {member.is_string() ? member.get<std::string>() : member.dump()}});
  }
}

/// Takes the command with the most flags that are read, and what is no command of its own: flags
/// alone, and Slurm's.
void add_script(LaunchedJob& launch, const Script& script, const std::string& file) {
  const Words* best = nullptr;
  for (const Words& command : script.commands) {
    const std::string& name = command[0].text;
    const auto note = [&](const Words& words, std::string_view what) {
      launch.note(fmt::format("{}:{}: {}", file, words[0].line, what));
    };
    if (name.starts_with("--") || name == "sbatch")
      launch.add(command, file);
    else if (name == "source" || name == ".")
      note(command,
           fmt::format("{} is not read here: give it before this file", command.back().text));
    else if (name != "echo" && name != "printf" && name != "mkdir" &&
             launch.known(command) >= (best == nullptr ? 1 : launch.known(*best)))
      best = &command;
  }
  if (best != nullptr)
    launch.add(*best, file);
  for (const Word& document : script.documents)
    if (const std::string place = fmt::format("{}:{}", file, document.line);
        document.text.starts_with('{'))
      add_json(launch, parse_json(document.text, place), place);
}

}  // namespace

void add_file(LaunchedJob& launch, const std::string& path,
              const std::map<std::string, std::string>& fixed, Variables& variables) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  const std::string text = read_file(path, kMostBytes);
  if (text.find('\0') != text.npos)
    throw Error(fmt::format("{}: is no text", path));
  if (path.ends_with(".toml"))
    add_toml(launch, text, path);
  else if (path.ends_with(".json"))
    add_json(launch, parse_json(text, path), path);
  else
    add_script(launch, read_script(text, path, fixed, variables), path);
}

}  // namespace bubblescope
