// The rules of the source tree: who includes whom, who prints, how long lines, functions and files
// are.
#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/reference.h"

namespace bubblescope {
namespace {

namespace fs = std::filesystem;

/// The folders, and those that each may include from.
const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"sim", {"sim"}},
    {"analysis", {"sim", "analysis"}},
    {"backend_cuda", {"sim", "backend_cuda"}},
    {"tools", {"sim", "analysis", "backend_cuda", "tools"}},
    {"tests", {"sim", "analysis", "backend_cuda", "tools", "tests"}}};

const std::vector<std::string> kWings = {"base",   "schedule", "program",     "costs",
                                         "engine", "formats",  "transformer", "search"};
/// The rooms of analysis/: each includes only itself and those before it.
const std::vector<std::string> kRoomsOfAnalysis = {"figures",   "explain",     "traces",
                                                   "gpu_trace", "calibration", "pictures",
                                                   "sweep",     "published",   "views"};

struct Source {
  std::string path;  // "sim/schedule/op.h"
  std::string text;

  std::string folder() const { return path.substr(0, path.find('/')); }
  /// "sim/schedule/op" for sim/schedule/op.h and its .cpp.
  std::string unit() const { return path.substr(0, path.rfind('.')); }
};

/// Files below `folder` with one of the extensions, sorted; hidden and build folders left out.
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
    for (const auto& [folder, ignored] : kMayInclude)
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

/// What stands in `#include` lines, with their first mark: "\"sim/schedule/op.h" or "<vector".
std::vector<std::string> includes(const Source& source) {
  constexpr std::string_view kInclude = "#include ";
  std::vector<std::string> result;
  for (const std::string_view line : lines(source.text))
    if (line.starts_with(kInclude))
      result.emplace_back(line.substr(kInclude.size(), line.find_last_of("\">") - kInclude.size()));
  return result;
}

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

/// The text with blanks for comments, literals and preprocessor lines; lines stay where they are.
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

struct Function {
  std::size_t first_line;
  std::size_t last_line;
};

/// Outermost functions, from the first line of their heads. A function is what has a '(' between
/// the last ';', '{' or '}' and its '{', which takes a constructor for two functions if one of its
/// initializers has braces, and hides a body that follows them.
std::vector<Function> functions(std::string_view text) {
  const std::string code = code_only(text);
  std::vector<Function> found;
  std::size_t line = 1;
  std::size_t head_line = 0;  // 0: the head has not begun
  bool has_arguments = false;
  int depth = 0;        // of braces inside the function
  Function open{0, 0};  // first_line is 0 outside functions
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

bool is_word_at(std::string_view text, std::size_t at, std::size_t length) {
  const auto in_word = [&](std::size_t i) {
    return i < text.size() && (std::isalnum(static_cast<unsigned char>(text[i])) || text[i] == '_');
  };
  return !(at > 0 && in_word(at - 1)) && !in_word(at + length);
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

TEST_CASE("no include runs upward") {
  REQUIRE(sources().size() > 50);
  for (const Source& source : sources())
    for (const std::string& include : includes(source)) {
      const std::string folder = include.substr(1, include.find('/') - 1);
      if (include.starts_with('"'))
        CHECK_MESSAGE(kMayInclude.at(source.folder()).contains(folder),
                      source.path << " includes " << include.substr(1));
    }
}

TEST_CASE("a wing of sim includes only those before it, and they stand on five floors") {
  std::map<std::string, std::size_t> floor;
  const auto wing_of = [](const std::string& path) {
    return path.substr(4, path.find('/', 4) - 4);
  };
  for (const std::string& wing : kWings) {
    floor[wing] = 1;
    for (const Source& source : sources())
      for (const std::string& include : includes(source)) {
        if (source.folder() != "sim" || wing_of(source.path) != wing ||
            !include.starts_with("\"sim/") || wing_of(include.substr(1)) == wing)
          continue;
        const std::string other = wing_of(include.substr(1));
        CHECK_MESSAGE(floor.contains(other), source.path << " includes " << include.substr(1));
        floor[wing] = std::max(floor[wing], floor[other] + 1);
      }
    CHECK_MESSAGE(floor[wing] <= 5, "sim/" << wing << " stands on floor " << floor[wing]);
  }
  for (const Source& source : sources())
    CHECK_MESSAGE((source.folder() != "sim" || floor.contains(wing_of(source.path))), source.path);
}

TEST_CASE("a wing of backend_cuda includes only those before it") {
  const std::map<std::string, std::set<std::string>> may_include = {
      {"replay", {"replay"}},
      {"host", {"replay", "host"}},
      {"cluster", {"replay", "cluster"}},
      {"cuda", {"replay", "cuda"}},
      {"nccl", {"replay", "cluster", "cuda", "nccl"}}};
  const std::string root = "backend_cuda/";
  for (const Source& source : sources())
    for (const std::string& include : includes(source))
      if (source.folder() + '/' == root && include.starts_with('"' + root)) {
        const auto wing = [&](const std::string& path, std::size_t begin) {
          return path.substr(begin, path.find('/', begin) - begin);
        };
        CHECK_MESSAGE(
            may_include.at(wing(source.path, root.size())).contains(wing(include, 1 + root.size())),
            source.path << " includes " << include.substr(1));
      }
}

TEST_CASE("no room of analysis includes one that comes after it") {
  const auto room = [](const std::string& path) {
    const std::string inside = path.substr(std::string("analysis/").size());
    return std::find(kRoomsOfAnalysis.begin(), kRoomsOfAnalysis.end(),
                     inside.substr(0, inside.find('/')));
  };
  for (const Source& source : sources()) {
    if (source.folder() != "analysis")
      continue;
    CHECK_MESSAGE(room(source.path) != kRoomsOfAnalysis.end(), source.path << " is in no room");
    for (const std::string& include : includes(source))
      if (include.starts_with("\"analysis/"))
        CHECK_MESSAGE(room(include.substr(1)) <= room(source.path),
                      source.path << " includes " << include.substr(1));
  }
}

TEST_CASE("no circle runs through headers, nor through headers with their sources") {
  std::map<std::string, std::set<std::string>> headers;
  std::map<std::string, std::set<std::string>> units;
  for (const Source& source : sources())
    for (const std::string& include : includes(source)) {
      const Source other = {include.substr(1), ""};
      if (source.path.ends_with(".h"))
        headers[source.path].insert(other.path);
      if (source.unit() != other.unit())
        units[source.unit()].insert(other.unit());
    }
  CHECK(CircleSearch(headers).run() == "");
  CHECK(CircleSearch(units).run() == "");
  CHECK(CircleSearch({{"a", {"b"}}, {"b", {"c", "d"}}, {"d", {"b"}}}).run() == "b → d → b");
}

TEST_CASE("Boost is included in few files") {
  const std::set<std::string> allowed = {"analysis/explain/closed_form.h",
                                         "sim/engine/boost_graph.h", "sim/program/deadlock.cpp",
                                         "sim/engine/graphviz.cpp", "tests/graph_test.cpp"};
  for (const Source& source : sources())
    for (const std::string& include : includes(source))
      if (include.starts_with("<boost/"))
        CHECK_MESSAGE(allowed.contains(source.path), source.path << " includes " << include);
}

TEST_CASE("the program prints in two places, which let no escape sequence pass") {
  const std::set<std::string> places = {"tools/message.cpp", "tools/output.cpp"};
  const std::set<std::string> folders = {"sim", "analysis", "tools"};
  for (const Source& source : sources()) {
    if (!folders.contains(source.folder()) || places.contains(source.path))
      continue;
    const std::string code = code_only(source.text);
    for (const char* word : {"cout", "cerr", "clog", "printf", "fprintf", "puts", "fputs",
                             "putchar", "fwrite", "print", "stdout", "stderr"})
      CHECK_MESSAGE(!has_word(code, word), source.path << " has " << word);
  }
}

TEST_CASE("lines have at most 100 columns, no tabs and no blanks at their ends") {
  for (const Source& source : sources()) {
    std::size_t number = 0;
    for (const std::string_view line : lines(source.text)) {
      ++number;
      CHECK_MESSAGE(columns(line) <= 100, source.path << ":" << number << " is too long");
      CHECK_MESSAGE(line.find_first_of("\t\r") == line.npos, source.path << ":" << number);
      CHECK_MESSAGE(!line.ends_with(' '), source.path << ":" << number << " ends in a blank");
    }
    CHECK_MESSAGE(source.text.ends_with('\n'), source.path << " does not end in a newline");
  }
}

TEST_CASE("files have at most 400 lines, but for a few to be divided") {
  const std::set<std::string> longer = {"backend_cuda/cuda/tensor_work.cpp",
                                        "sim/transformer/layer_costs.cpp",
                                        "sim/formats/program_json.cpp",
                                        "tests/cluster/meeting_test.cpp",
                                        "tests/cuda_double/cuda_executor_test.cpp",
                                        "tests/lowering_test.cpp",
                                        "tests/nccl_double/cluster_fault_test.cpp",
                                        "tests/program_check_test.cpp",
                                        "tests/program_file_test.cpp",
                                        "tools/options.cpp"};
  for (const Source& source : sources()) {
    const std::size_t count = lines(source.text).size();
    CHECK_MESSAGE((count > 400) == longer.contains(source.path),
                  source.path << " has " << count << " lines");
  }
}

TEST_CASE("functions have at most 70 lines") {
  std::size_t count = 0;
  for (const Source& source : sources())
    for (const Function& each : functions(source.text)) {
      ++count;
      CHECK_MESSAGE(each.last_line - each.first_line < 70,
                    source.path << ":" << each.first_line << " has a function of "
                                << each.last_line - each.first_line + 1 << " lines");
    }
  CHECK(count > 300);  // else the search finds too few
}

TEST_CASE("the search for functions sees through comments, literals and classes") {
  const auto found = functions(
      "#define X(a) {\n"
      "namespace n {  // f() {\n"
      "struct S {\n"
      "  int f(\n"
      "      int a) const {\n"
      "    if (a > 1'000) { return '{'; }\n"
      "    return sizeof \"}\\\"}\" + sizeof R\"x(})\"})x\"; /* } */\n"
      "  }\n"
      "  int a = 1;\n"
      "};\n"
      "constexpr int k[] = {1, 2};\n"
      "void g() {}\n"
      "}\n");
  REQUIRE(found.size() == 2);
  CHECK(found[0].first_line == 4);
  CHECK(found[0].last_line == 8);
  CHECK(found[1].first_line == 12);
}

TEST_CASE("every source file is built") {
  for (const Source& source : sources()) {
    if (!source.path.ends_with(".cpp"))
      continue;
    bool named = false;
    for (fs::path folder = fs::path(source.path).parent_path();; folder = folder.parent_path()) {
      for (const char* name : {"CMakeLists.txt", "gpu.cmake"}) {
        const fs::path list = source_file((folder / name).string());
        if (fs::exists(list))
          named = named ||
                  contents(list).find(fs::path(source.path).lexically_relative(folder).string()) !=
                      std::string::npos;
      }
      if (folder.empty())
        break;
    }
    CHECK_MESSAGE(named, source.path << " is in no CMakeLists.txt");
  }
}

TEST_CASE("no text holds a reminder of work that is left") {
  const std::set<std::string> extensions = {".h",     ".cpp",  ".cu",   ".in",  ".txt",
                                            ".cmake", ".md",   ".json", ".py",  ".sh",
                                            ".yml",   ".yaml", ".csv",  ".toml"};
  const std::vector<Source> texts = files("", extensions);
  CHECK(texts.size() > sources().size());
  const std::string reminders[] = {std::string("TO") + "DO", std::string("FIX") + "ME"};
  for (const Source& text : texts)
    for (const std::string& word : reminders)
      CHECK_MESSAGE(!has_word(text.text, word), text.path << " has " << word);
}

}  // namespace bubblescope
