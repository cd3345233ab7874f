// Orders in the formats of others.
#include <set>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/command.h"
#include "tests/support/json_shape.h"
#include "tests/support/process.h"

namespace bubblescope {
namespace {

using nlohmann::json;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1))
    ++found;
  return found;
}

TEST_CASE("order speaks PyTorch's CSV, JSON and Graphviz") {
  const std::string torch = output("order dualpipe -p 4 -m 8");
  CHECK(output("order dualpipe -p 4 -m 8 --to torch") == torch);
  REQUIRE(lines(torch).size() == 4);
  CHECK(torch.starts_with("0F0,0F1,"));
  CHECK(has(torch, ")OVERLAP_F_B,"));
  CHECK(torch.find_first_of("\" \r") == std::string::npos);
  CHECK(!has(torch, ",,"));
  const json program = json::parse(output("order dualpipe -p 4 -m 8 --to json"));
  CHECK(keys(program) == std::set<std::string>{"format", "schedule", "comm", "ranks",
                                               "microbatches", "pipes", "depth", "rank_of_stage",
                                               "weights_of_stage", "program"});
  CHECK(program["format"] == "bubblescope-program/1");
  CHECK(program["rank_of_stage"] == json({0, 1, 2, 3, 3, 2, 1, 0}));
  CHECK(program["weights_of_stage"] == json({0, 1, 2, 3, 0, 1, 2, 3}));
  std::string same;
  for (const json& order : program["program"])
    for (std::size_t i = 0; i < order.size(); ++i)
      same += order[i]["action"].get<std::string>() + (i + 1 < order.size() ? "," : "\n");
  CHECK(same == torch);
}

TEST_CASE("the graph for Graphviz has a node an action and an arrow a dependency") {
  const std::string dot = output("order 1f1b -p 4 -m 8 --to dot");
  CHECK(dot.starts_with("digraph"));
  CHECK(count(dot, "[label=\"") == 2 * 4 * 8);
  CHECK(count(dot, "style=dashed") == 2 * 3 * 8);
  CHECK(count(dot, "->") == 2 * 4 * 8 - 4 + 2 * 3 * 8);
}

TEST_CASE("Graphviz reads what is made for it") {
  if (run_shell("command -v dot").exit_code != 0) {
    MESSAGE("skipped: there is no dot");
    return;
  }
  const ProcessResult drawn =
      run_shell("bubblescope order dualpipe -p 4 -m 8 --to dot | dot -Tsvg");
  CHECK(drawn.exit_code == 0);
  CHECK(drawn.err == "");
}

}  // namespace
}  // namespace bubblescope
