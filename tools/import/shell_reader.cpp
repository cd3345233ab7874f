#include "tools/import/shell_reader.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "sim/base/printable.h"

namespace bubblescope {
namespace {

/// Decides `[ a == b ]` and its like; nothing where only a run could tell.
std::optional<bool> verdict(const Words& words) {
  std::vector<std::string> parts;
  for (const Word& word : words) {
    const bool is_unset = word.text.starts_with('$') && word.text.size() > 1 &&
                          name_length(word.text.substr(1)) == word.text.size() - 1;
    parts.push_back(is_unset ? "" : word.text);
    if (parts.back().find_first_of("$*?") != std::string::npos)
      return std::nullopt;
  }
  const std::string end = parts[0] == "[" ? "]" : parts[0] == "[[" ? "]]" : "";
  if (parts.back() == end)
    parts.pop_back();
  else if (!end.empty())
    return std::nullopt;
  if (parts.size() == 3 && (parts[1] == "-z" || parts[1] == "-n"))
    return parts[2].empty() == (parts[1] == "-z");
  if (parts.size() != 4)
    return std::nullopt;
  if (parts[2] == "=" || parts[2] == "==")
    return parts[1] == parts[3];
  const std::string a = arithmetic(parts[1]);
  const std::string b = arithmetic(parts[3]);
  return parts[2] == "-eq" && !a.empty() && !b.empty() ? std::optional(a == b) : std::nullopt;
}

}  // namespace

Script ShellReader::run() {
  while (!ends())
    command();
  if (!blocks_.empty())
    fail(blocks_.back().line, "'if' has no end");
  return std::move(script_);
}

/// A branch begins, or a condition of one, of which the first that holds is taken.
void ShellReader::branch(const std::string& word) {
  if (blocks_.empty())
    fail(line_, fmt::format("expected an 'if' before '{}'", word));
  Block& block = blocks_.back();
  block.is_condition = word == "elif";
  block.is_idle = block.is_idle_outside || block.was_taken || (word == "then" && !status_);
  block.was_taken = block.was_taken || (!block.is_condition && !block.is_idle);
}

/// Whether `word` is one of those that a command may begin with, which is then taken.
bool ShellReader::take_keyword(const std::string& word) {
  constexpr std::array kPlain = {"exec", "export", "declare", "readonly", "time"};
  constexpr std::array kRefused = {"for",      "while", "until", "select", "case",
                                   "function", "{",     "do",    "done",   "esac"};
  if (word == "if")
    blocks_.push_back({line_, is_idle()});
  else if (word == "then" || word == "elif" || word == "else")
    branch(word);
  else if (word != "fi")
    if (std::find(kRefused.begin(), kRefused.end(), word) == kRefused.end() || is_idle())
      return std::find(kPlain.begin(), kPlain.end(), word) != kPlain.end();
    else
      fail(line_, fmt::format("'{}' is not followed: give the launch without it", word));
  else if (blocks_.empty())
    fail(line_, "expected an 'if' before 'fi'");
  else
    blocks_.pop_back();
  return true;
}

/// Skips > FILE and its like; << END is kept for the end of the line.
void ShellReader::redirect(Words& words) {
  const bool is_numbered = at_ > 0 && std::isdigit(static_cast<unsigned char>(text_[at_ - 1])) != 0;
  if (is_numbered && !words.empty() && words.back().text.size() == 1)
    words.pop_back();  // the 2 of 2>
  const bool is_document = at("<<") && !at("<<<");
  while (at_any("<>&-"))
    skip(1);
  skip_blanks();
  const bool is_literal = at_any("'\"\\");
  Words target;
  read(target);
  if (is_document && (target.empty() || !document_end_.empty()))
    fail(line_, "one text with one word for its end is expected behind <<");
  if (is_document)
    std::tie(document_end_, is_document_literal_) = std::tuple(target[0].text, is_literal);
}

void ShellReader::read_document() {
  const std::string end = std::exchange(document_end_, "");
  Word document{.text = "", .line = line_};
  for (;;) {
    if (ends())
      fail(document.line, fmt::format("expected a line '{}', which ends the text", end));
    const std::string line(read_line());
    skip(1);
    if (line.substr(std::min(line.find_first_not_of('\t'), line.size())) == end)
      break;
    document.text += line + "\n";
  }
  if (!is_document_literal_)
    document.text = spelled_out(document.text, Quotes::Kept);
  if (!is_idle())
    script_.documents.push_back(std::move(document));
}

void ShellReader::command() {
  Words words;
  bool is_begin = true;
  for (;;) {
    skip_blanks();
    if (ends() || (at_any("\n;|&") && !at("&>")))
      break;
    if (at_any("<>&")) {
      redirect(words);
    } else if (at_any("()")) {
      if (!is_idle())
        fail(line_, "functions and ( … ) are not followed: give the launch without them");
      skip(1);
    } else if (!is_begin || !read_assignment()) {
      read(words);
      is_begin = words.empty() || (is_begin && words.size() == 1 && take_keyword(words[0].text));
      if (is_begin)
        words.clear();
    }
  }
  finish(std::move(words));
  separate();
}

void ShellReader::finish(Words words) {
  if (is_idle() || words.empty())
    return;
  const std::string& name = words[0].text;
  const std::size_t line = words[0].line;
  const bool is_condition = !blocks_.empty() && blocks_.back().is_condition;
  if (name == "[" || name == "[[" || name == "test" || is_condition) {
    const bool is_test = name == "[" || name == "[[" || name == "test";
    const auto decided = is_test ? verdict(words) : std::nullopt;
    if (!decided)
      fail(line, fmt::format("'{}' is not decided without a run: only -z, -n, =, == and -eq are",
                             printable(joined(words).substr(0, 60))));
    status_ = *decided;
    return;
  }
  status_ = true;
  if (name == "exit" && !blocks_.empty())
    fail(line, fmt::format("the script ends here, by the 'if' of line {}: NAME=VALUE behind the "
                           "script sets a variable",
                           blocks_.back().line));
  if (name == "exit")
    at_ = text_.size();
  script_.commands.push_back(std::move(words));
}

/// Takes what stands between two commands, which decides whether the next one runs.
void ShellReader::separate() {
  const bool is_status = at("&&") || at("||");
  skips_next_ = is_status ? status_ != at("&&") : skips_next_ && at("|");
  const bool ends_line = at("\n");
  skip(is_status ? 2 : 1);
  if (ends_line && !document_end_.empty())
    read_document();
}

Script read_script(std::string_view text, const std::string& file,
                   const std::map<std::string, std::string>& fixed, Variables& variables) {
  return ShellReader(text, file, fixed, variables).run();
}

}  // namespace bubblescope
