// Recipes that vendors tuned and measured, against the spaces that `plan` searches.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/effort.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"
#include "tools/reproduce/measured_rows.h"

namespace bubblescope {
namespace {

using nlohmann::json;

/// A measured run, as `simulate` is asked for it, by what `plan` searches and what it does not.
struct Recipe {
  std::string schedule;
  std::map<std::string, std::string> choices = {};  ///< By option.
  std::vector<std::string> job = {};                ///< All other words.

  explicit Recipe(const std::vector<std::string>& words) : schedule(words.front()) {
    for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
      const bool is_choice = words[i] == "-p" || words[i] == "-m" || words[i] == "-v" ||
                             words[i] == "--tp" || words[i] == "--cp" || words[i] == "--ep" ||
                             words[i] == "--dp" || words[i] == "--microbatch-size" ||
                             words[i] == "--recompute";
      if (is_choice)
        choices[words[i]] = words[i + 1];
      else
        job.insert(job.end(), {words[i], words[i + 1]});
    }
  }

  int number(const std::string& option) const {
    const auto found = choices.find(option);
    return found == choices.end() ? 1 : std::stoi(found->second);
  }
  std::string recompute() const {
    const auto found = choices.find("--recompute");
    const std::string word = found == choices.end() ? "none" : found->second;
    return word == "none" || word == "full" ? word : "selective";
  }

  /// Its plan with every choice but v narrowed to the recipe's.
  std::vector<std::string> plan() const {
    std::vector<std::string> words = {"-q", "plan"};
    words.insert(words.end(), job.begin(), job.end());
    const auto add = [&](const char* option, const auto& value) {
      words.emplace_back(option);
      words.push_back(fmt::format("{}", value));
    };
    add("--gpus", number("-p") * number("--tp") * number("--cp") * number("--dp"));
    add("--global-batch", number("-m") * number("--dp") * number("--microbatch-size"));
    for (const char* option : {"--tp", "--cp", "--ep", "--microbatch-size"})
      add(option, number(option));
    add("--pp", number("-p"));
    add("--schedules", schedule);
    add("--recompute", recompute());
    add("--memory-limit", "100TB");
    add("--format", "json");
    words.emplace_back("--all");
    return words;
  }
};

bool is_vendors(const MeasuredRow& row) {
  const std::string& table = row.run.table;
  return table.starts_with("bridge-") || table.starts_with("dgxc-") || table == "llama3-t4";
}

}  // namespace

TEST_CASE("Every recipe that was measured is in the space of its plan") {
  const std::string file = "data/published/measured.json";
  std::size_t recipes = 0;
  for (const MeasuredRow& row : parse_measured_rows(contents(source_file(file)), file, {})) {
    if (!is_vendors(row) || (kSanitized && recipes == 10))
      continue;
    ++recipes;
    const Recipe recipe(row.words);
    CAPTURE(fmt::format("{}", fmt::join(recipe.plan(), " ")));
    const ProcessResult result = run_program(recipe.plan());
    REQUIRE_MESSAGE(result.exit_code == 0, result.err);
    const std::vector<std::string> rows = lines(result.out);
    CHECK(std::any_of(rows.begin(), rows.end(), [&](const std::string& line) {
      const json each = json::parse(line);
      return each["chunks"] == recipe.number("-v") && each["microbatches"] == recipe.number("-m") &&
             each["dp"] == recipe.number("--dp");
    }));
  }
  CHECK(recipes >= 10);
}

}  // namespace bubblescope
