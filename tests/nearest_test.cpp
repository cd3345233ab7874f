// Which name a mistyped one most likely means.
#include "sim/base/nearest.h"

#include <doctest/doctest.h>

namespace bubblescope {
namespace {

const std::vector<std::string> kNames = {"gpipe",       "1f1b",  "zb-h1",
                                         "zb-h1-paper", "zb-h2", "dualpipe"};

}  // namespace

TEST_CASE("A mistyped name gets the nearest one that is valid") {
  struct Case {
    std::string typed;
    std::string meant;
  };
  const Case cases[] = {
      {"gpip", "gpipe"},         // a letter left out
      {"gppipe", "gpipe"},       // one too many
      {"gpope", "gpipe"},        // a wrong one
      {"dulapipe", "dualpipe"},  // two in each other's place
      {"11fb", "1f1b"},
      {"zb-h3", "zb-h1"},  // as near as zb-h2: the first
      {"zb_h1_paper", "zb-h1-paper"},
      {"dualpipe", "dualpipe"},
      {"DualPipe", "dualpipe"},
      {"1f", "none"},  // half of it
  };
  for (const Case& each : cases)
    CHECK_MESSAGE(nearest_name(each.typed, kNames).value_or("none") == each.meant, each.typed);
}

TEST_CASE("A name that is too far from all gets none") {
  for (const std::string& typed : {std::string(), std::string("chimera"), std::string("x"),
                                   std::string("xyzep"), std::string(65, 'g')})
    CHECK_MESSAGE(!nearest_name(typed, kNames), typed);
  CHECK_FALSE(nearest_name("gpipe", {}));
}

TEST_CASE("A name that is a part of a candidate means that one") {
  const std::vector<std::string> names = {"h200", "nvl-h100-pcie", "h100-sxm-94", "h100-sxm"};
  CHECK(nearest_name("h100", names) == "h100-sxm");  // begins with it, and is the shortest
  CHECK(nearest_name("H100", names) == "h100-sxm");
  CHECK(nearest_name("pcie", names) == "nvl-h100-pcie");
  CHECK(nearest_name("h20", names) == "h200");
}

TEST_CASE("A swap of neighbours counts one and a swap across a letter two") {
  const std::vector<std::string> names = {"cba", "acb"};
  CHECK(nearest_name("abc", names) == "acb");
  CHECK(nearest_name("ab", std::vector<std::string>{"ba"}) == "ba");
}

TEST_CASE("An error about an unknown name ends in a question or in nothing") {
  CHECK(did_you_mean("zb-h", kNames) == "; did you mean 'zb-h1'?");
  CHECK(did_you_mean("chimera", kNames).empty());
}

}  // namespace bubblescope
