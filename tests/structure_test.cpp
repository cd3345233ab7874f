// The rules of the source tree: who includes whom, who prints, how long lines, functions and files
// are.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/reference.h"
#include "tests/support/source_tree.h"

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

/// The rooms of the folders: none includes one that stands behind it.
const std::map<std::string, std::vector<std::string>> kRooms = {
    {"sim", {"base", "schedule", "program", "costs", "engine", "formats", "transformer", "search"}},
    {"analysis",
     {"figures", "explain", "traces", "gpu_trace", "calibration", "pictures", "sweep", "plan",
      "published", "views"}},
    {"backend_cuda", {"replay", "host", "cuda", "cluster", "nccl"}}};
constexpr std::size_t kMostFloors = 5;  // of the rooms of sim

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

TEST_CASE("a room includes only those before it, and the wings of sim stand on five floors") {
  for (const auto& [folder, rooms] : kRooms) {
    std::map<std::string, std::size_t> floor;
    for (const std::string& room : rooms) {
      floor[room] = 1;
      for (const Source& source : sources())
        for (const std::string& include : includes(source)) {
          const Source other = {include.substr(1), ""};
          if (source.folder() != folder || source.room() != room || include[0] != '"' ||
              other.folder() != folder || other.room() == room)
            continue;
          CHECK_MESSAGE(floor.contains(other.room()), source.path << " includes " << other.path);
          floor[room] = std::max(floor[room], floor[other.room()] + 1);
        }
      CHECK_MESSAGE((folder != "sim" || floor[room] <= kMostFloors),
                    "sim/" << room << " stands on floor " << floor[room]);
    }
    for (const Source& source : sources())
      CHECK_MESSAGE((source.folder() != folder || floor.contains(source.room())), source.path);
  }
}

TEST_CASE("only lowerings, formats, options and names ask how ranks talk") {
  const std::set<std::string> others = {
      "analysis/figures/report.cpp", "analysis/views/check_view.cpp",
      "backend_cuda/replay/calibrate.cpp", "backend_cuda/replay/link_benchmarks.cpp"};
  for (const Source& source : sources())
    if (const bool may = source.path.starts_with("sim/program/") ||
                         source.path.starts_with("sim/formats/") || source.folder() == "tools" ||
                         source.folder() == "tests" || others.contains(source.path);
        !may)
      CHECK_MESSAGE(code_only(source.text).find("Comm::") == std::string::npos, source.path);
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
  CHECK(find_circle(headers) == "");
  CHECK(find_circle(units) == "");
  CHECK(find_circle({{"a", {"b"}}, {"b", {"c", "d"}}, {"d", {"b"}}}) == "b → d → b");
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
  const std::set<std::string> longer = {
      "backend_cuda/cuda/tensor_work.cpp", "sim/formats/program_json.cpp",
      "tests/cluster/meeting_test.cpp",    "tests/cuda_double/cuda_executor_test.cpp",
      "tests/lowering_test.cpp",           "tests/nccl_double/cluster_fault_test.cpp",
      "tests/program_check_test.cpp",      "tests/program_file_test.cpp",
      "tools/options/options.cpp"};
  for (const Source& source : sources()) {
    const std::size_t count = lines(source.text).size();
    CHECK_MESSAGE((count > 400) == longer.contains(source.path),
                  source.path << " has " << count << " lines");
  }
}

TEST_CASE("classes have at most 150 lines, but for a few to be divided") {
  const std::set<std::string> longer = {"analysis/figures/bubbles.cpp",
                                        "analysis/pictures/html_view.cpp",
                                        "analysis/pictures/svg_view.cpp",
                                        "analysis/sweep/sweep_lines.cpp",
                                        "analysis/sweep/sweep_map.cpp",
                                        "analysis/traces/chrome_trace.cpp",
                                        "backend_cuda/cluster/line_control.cpp",
                                        "backend_cuda/cluster/meeting.cpp",
                                        "backend_cuda/cluster/seat.cpp",
                                        "backend_cuda/cuda/timed_work.cpp",
                                        "backend_cuda/host/host_executor.cpp",
                                        "backend_cuda/host/tensor_work.cpp",
                                        "sim/engine/program_numbering.cpp",
                                        "sim/formats/program_json.cpp",
                                        "sim/formats/torch_csv.cpp",
                                        "sim/program/lowering.cpp",
                                        "sim/schedule/dualpipe.cpp",
                                        "sim/schedule/v_shape.cpp",
                                        "tests/program_check_test.cpp",
                                        "tests/support/trace_checker.cpp"};
  for (const Source& source : sources()) {
    std::size_t longest = 0;
    for (const Extent& each : classes(source.text))
      longest = std::max(longest, each.last_line - each.first_line + 1);
    CHECK_MESSAGE((longest > 150) == longer.contains(source.path),
                  source.path << " has a class of " << longest << " lines");
  }
}

TEST_CASE("functions have at most 70 lines") {
  std::size_t count = 0;
  for (const Source& source : sources())
    for (const Extent& each : functions(source.text)) {
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
