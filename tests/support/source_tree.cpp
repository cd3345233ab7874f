#include "tests/support/source_tree.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <utility>

#include "tests/support/reference.h"

namespace bubblescope {
namespace {

namespace fs = std::filesystem;

/// The end of the comment or literal that begins at `i`; `i` itself if none does.
std::size_t end_of_opaque(std::string_view text, std::size_t i) {
  const auto after = [&](const std::string& mark, std::size_t from) {
    const std::size_t found = text.find(mark, from);
    return found == text.npos ? text.size() : found + mark.size();
  };
  const std::string_view rest = text.substr(i);
  if (rest.starts_with("//"))
    return std::min(text.find('\n', i), text.size());
  if (rest.starts_with("/*"))
    return after("*/", i + 2);
  if (rest.starts_with("R\"")) {
    const std::size_t open = text.find('(', i);
    return after(")" + std::string(text.substr(i + 2, open - i - 2)) + "\"", open);
  }
  const bool in_number = i > 0 && std::isalnum(static_cast<unsigned char>(text[i - 1])) != 0;
  if (text[i] != '"' && (text[i] != '\'' || in_number))
    return i;
  std::size_t end = i + 1;
  while (end < text.size() && text[end] != text[i])
    end += text[end] == '\\' ? 2U : 1U;
  return std::min(end + 1, text.size());
}

bool is_word_at(std::string_view text, std::size_t at, std::size_t length) {
  const auto in_word = [&](std::size_t i) {
    return i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_');
  };
  return !(at > 0 && in_word(at - 1)) && !in_word(at + length);
}

/// A circle among the nodes of a graph as "a → b → a"; empty if there is none.
class CircleSearch {
 public:
  explicit CircleSearch(const std::map<std::string, std::set<std::string>>& graph)
      : graph_(graph) {}

  std::string run() {
    for (const auto& [node, ignored] : graph_)
      if (const std::string circle = visit(node); !circle.empty())
        return circle;
    return "";
  }

 private:
  std::string visit(const std::string& node) {
    if (const auto seen = std::find(path_.begin(), path_.end(), node); seen != path_.end()) {
      std::string circle;
      for (auto each = seen; each != path_.end(); ++each)
        circle += *each + " → ";
      return circle + node;
    }
    const auto edges = graph_.find(node);
    if (edges == graph_.end() || !done_.insert(node).second)
      return "";
    path_.push_back(node);
    for (const std::string& next : edges->second)
      if (std::string circle = visit(next); !circle.empty())
        return circle;
    path_.pop_back();
    return "";
  }

  const std::map<std::string, std::set<std::string>>& graph_;
  std::set<std::string> done_;
  std::vector<std::string> path_;
};

}  // namespace

std::vector<Source> files(const std::string& folder, const std::set<std::string>& extensions) {
  std::vector<Source> result;
  const fs::path root = source_file("");
  if (!fs::exists(root / folder))
    return result;
  for (auto entry = fs::recursive_directory_iterator(root / folder); entry != end(entry); ++entry) {
    const std::string name = entry->path().filename().string();
    if (entry->is_directory() && (name.starts_with('.') || name.starts_with("build")))
      entry.disable_recursion_pending();
    else if (entry->is_regular_file() && extensions.contains(entry->path().extension().string()))
      result.push_back({entry->path().lexically_relative(root).string(), contents(entry->path())});
  }
  std::sort(result.begin(), result.end(), [](auto& a, auto& b) { return a.path < b.path; });
  return result;
}

const std::vector<Source>& sources() {
  static const std::vector<Source> all = [] {
    std::vector<Source> result;
    for (const char* folder : {"analysis", "backend_cuda", "sim", "tests", "tools"})
      for (Source& each : files(folder, {".h", ".cpp"}))
        result.push_back(std::move(each));
    return result;
  }();
  return all;
}

std::vector<std::string_view> lines(std::string_view text) {
  std::vector<std::string_view> result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    result.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

std::vector<std::string> includes(const Source& source) {
  constexpr std::string_view kInclude = "#include ";
  std::vector<std::string> result;
  for (const std::string_view line : lines(source.text))
    if (line.starts_with(kInclude))
      result.emplace_back(line.substr(kInclude.size(), line.find_last_of("\">") - kInclude.size()));
  return result;
}

std::string code_only(std::string_view text) {
  std::string code(text);
  const auto blank = [&](std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i)
      if (code[i] != '\n')
        code[i] = ' ';
  };
  for (std::size_t i = 0; i < code.size(); ++i)
    if (const std::size_t end = end_of_opaque(text, i); end > i) {
      blank(i, end);
      i = end - 1;
    }
  std::size_t begin = 0;
  for (const std::string_view line : lines(text)) {
    if (line.starts_with('#'))
      blank(begin, begin + line.size());
    begin += line.size() + 1;
  }
  return code;
}

std::vector<Extent> functions(std::string_view text) {
  const std::string code = code_only(text);
  std::vector<Extent> found;
  std::size_t line = 1;
  std::size_t head_line = 0;  // 0: the head has not begun
  bool has_arguments = false;
  int depth = 0;      // of braces inside the function
  Extent open{0, 0};  // first_line is 0 outside functions
  for (const char c : code) {
    if (c == '\n')
      ++line;
    else if (c != ' ' && head_line == 0)
      head_line = line;
    has_arguments = has_arguments || c == '(';
    if (c == '{' && open.first_line == 0 && has_arguments)
      open.first_line = head_line;
    if (open.first_line != 0)
      depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    if (c == '}' && open.first_line != 0 && depth == 0) {
      found.push_back({open.first_line, line});
      open.first_line = 0;
    }
    if (c == ';' || c == '{' || c == '}') {
      head_line = 0;
      has_arguments = false;
    }
  }
  return found;
}

bool has_word(std::string_view text, std::string_view word) {
  for (std::size_t at = text.find(word); at != text.npos; at = text.find(word, at + 1))
    if (is_word_at(text, at, word.size()))
      return true;
  return false;
}

std::size_t columns(std::string_view line) {
  return static_cast<std::size_t>(std::count_if(
      line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) >> 6) != 2; }));
}

std::vector<Extent> classes(std::string_view text) {
  const std::string code = code_only(text);
  std::vector<Extent> found;
  std::vector<std::size_t> open;  // the first lines of what has a brace open; 0: no class
  std::size_t line = 1;
  std::string head;
  for (const char c : code) {
    if (c == '\n')
      ++line;
    if (c == '{') {
      const bool is_class = (has_word(head, "class") || has_word(head, "struct")) &&
                            !has_word(head, "enum") && head.find('(') == head.npos;
      open.push_back(is_class ? line : 0);
    } else if (c == '}' && !open.empty()) {
      if (open.back() != 0)
        found.push_back({open.back(), line});
      open.pop_back();
    }
    if (c == ';' || c == '{' || c == '}')
      head.clear();
    else
      head += c;
  }
  return found;
}

std::string find_circle(const std::map<std::string, std::set<std::string>>& includes) {
  return CircleSearch(includes).run();
}

}  // namespace bubblescope
