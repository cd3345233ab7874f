// Orders as text that other programs read.
#include "sim/order_export.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/schedules/catalogue.h"
#include "tests/support/generated.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

using nlohmann::json;

Schedule small() {
  return written(bidirectional_placement(2), 4,
                 {
                     "0F0 3F2 0I0 (0F1;3B2)OVERLAP_F_B 0W0",
                     "",
                 });
}

}  // namespace

TEST_CASE("PyTorch's CSV has one line a rank and commas between cells and nothing else") {
  CHECK(to_torch_csv(small()) == "0F0,3F2,0I0,(0F1;3B2)OVERLAP_F_B,0W0\n\n");
  const Schedule large = written(loop_placement({.ranks = 1, .chunks = 1}), 123'457, {"0F123456"});
  CHECK(to_torch_csv(large) == "0F123456\n");
}

TEST_CASE("A program as JSON has one line of steps a rank") {
  CHECK(to_program_json({small()}) ==
        "{\n"
        "  \"format\": \"bubblescope-program/1\",\n"
        "  \"schedule\": \"mine\",\n"
        "  \"comm\": \"ideal\",\n"
        "  \"ranks\": 2,\n"
        "  \"microbatches\": 4,\n"
        "  \"pipes\": 2,\n"
        "  \"depth\": 2,\n"
        "  \"rank_of_stage\": [0,1,1,0],\n"
        "  \"weights_of_stage\": [0,1,0,1],\n"
        "  \"program\": [\n"
        "    [{\"action\": \"0F0\"}, {\"action\": \"3F2\"}, {\"action\": \"0I0\"}, "
        "{\"action\": \"(0F1;3B2)OVERLAP_F_B\"}, {\"action\": \"0W0\"}],\n"
        "    []\n"
        "  ]\n"
        "}\n");
}

TEST_CASE("A schedule's name is quoted in JSON") {
  Schedule schedule = small();
  schedule.name = "a \"b\"\n\\";
  CHECK(json::parse(to_program_json({schedule}))["schedule"] == schedule.name);
}

TEST_CASE("Every schedule's program parses and says what the schedule says") {
  for (const CatalogueEntry& entry : generated_schedules()) {
    CAPTURE(entry.name);
    const Schedule schedule = make_schedule(entry, {4, 8});
    const json program = json::parse(to_program_json({schedule}));
    CHECK(program["format"] == "bubblescope-program/1");
    CHECK(program["schedule"] == entry.name);
    CHECK(program["ranks"] == 4);
    CHECK(program["microbatches"] == 8);
    CHECK(program["pipes"] == schedule.placement.pipes);
    CHECK(program["depth"] == schedule.placement.depth);
    CHECK(program["rank_of_stage"] == schedule.placement.rank_of_stage);
    CHECK(program["weights_of_stage"] == schedule.placement.weights_of_stage);
    CHECK(program["comm"] == "ideal");
    CHECK(program.size() == 10);
    REQUIRE(program["program"].size() == 4);
    for (Rank rank = 0; rank < 4; ++rank) {
      json expected = json::array();
      for (const Action& action : schedule.order(rank))
        expected.push_back({{"action", to_string(action)}});
      CHECK(program["program"][static_cast<std::size_t>(rank)] == expected);
    }
  }
}

}  // namespace bubblescope
