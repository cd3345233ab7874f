// Formulas in p and m, found by running, against those that papers give.
#include "analysis/explain/closed_form.h"

#include <doctest/doctest.h>

#include "tests/support/costs.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

ClosedForm formulas(const std::string& name, const SimpleCosts& costs = {},
                    std::optional<int> chunks = {}) {
  return find_closed_form(*find_schedule(name), simple_costs(costs), {}, chunks);
}

}  // namespace

TEST_CASE("The formulas of papers come out of simulated shapes") {
  // 1F1B and GPipe: (p − 1)(F + B), 2104.04473; ZB-H1: (p − 1)(F + I − W), 2401.10241 table 2.
  CHECK(to_text(*formulas("1f1b").step) == "(m + p − 1)·(F + B)");
  CHECK(to_text(*formulas("gpipe").idle_last) == "(p − 1)·(F + B)");
  CHECK(to_text(*formulas("zb-h1").idle_middle) == "(p − 1)·(F + I − W)");
  CHECK(to_text(*formulas("interleaved-1f1b", {}, 4).step) == "(4·m + p − 1)·(F + B)");
  CHECK(to_text(*formulas("interleaved-1f1b", {}, 4).idle_first) == "(p − 1)·(F + B)");
  // DualPipe's README at F = I: (p/2 − 1)(F&B + B − 3W).
  const ClosedForm dualpipe = formulas("dualpipe", {.overlapped = 3});
  CHECK(to_text(*dualpipe.idle_middle) == "(p/2 − 1)·(F&B + F − 2·W)");
  CHECK(dualpipe.region.starts_with("where W ≤ I and "));
}

TEST_CASE("A formula is told only if it gives every shape that was tried") {
  const ClosedForm none = formulas("v-half");
  CHECK(!none.step);
  CHECK(none.shapes > 10);
  const ClosedForm found = formulas("1f1b");
  CHECK(found.shapes > 10);
  CHECK(found.least_ranks == 4);
  CHECK(found.most_ranks == 16);
}

TEST_CASE("Messages stand in a formula where they take time") {
  const ClosedForm form = formulas("gpipe", {.forward = 100, .hop = 1});
  REQUIRE(form.step.has_value());
  CHECK(to_text(*form.step) == "(m + p − 1)·(F + B) + (2·p − 2)·hop");
}

TEST_CASE("What has no formula says why") {
  CHECK(error_of([] { formulas("zb-auto"); }).find("made for each shape") != std::string::npos);
  CHECK(error_of([] { formulas("1f1b", {}, 3); }).find("v = 1") != std::string::npos);
  CostSource uneven{.name = "uneven", .stage_by_stage = true};
  for (int stage = 0; stage < 4; ++stage)
    uneven.stages.push_back({.forward = Time(1 + stage)});
  CHECK(!error_of([&] { find_closed_form(*find_schedule("1f1b"), uneven, {}, {}); }).empty());
}

}  // namespace bubblescope
