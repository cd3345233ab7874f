// README.md and docs/ show on a console what the program prints. With
// BUBBLESCOPE_REWRITE_EXAMPLES=1 the shown outputs are rewritten instead of compared.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/effort.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

/// Stands for any number of lines.
const std::string kOmitted = "…";

struct Example {
  std::size_t line = 0;         ///< Of the command, from 1.
  std::string command;          ///< All its lines, without "$ ".
  std::size_t output_line = 0;  ///< Of the first line of the output, from 1.
  std::vector<std::string> output = {};
};

std::vector<std::string> lines(const std::string& text) {
  std::vector<std::string> result;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    result.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return result;
}

void drop_blank_end(std::vector<std::string>& text) {
  while (!text.empty() && text.back().empty())
    text.pop_back();
}

/// The commands of the ```console blocks, with the output shown below each.
std::vector<Example> examples(const std::string& markdown) {
  std::vector<Example> found;
  bool in_block = false;
  bool in_command = false;
  std::size_t number = 0;
  for (const std::string& line : lines(markdown)) {
    ++number;
    if (line.starts_with("```")) {
      in_block = !in_block && line == "```console";
      in_command = false;
    } else if (in_block && (in_command || line.starts_with("$ "))) {
      if (in_command)
        found.back().command += "\n" + line;
      else
        found.push_back({.line = number, .command = line.substr(2)});
      found.back().output_line = number + 1;
      in_command = line.ends_with('\\');
    } else if (in_block && !found.empty()) {
      found.back().output.push_back(line);
    }
  }
  for (Example& example : found)
    drop_blank_end(example.output);
  std::erase_if(found, [](const Example& e) { return !e.command.starts_with("bubblescope "); });
  return found;
}

/// Finds the first line that is not as shown.
class Comparison {
 public:
  Comparison(const std::vector<std::string>& shown, const std::vector<std::string>& real)
      : shown_(shown), real_(real) {}

  /// In words; empty if all is as shown.
  std::string difference() {
    if (matches(0, 0))
      return "";
    return "shown:    " + line(shown_, furthest_.first) +
           "\nprinted:  " + line(real_, furthest_.second);
  }

 private:
  bool matches(std::size_t i, std::size_t j) {
    for (; i < shown_.size() && shown_[i] != kOmitted; ++i, ++j) {
      furthest_ = std::max(furthest_, {i, j});
      if (j == real_.size() || shown_[i] != real_[j])
        return false;
    }
    furthest_ = std::max(furthest_, {i, j});
    if (i == shown_.size())
      return j == real_.size();
    for (; j <= real_.size(); ++j)
      if (matches(i + 1, j))
        return true;
    return false;
  }

  static std::string line(const std::vector<std::string>& text, std::size_t i) {
    return i < text.size() ? text[i] : "(nothing)";
  }

  const std::vector<std::string>& shown_;
  const std::vector<std::string>& real_;
  std::pair<std::size_t, std::size_t> furthest_;
};

std::string difference(const std::vector<std::string>& shown,
                       const std::vector<std::string>& real) {
  return Comparison(shown, real).difference();
}

/// What to show of the real output in place of `shown`: all of it or, where `shown` omits lines, as
/// many before the first omission and after the last one as it has now.
std::vector<std::string> excerpt(const std::vector<std::string>& shown,
                                 const std::vector<std::string>& real) {
  const auto first = std::find(shown.begin(), shown.end(), kOmitted);
  if (first == shown.end())
    return real;
  const auto last = std::find(shown.rbegin(), shown.rend(), kOmitted);
  const std::ptrdiff_t size = std::ssize(real);
  const std::ptrdiff_t head = std::min(first - shown.begin(), size);
  const std::ptrdiff_t tail = std::min(last - shown.rbegin(), size - head);
  std::vector<std::string> result(real.begin(), real.begin() + head);
  result.push_back(kOmitted);
  result.insert(result.end(), real.end() - tail, real.end());
  return result;
}

/// `markdown` with `outputs` in place of those that its examples show.
std::string rewritten(const std::string& markdown, const std::vector<Example>& all,
                      const std::vector<std::vector<std::string>>& outputs) {
  std::vector<std::string> text = lines(markdown);
  for (std::size_t i = all.size(); i-- > 0;) {  // from the end, so that line numbers stay true
    const auto begin = text.begin() + static_cast<std::ptrdiff_t>(all[i].output_line - 1);
    const auto after = text.erase(begin, begin + std::ssize(all[i].output));
    text.insert(after, outputs[i].begin(), outputs[i].end());
  }
  std::string result;
  for (const std::string& line : text)
    result += line + "\n";
  return result;
}

/// Runs what a document shows, all in one folder, where data/ is this project's.
void check_examples(const std::filesystem::path& document) {
  const bool rewrites = std::getenv("BUBBLESCOPE_REWRITE_EXAMPLES") != nullptr;
  const std::string markdown = contents(document);
  const std::vector<Example> all = examples(markdown);
  const TemporaryFolder folder;
  std::filesystem::create_directory_symlink(source_file("data"), folder / "data");
  std::vector<std::vector<std::string>> outputs;
  for (const Example& example : all) {
    const ProcessResult result = run_shell(example.command, {.folder = folder.path()});
    std::vector<std::string> printed = lines(result.out);
    drop_blank_end(printed);
    const std::string place =
        document.filename().string() + ":" + std::to_string(example.line) + ": " + example.command;
    CHECK_MESSAGE(result.exit_code == 0, place << "\n" << result.err);
    if (!rewrites)
      CHECK_MESSAGE(difference(example.output, printed) == "", place);
    outputs.push_back(result.exit_code == 0 ? excerpt(example.output, printed) : example.output);
  }
  if (rewrites)
    std::ofstream(document, std::ios::binary) << rewritten(markdown, all, outputs);
}

}  // namespace

TEST_CASE("the README's commands print what it shows") {
  const std::filesystem::path readme = source_file("README.md");
  REQUIRE(!examples(contents(readme)).empty());
  check_examples(readme);
}

TEST_CASE("the README stays short") {
  const std::string text = contents(source_file("README.md"));
  CHECK(lines(text).size() <= 150);
  CHECK(text.size() <= 12 * 1024);
}

// Its plans and searches take minutes under a sanitizer.
TEST_CASE("the commands of the documentation print what it shows" * doctest::skip(kSanitized)) {
  if (!std::filesystem::exists(source_file("docs")))
    return;
  for (const auto& entry : std::filesystem::directory_iterator(source_file("docs")))
    if (entry.path().extension() == ".md")
      check_examples(entry.path());
}

TEST_CASE("commands and outputs are read from console blocks only") {
  const auto found = examples(
      "```console\n"
      "$ ./bootstrap\n"
      "ignored\n"
      "$ bubblescope a \\\n"
      "    --b\n"
      "one\n"
      "\n"
      "…\n"
      "\n"
      "$ bubblescope c > d\n"
      "```\n"
      "text\n"
      "```\n"
      "$ bubblescope e\n"
      "```\n");
  REQUIRE(found.size() == 2);
  CHECK(found[0].line == 4);
  CHECK(found[0].command == "bubblescope a \\\n    --b");
  CHECK(found[0].output == std::vector<std::string>{"one", "", "…"});
  CHECK(found[0].output_line == 6);
  CHECK(found[1].command == "bubblescope c > d");
  CHECK(found[1].output.empty());
}

TEST_CASE("the first line that differs is named, and an ellipsis stands for any lines") {
  using Lines = std::vector<std::string>;
  struct Case {
    Lines shown, real;
    const char* difference;
  };
  const Case cases[] = {
      {{"a", "b"}, {"a", "b"}, ""},
      {{}, {}, ""},
      {{"a", "…"}, {"a"}, ""},
      {{"…", "", "c"}, {"a", "", "b", "", "c"}, ""},
      {{"a", "…", "c", "…"}, {"a", "b", "c", "d", "e"}, ""},
      {{"a", "b"}, {"a", "x"}, "shown:    b\nprinted:  x"},
      {{"a", "b"}, {"a"}, "shown:    b\nprinted:  (nothing)"},
      {{"a"}, {"a", "b"}, "shown:    (nothing)\nprinted:  b"},
  };
  for (const Case& each : cases)
    CHECK(difference(each.shown, each.real) == each.difference);
  CHECK(difference({"a", "…", "z"}, {"a", "b"}) != "");
}

TEST_CASE("examples are rewritten, and an ellipsis keeps the number of lines around it") {
  const std::string shown =
      "Text\n```console\n$ bubblescope a\nold\n\n$ bubblescope b\nhead\n…\nx\n…\ntail\n```\n";
  const std::vector<Example> all = examples(shown);
  REQUIRE(all.size() == 2);
  CHECK(rewritten(shown, all, {all[0].output, all[1].output}) == shown);
  const std::vector<std::string> a = {"new", "more"};
  const std::vector<std::string> b = {"1", "2", "3", "4"};
  CHECK(rewritten(shown, all, {excerpt(all[0].output, a), excerpt(all[1].output, b)}) ==
        "Text\n```console\n$ bubblescope a\nnew\nmore\n\n$ bubblescope b\n1\n…\n4\n```\n");

  using Lines = std::vector<std::string>;
  CHECK(excerpt({"…"}, b) == Lines{"…"});
  CHECK(excerpt({"a", "b", "…", "c"}, {"1", "2"}) == Lines{"1", "2", "…"});
  CHECK(excerpt({"a", "…"}, {}) == Lines{"…"});
}

}  // namespace bubblescope
