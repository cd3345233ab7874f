// The built-in models: docs/models.md has what the program counts, and real configurations give the
// parameters that an independent sum over their tensors gives.
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/transformer/model_families.h"
#include "sim/transformer/model_file.h"
#include "sim/transformer/parameters.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

/// Parameters that the authors of a model state, in 10⁹; 0: none.
struct Published {
  double total = 0;
  double active = 0;
  std::string source;  ///< Without them.
};

Published published(const std::string& source) {
  static const std::regex kStated(R"(: ([0-9.]+)([BT]) parameters(?:, ([0-9.]+)B activated)?)");
  std::smatch found;
  REQUIRE_MESSAGE(std::regex_search(source, found, kStated), source);
  Published result = {.total = std::stod(found[1]) * (found[2] == "T" ? 1000 : 1),
                      .source = found.prefix().str() + found.suffix().str()};
  if (found[3].matched)
    result.active = std::stod(found[3]);
  return result;
}

double billions(std::int64_t parameters) {
  return static_cast<double>(parameters) / 1e9;
}

std::string with_published(double counted, double stated) {
  return fmt::format("{:.2f}", counted) + (stated > 0 ? fmt::format(" ({:g})", stated) : "");
}

std::vector<Model> built_in() {
  std::map<std::string, Model> models;
  for (const auto& file : std::filesystem::directory_iterator(source_file("data/models")))
    models.emplace(file.path().stem().string(), read_model(file.path().string()));
  std::vector<Model> result;
  for (auto& [name, model] : models)
    result.push_back(model);
  return result;
}

std::string table() {
  std::string text =
      "| model | parameters | off | active | multi-token prediction | layers | source |\n"
      "| :--- | ---: | ---: | ---: | ---: | :--- | :--- |\n";
  for (const Model& model : built_in()) {
    const Published stated = published(model.description);
    const double total = billions(total_parameters(model));
    const double off = std::round(10'000 * (total / stated.total - 1)) / 100;
    text += fmt::format("| {} | {} | {} % | {} | {} | {} | {} |\n", model.name,
                        with_published(total, stated.total),
                        off == 0 ? "0.00" : fmt::format("{:+.2f}", off),
                        with_published(billions(activated_parameters(model)), stated.active),
                        model.predictions.empty()
                            ? ""
                            : fmt::format("{:.2f}", billions(prediction_module_parameters(model))),
                        describe_layers(model), stated.source);
  }
  return text;
}

/// Between two marks of docs/models.md stands what the program says.
void check_part(const std::string& name, const std::string& text) {
  const std::filesystem::path path = source_file("docs/models.md");
  std::string document = contents(path);
  const std::string mark = "<!-- " + name + ": begin -->\n";
  const std::size_t begin = document.find(mark) + mark.size();
  const std::size_t end = document.find("<!-- " + name + ": end -->");
  REQUIRE(end != std::string::npos);
  if (std::getenv("BUBBLESCOPE_REWRITE_EXAMPLES") != nullptr)
    std::ofstream(path) << document.replace(begin, end - begin, text);
  else
    CHECK(document.substr(begin, end - begin) == text);
}

/// The cells of a line.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> result(1);
  for (const char c : line)
    if (c == '\t')
      result.emplace_back();
    else
      result.back() += c;
  return result;
}

}  // namespace

TEST_CASE("docs/models.md has what the program counts in data/models, and the types it reads") {
  check_part("models", table());
  check_part("model types", fmt::format("`{}`\n", fmt::join(known_model_types(), "`, `")));
}

TEST_CASE("The model that docs/models.md shows can be read") {
  const std::string document = contents(source_file("docs/models.md"));
  const std::size_t begin = document.find("```json\n") + 8;
  const Model model =
      parse_model(document.substr(begin, document.find("```", begin) - begin), "mine.json");
  CHECK(model.depth() == 24);
}

TEST_CASE("Built-in models have the parameters that their authors state") {
  // Why others are further off, docs/models.md says.
  const std::map<std::string, double> further = {
      {"glm-4.5", 0.7},        {"glm-4.6", 0.7},
      {"kimi-k2", 1.4},        {"kimi-linear-48b-a3b", 2.4},
      {"llama-4-scout", 1.2},  {"minimax-m2", 0.6},
      {"nemotron-h-56b", 0.6}, {"nemotron-3-super-120b-a12b", 0.6}};
  const std::vector<Model> models = built_in();
  CHECK(models.size() >= 37);
  for (const Model& model : models) {
    CAPTURE(model.name);
    const double stated = published(model.description).total;
    const double most = further.contains(model.name) ? further.at(model.name) : 0.5;
    CHECK(100 * std::abs(billions(total_parameters(model)) / stated - 1) < most);
  }
}

TEST_CASE("Real configurations have the parameters of an independent sum over their tensors") {
  std::istringstream rows(contents(source_file("tests/configs/parameters.tsv")));
  std::string line;
  std::getline(rows, line);
  int read = 0;
  while (std::getline(rows, line)) {
    const std::vector<std::string> row = cells(line);
    REQUIRE(row.size() == 7);
    CAPTURE(row[0]);
    const std::string text = contents(source_file("tests/configs/" + row[0]));
    Model model;
    const std::string told = error_of([&] { model = parse_model(text, "config.json"); });
    if (!row[6].empty()) {
      CHECK(told.find("/" + row[6]) != std::string::npos);
      continue;
    }
    REQUIRE_MESSAGE(told.empty(), told);
    ++read;
    CHECK(std::to_string(total_parameters(model)) == row[1]);
    CHECK(std::to_string(activated_parameters(model)) == row[2]);
    if (!row[3].empty())
      CHECK(std::to_string(prediction_module_parameters(model)) == row[3]);
    for (const std::size_t column : {4U, 5U})
      if (!row[column].empty()) {
        const std::int64_t beside = column == 5U ? prediction_module_parameters(model) : 0;
        CHECK(billions(total_parameters(model) + beside) ==
              doctest::Approx(std::stod(row[column])).epsilon(0.005));
      }
  }
  CHECK(read >= 40);
}

}  // namespace bubblescope
