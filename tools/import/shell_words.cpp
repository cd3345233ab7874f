#include <algorithm>
#include <cctype>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "tools/import/shell_reader.h"

namespace bubblescope {

std::size_t name_length(std::string_view text) {
  return static_cast<std::size_t>(
      std::find_if_not(
          text.begin(), text.end(),
          [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }) -
      text.begin());
}

std::string joined(const Words& words) {
  std::string text;
  for (const Word& word : words)
    text += (&word == words.data() ? "" : " ") + word.text;
  return text;
}

ShellReader::ShellReader(std::string_view text, const std::string& file,
                         const std::map<std::string, std::string>& fixed, Variables& variables)
    : text_(text), file_(file), fixed_(fixed), variables_(variables) {
  for (const auto& [name, value] : fixed)
    variables_[name] = {{value}};
}

void ShellReader::fail(std::size_t line, std::string_view what) const {
  throw Error(fmt::format("{}:{}: {}", file_, line, what));
}

void ShellReader::skip(std::size_t count) {
  for (; count > 0 && !ends(); --count)
    if (text_[at_++] == '\n' && depth_ == 0)
      ++line_;
}

std::string_view ShellReader::read_line() {
  const std::string_view line = text_.substr(at_, text_.substr(at_).find('\n'));
  skip(line.size());
  return line;
}

/// Skips blanks, continued lines and a comment, which is a command where Slurm reads it.
void ShellReader::skip_blanks() {
  constexpr std::string_view kSlurm = "#SBATCH ";
  while (at_any(" \t\r") || at("\\\n") || at("\\\r\n"))
    skip(at("\\") ? text_.find('\n', at_) + 1 - at_ : 1);
  if (at(kSlurm)) {
    const std::string_view line = read_line();
    const std::string words(line.substr(kSlurm.size(), line.find(" #", 1) - kSlurm.size()));
    script_.commands.push_back({{"sbatch", line_}, {words, line_}});
  } else if (at("#")) {
    read_line();
  }
}

/// The text from here to its end, which is skipped.
std::string_view ShellReader::read_until(char open, char close) {
  const std::size_t begin = at_;
  const std::size_t line = line_;
  int level = 1;
  for (char quote = '\0'; !ends(); skip(1)) {
    const char c = text_[at_];
    if (c == '\\')
      skip(1);
    else if (open != '{' && (c == '\'' || c == '"'))
      quote = quote == c ? '\0' : quote == '\0' ? c : quote;
    else if (quote == '\0')
      level += c == close ? -1 : c == open ? 1 : 0;
    if (level == 0) {
      skip(1);
      return text_.substr(begin, at_ - 1 - begin);
    }
  }
  fail(line, fmt::format("expected a '{}' for the '{}' here", close, open));
}

Words ShellReader::value_of(const std::string& name) {
  constexpr std::size_t kMostSpelledOut = std::size_t{1} << 24;
  const auto found = variables_.find(name);
  Words value = found != variables_.end() ? found->second : Words{{"$" + name, line_}};
  for (const Word& word : value)
    spent_ += word.text.size() + sizeof(Word);
  if (spent_ > kMostSpelledOut)
    fail(line_, "its variables grow beyond what a launch script can have");
  return value;
}

/// `text` with its variables spelled out.
std::string ShellReader::spelled_out(std::string_view text, Quotes quotes) {
  constexpr int kMostDepth = 32;
  if (depth_ >= kMostDepth)
    fail(line_, "expected at most 32 ${…} inside each other");
  const auto outer = std::tuple(std::exchange(text_, text), std::exchange(at_, 0));
  ++depth_;
  Words words;
  read(words, quotes);
  --depth_;
  std::tie(text_, at_) = outer;
  return joined(words);
}

Words ShellReader::expand_braces(std::string_view inside) {
  const std::string name(inside.substr(0, name_length(inside)));
  const std::string_view rest = inside.substr(name.size());
  const auto found = variables_.find(name);
  const bool is_set = found != variables_.end();
  if (name.empty() || (rest.empty() && !is_set))
    return {{fmt::format("${}", inside.empty() ? "{}" : inside), line_}};
  if (rest.empty())
    return value_of(name);
  if (rest == "[@]" || rest == "[*]")
    return is_set ? value_of(name) : Words{};
  if (rest.starts_with(":-"))
    return is_set && !joined(found->second).empty() ? value_of(name)
                                                    : Words{{spelled_out(rest.substr(2)), line_}};
  return {{fmt::format("${{{}}}", inside), line_}};
}

/// Reads the $ at this place: the words that it stands for.
Words ShellReader::expand() {
  skip(1);
  const std::size_t line = line_;
  const auto read_inside = [&](std::size_t mark, char open, char close) {
    skip(mark);
    return read_until(open, close);
  };
  if (at("((")) {
    const std::string inside = spelled_out(read_inside(2, '(', ')'));
    skip(at(")") ? 1 : 0);
    std::string sum;  // in which a name needs no $
    for (std::size_t i = 0, length = 0; i < inside.size(); i += std::max<std::size_t>(length, 1)) {
      length = name_length(std::string_view(inside).substr(i));
      const bool is_name = length > 0 && std::isdigit(static_cast<unsigned char>(inside[i])) == 0;
      const std::string part = inside.substr(i, std::max<std::size_t>(length, 1));
      sum += is_name ? joined(value_of(part)) : part;
    }
    const std::string value = arithmetic(sum);
    return {{value.empty() ? fmt::format("$(({}))", inside) : value, line}};
  }
  if (at("("))
    return {{fmt::format("$({})", read_inside(1, '(', ')')), line}};
  if (at("{"))
    return expand_braces(read_inside(1, '{', '}'));
  const std::string_view rest = text_.substr(at_);
  const bool is_digit = at_any("0123456789");
  const std::string name(rest.substr(0, is_digit ? 1 : name_length(rest)));
  skip(name.size());
  return name.empty() ? Words{{"$", line}} : value_of(name);
}

std::string ShellReader::quoted_to(char end) {
  const std::size_t close = text_.find(end, at_ + 1);
  if (close == std::string_view::npos)
    fail(line_, fmt::format("expected a second {}", end));
  std::string text(text_.substr(at_ + 1, close - at_ - 1));
  skip(close + 1 - at_);
  return text;
}

/// Appends what stands up to a blank or an operator, or to the end of the text unless it is Outside
/// of quotes; a list that stands alone becomes its members.
void ShellReader::read(Words& out, Quotes quotes) {
  const bool is_whole = quotes != Quotes::Outside;
  const bool is_kept = quotes == Quotes::Kept;
  const std::size_t line = line_;
  Words list;
  std::string word;
  bool is_word = false;
  bool is_quoted = false;
  for (; !ends() && (is_whole || is_quoted || !at_any(" \t\r\n;&|<>()")); is_word = true) {
    const char c = text_[at_];
    if (c == '"' && !is_kept) {
      is_quoted = !is_quoted;
      skip(1);
    } else if (c == '\'' && !is_quoted && !is_kept) {
      word += quoted_to(c);
    } else if (c == '`') {
      word += "$(" + quoted_to(c) + ")";
    } else if (c == '$') {
      Words value = expand();
      if (value.size() != 1 && word.empty())
        list = std::move(value);
      else
        word += joined(value);
    } else {
      const bool is_escape = c == '\\' && at_ + 1 < text_.size();
      skip(is_escape ? 1 : 0);
      word += is_escape && at("\n") ? ' ' : text_[at_];
      skip(1);
    }
  }
  if (is_quoted && !is_whole)
    fail(line, "expected a second \"");
  out.insert(out.end(), list.begin(), list.end());
  if (is_word && (list.empty() || !word.empty()))
    out.push_back({word, line});
}

/// Takes NAME=…, NAME=(…) or NAME+=(…) where one stands here; in an idle branch it changes nothing.
bool ShellReader::read_assignment() {
  const std::string name(text_.substr(at_, name_length(text_.substr(at_))));
  const std::string_view behind = text_.substr(at_ + name.size());
  const bool appends = behind.starts_with("+=");
  if (name.empty() || !(appends || behind.starts_with('=')))
    return false;
  skip(name.size() + (appends ? 2 : 1));
  const std::size_t line = line_;
  Words value;
  const bool is_list = at("(");
  for (skip(is_list ? 1 : 0); is_list && !at(")");) {
    const std::size_t before = at_;
    skip_blanks();
    skip(at("\n") ? 1 : 0);
    if (!at(")"))
      read(value);
    if (ends() || at_ == before)
      fail(line, fmt::format("expected a ')' for the array {}", name));
  }
  skip(is_list ? 1 : 0);
  if (!is_list) {
    read(value);
    value = {{joined(value), line}};
  }
  if (is_idle() || fixed_.contains(name))
    return true;
  Words& variable = variables_[name];
  if (appends && !is_list && !variable.empty())
    variable.back().text += value[0].text;
  else if (appends)
    variable.insert(variable.end(), value.begin(), value.end());
  else
    variable = std::move(value);
  return true;
}

}  // namespace bubblescope
