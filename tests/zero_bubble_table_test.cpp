// Table 5 of the Zero Bubble paper, to its last digit.
#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/report.h"
#include "sim/cost_file.h"
#include "sim/schedules/catalogue.h"
#include "sim/simulate.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr const char* kTable = "data/published/zero-bubble-table5.json";

/// Our schedules, and what the reference file calls them.
const std::string kColumns[][2] = {{"1f1b", "1F1B"}, {"zb-h1-paper", "ZB-H1"}, {"zb-h2", "ZB-H2"}};

json rows() {
  return json::parse(contents(source_file(kTable)))["rows"];
}

CostSource costs_of(const json& row) {
  const std::string name = row["costs"];
  return read_costs(source_file("data/costs/" + name + ".json").string());
}

double span_bubble(const std::string& name, Shape shape, const CostSource& costs) {
  const Schedule schedule = make_schedule(*find_schedule(name), shape);
  const DependencyGraph graph = graph_of(schedule, costs);
  return report(graph, simulate(graph)).span_bubble;
}

}  // namespace

TEST_CASE("All 36 bubble rates of the Zero Bubble paper's table 5 come out to four digits") {
  int compared = 0;
  for (const json& row : rows()) {
    const CostSource costs = costs_of(row);
    CHECK(costs.ranks == row["ranks"].get<int>());
    for (const auto& [name, title] : kColumns) {
      CAPTURE(costs.name);
      CAPTURE(name);
      const double ours = span_bubble(name, {row["ranks"], row["microbatches"]}, costs);
      CHECK(std::round(ours * 1e4) == std::round(row[name].get<double>() * 1e4));
      ++compared;
    }
  }
  CHECK(compared == 36);
}

TEST_CASE("The table and its costs are those of the reference") {
  const auto file = reference("published/zb_paper_2401.10241.json");
  if (file.empty())
    return;
  const json published = json::parse(contents(file))["table5"];
  const json ours = rows();
  REQUIRE(ours.size() == published.size());
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const json& theirs = published[i];
    CAPTURE(theirs.dump());
    const CostSource costs = costs_of(ours[i]);
    CHECK(costs.name.find(theirs["model"].get<std::string>().substr(0, 3)) != std::string::npos);
    CHECK(ours[i]["ranks"] == theirs["p"]);
    CHECK(ours[i]["microbatches"] == theirs["m"]);
    for (const auto& [name, title] : kColumns)
      CHECK(ours[i][name] == theirs[title]);
    const auto us = [&](const char* key) { return time_from_us(theirs[key].get<double>() * 1e3); };
    CHECK(costs.stages[0].forward == us("TF_ms"));
    CHECK(costs.stages[0].input_grad == us("TB_ms"));
    CHECK(costs.stages[0].weight_grad == us("TW_ms"));
    CHECK(costs.link.latency == us("Tcomm_ms"));
  }
}

}  // namespace bubblescope
