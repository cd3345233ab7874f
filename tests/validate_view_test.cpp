// Predicted beside measured, as it is printed.
#include "analysis/views/validate_view.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/support/golden.h"

namespace bubblescope {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

/// What the figures of a made-up run derive from.
struct Figures {
  const char* schedule;
  Time predicted;
  Time measured;
  double noise = 0.001;
};

Report make_report(const Figures& from, Time step) {
  constexpr Time kBusy = 8ms;
  Report report{.schedule = from.schedule, .ranks = 2, .microbatches = 4, .chunks = 1};
  report.step_time = step;
  report.bubble_fraction =
      1 - static_cast<double>(kBusy.count()) / static_cast<double>(step.count());
  for (Rank rank = 0; rank < 2; ++rank)
    report.per_rank.push_back(
        {.rank = rank, .busy = kBusy, .idle = step - kBusy, .span = step, .peak = {}});
  return report;
}

Validation validation(const Figures& from) {
  Validation out;
  TimelineComparison& both = out.comparison;
  both.predicted = make_report(from, from.predicted);
  both.measured = make_report(from, from.measured);
  both.step_error = static_cast<double>((from.measured - from.predicted).count()) /
                    static_cast<double>(from.predicted.count());
  both.bubble_error_points = 100 * (both.measured.bubble_fraction - both.predicted.bubble_fraction);
  if (from.measured != from.predicted)
    both.start_errors = {20us, 40us, from.measured - from.predicted, "0B3", 0};
  const Time off(std::llround(from.noise * static_cast<double>(from.measured.count())));
  Measurement& measurement = out.measurement;
  measurement.machine = {{"device", "a GPU"}, {"driver", "570.1"}};
  measurement.step_times = {from.measured, from.measured + off, from.measured - off};
  measurement.backend = "cuda";
  measurement.workload = "timed";
  measurement.command = "bubblescope validate";
  measurement.date = "2026-01-02T03:04:05Z";
  return out;
}

Validation virtual_one() {
  Validation out = validation({"1f1b", 10ms, 10ms, 0});
  out.measurement.backend = "host";
  out.measurement.virtual_clock = true;
  out.measurement.machine = {{"device", "host threads on a virtual clock"}};
  out.measurement.step_times = {10ms};
  return out;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("one schedule is printed as the golden files show") {
  Validation one = validation({"1f1b", 10'000us, 10'042us});
  one.measurement.parity = {.loss_error = 3.2e-8,
                            .gradient_error = 1.4e-6,
                            .worst_tensor = "stage 1, block 0, W1",
                            .tolerance = 1e-4};
  check_golden("validate.txt", validate_view({one}, {Format::Table, Color::Off}));
  check_golden("validate.md", validate_view({one}, {Format::Markdown, Color::On}));
}

TEST_CASE("several schedules are printed as the golden file shows") {
  check_golden("validate_several.txt", validate_view({validation({"1f1b", 10'000us, 10'300us}),
                                                      validation({"zb-h1", 9'900us, 9'920us}),
                                                      validation({"dualpipe", 9'800us, 10'100us})},
                                                     {Format::Table, Color::Off}));
}

TEST_CASE("the verdict tells how far off, and what the noise and the clock allow to say") {
  CHECK(verdict(validation({"a", 10ms, 10'150us})) ==
        "within 2 %: the step is +1.50 % off its prediction; the noise is ± 0.10 %");
  CHECK(verdict(validation({"a", 10ms, 9'700us})) ==
        "past 2 %: the step is -3.00 % off its prediction; the noise is ± 0.10 %");
  CHECK(verdict(validation({"a", 10ms, 10'005us})) ==
        "within 2 %: the step is +0.05 % off its prediction, which is within the noise, ± 0.10 %");
  CHECK(has(verdict(validation({"a", 10ms, 10ms, 0.03})), "larger than the tolerance"));
  CHECK(
      has(verdict(virtual_one()), "to the nanosecond; a virtual clock proves order and messages"));
  Validation single = validation({"a", 10ms, 10'005us});
  single.measurement.step_times.resize(1);
  CHECK(has(verdict(single), "the noise of a single step is unknown"));
  Validation unequal = validation({"a", 10ms, 10ms});
  unequal.measurement.parity = {.loss_error = 1, .tolerance = 1e-6};
  CHECK(has(verdict(unequal), "parity fails"));
  CHECK(unequal.is_within());
  CHECK(!unequal.holds());
}

TEST_CASE("clocks that do not agree are part of the uncertainty, at a step's start and its end") {
  Validation apart = validation({"a", 10ms, 10'015us});
  apart.measurement.clock_uncertainty = 10us;  // twice that of 10.015 ms is 0.20 %
  CHECK(verdict(apart) ==
        "within 2 %: the step is +0.15 % off its prediction, which is within the noise, ± 0.30 %");
  CHECK(has(validate_view({apart}, {Format::Table, Color::Off}),
            "; the ranks' clocks agree within ± 10.0 µs"));
  CHECK(json::parse(validate_view({apart}, {Format::Json, Color::Off}))["clock_uncertainty_ns"] ==
        10'000);
  // Predicted 30 µs apart, which the clocks cannot tell.
  Validation faster = validation({"b", 9'970us, 9'970us});
  CHECK(rank({apart, faster}).pairs == 0);
  apart.measurement.clock_uncertainty = {};
  CHECK(rank({apart, faster}).pairs == 1);
}

TEST_CASE("schedules are ranked where their predictions differ by more than twice the noise") {
  // Noise of 0.1 % of 10 ms: 10 µs, so 20 µs must lie between two predictions.
  const Ranking ranking =
      rank({validation({"slow", 10'000us, 10'000us}), validation({"like", 9'985us, 10'010us}),
            validation({"fast", 9'900us, 9'990us}), validation({"none", 9'000us, 10'100us})});
  CHECK(ranking.predicted == std::vector<std::string>{"none", "fast", "like", "slow"});
  CHECK(ranking.measured == std::vector<std::string>{"fast", "slow", "like", "none"});
  CHECK(ranking.pairs == 5);
  REQUIRE(ranking.wrong.size() == 3);
  for (const Ranking::Pair& pair : ranking.wrong)
    CHECK(pair.faster == "none");
}

TEST_CASE("JSON has the keys of the contract, and the machine where one was measured") {
  const json one = json::parse(
      validate_view({validation({"1f1b", 10'000us, 10'042us})}, {Format::Json, Color::Off}));
  for (const char* key : {"schedule",
                          "ranks",
                          "microbatches",
                          "chunks",
                          "comm",
                          "predicted_step_ns",
                          "measured_step_ns",
                          "step_error",
                          "predicted_bubble",
                          "measured_bubble",
                          "bubble_error_points",
                          "noise",
                          "backend",
                          "device",
                          "start_error_ns",
                          "per_rank",
                          "step_times_ns",
                          "machine",
                          "parity",
                          "command",
                          "date",
                          "verdict",
                          "holds"})
    CHECK_MESSAGE(one.contains(key), key);
  CHECK(one["measured_step_ns"] == 10'042'000);
  CHECK(one["machine"]["driver"] == "570.1");
  CHECK(one["start_error_ns"]["max"] == 42'000);
  CHECK(one["per_rank"].size() == 2);
  const json host = json::parse(validate_view({virtual_one()}, {Format::Json, Color::Off}));
  CHECK(host["clock"] == "virtual");
  CHECK(host["noise"] == 0);
  for (const char* key : {"machine", "command", "date"})
    CHECK(!host.contains(key));
  const json two = json::parse(
      validate_view({virtual_one(), validation({"b", 9ms, 9ms})}, {Format::Json, Color::Off}));
  CHECK(two["results"].size() == 2);
  CHECK(two["ranking"]["right"] == 1);
}

TEST_CASE("CSV has a row a schedule") {
  const std::string text =
      validate_view({virtual_one(), validation({"b", 9ms, 9ms})}, {Format::Csv, Color::Off});
  CHECK(text.starts_with("schedule,ranks,microbatches,chunks,comm,channels,predicted_step_ns,"));
  CHECK(has(text, "\r\nb,2,4,1,ideal,,9000000,9000000,0"));
}

}  // namespace bubblescope
