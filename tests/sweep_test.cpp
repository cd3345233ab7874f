// Sweeps: who wins where, held against a run at every value, and how it is shown.
#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/sweep/sweep_picture.h"
#include "analysis/views/sweep_view.h"
#include "tests/support/command.h"
#include "tests/support/golden.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

using nlohmann::json;

std::string picture_of(const Sweep& sweep) {
  return sweep_picture(sweep, verdict(sweep));
}

SweepRun taking(std::int64_t nanoseconds, double peak = 1) {
  return {.time = Time(nanoseconds), .peak_activation_share = peak, .weight_copies = 1};
}

SweepAxis axis(std::vector<std::int64_t> values, AxisKind kind = AxisKind::Duration,
               std::string name = "p2p") {
  return {.name = std::move(name), .kind = kind, .values = std::move(values)};
}

/// The largest of some lines of slope ≥ 0: what a critical path makes of a cost.
struct Convex {
  struct Form {
    std::int64_t fixed;
    std::int64_t slope;
  };
  std::vector<Form> forms;

  std::int64_t at(std::int64_t x) const {
    std::int64_t most = 0;
    for (const Form& form : forms)
      most = std::max(most, form.fixed + form.slope * x);
    return most;
  }
};

Convex draw_convex(std::mt19937_64& engine) {
  Convex convex;
  for (int i = draw_int(engine, {1, 5}); i > 0; --i) {
    const std::int64_t slope = draw(engine, {0, 400});
    convex.forms.push_back({draw(engine, {1'000'000, 1'400'000}) - slope * 400, slope});
  }
  return convex;
}

/// Of a line, at the value: by how much, as a part, the region's schedule is slower than the best.
double regret(const Sweep& sweep, const SweepRuns& runs, std::int64_t value) {
  for (const SweepRegion& region : sweep.regions[0])
    if (region.from <= value && value <= region.to) {
      const auto time = [&](std::size_t i) { return static_cast<double>(runs[i].time->count()); };
      double least = 1e300;
      for (std::size_t i = 0; i < runs.size(); ++i)
        least = std::min(least, time(i));
      return time(*region.best) / least - 1;
    }
  return 1;
}

Sweep two_lines() {
  Sweep sweep{.setting = "2 ranks, 4 micro-batches, ideal communication",
              .axes = {axis({0, 250'000, 500'000, 750'000, 1'000'000})},
              .schedules = {"steep", "flat", "<large>"},
              .skipped = {{"other", "it has v = 2"}},
              .is_exact = true};
  run_sweep(sweep, [](std::int64_t x, std::int64_t) {
    SweepRuns runs = {taking(10'000'000 + 14 * x, 8), taking(14'000'000 + 2 * x, 15),
                      taking(9'000'000 + x, 30)};
    runs[2].fits = false;
    return runs;
  });
  return sweep;
}

Sweep small_map() {
  Sweep sweep{.setting = "2 ranks, 4 micro-batches, ideal communication",
              .axes = {axis({0, 1'000, 2'000, 3'000, 4'000}),
                       axis({1'000, 10'000, 100'000}, AxisKind::Duration, "forward")},
              .schedules = {"a", "b"}};
  sweep.axes[1].is_logarithmic = true;
  run_sweep(sweep, [](std::int64_t x, std::int64_t y) {
    return SweepRuns{taking(100'000 + 20 * x), taking(100'000 + y + x)};
  });
  return sweep;
}

}  // namespace

TEST_CASE("The winner takes least and of those that tie holds least") {
  SweepRuns runs = {taking(2'000'000'000, 4), taking(1'000'000'100, 8), taking(1'000'000'000, 9)};
  CHECK(winner(runs) == 1U);  // a tie: 10⁻⁷
  CHECK(runner_up(runs, 1) == 2U);
  runs[1].time = Time(1'000'002'000);
  CHECK(winner(runs) == 2U);
  runs[2].fits = false;
  CHECK(winner(runs) == 1U);
  runs[1].time.reset();
  CHECK(winner(runs) == 0U);
  CHECK(!runner_up(runs, 0));
  runs[0].fits = false;
  CHECK(!winner(runs));
}

TEST_CASE("No region of convex times is missed however narrow it is") {
  std::size_t switches = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    std::vector<Convex> schedules;
    for (int i = draw_int(engine, {2, 6}); i > 0; --i)
      schedules.push_back(draw_convex(engine));
    const std::int64_t from = draw(engine, {0, 1}) * 100;
    Sweep sweep{.axes = {axis({from, 400, 700, 1'000})},
                .schedules = std::vector<std::string>(schedules.size(), "s"),
                .is_exact = true};
    const auto run = [&](std::int64_t x, std::int64_t) {
      SweepRuns runs;
      for (const Convex& schedule : schedules)
        runs.push_back(taking(schedule.at(x)));
      return runs;
    };
    run_sweep(sweep, run);
    switches += sweep.regions[0].size() - 1;
    CHECK(sweep.regions[0].front().from == from);
    CHECK(sweep.regions[0].back().to == 1'000);
    for (std::size_t i = 1; i < sweep.regions[0].size(); ++i)
      CHECK(sweep.regions[0][i].from == sweep.regions[0][i - 1].to + 1);
    double worst = 0;
    for (std::int64_t x = from; x <= 1'000; ++x)
      worst = std::max(worst, regret(sweep, run(x, 0), x));
    CHECK(worst <= 3 * kTie);
  }
  CHECK(switches > 200);
}

TEST_CASE("Regions over a bandwidth are found to a millionth of it") {
  Sweep sweep{
      .axes = {axis({1'000'000'000, 10'000'000'000, 50'000'000'000}, AxisKind::Rate, "bandwidth")},
      .schedules = {"few messages", "many", "between"},
      .is_exact = true};
  const auto run = [](std::int64_t x, std::int64_t) {
    const double rate = static_cast<double>(x);
    const auto time = [&](double fixed, double bytes) {
      return taking(static_cast<std::int64_t>(fixed + bytes / rate * 1e9));
    };
    return SweepRuns{time(2e9, 1e9), time(1e9, 2e10), time(1.49e9, 1.02e10)};
  };
  run_sweep(sweep, run);
  REQUIRE(sweep.regions[0].size() == 3);  // the third wins between two points that others win
  CHECK(sweep.regions[0][1].best == 2U);
  CHECK(sweep.regions[0][1].from == doctest::Approx(9.2e9 / 0.51).epsilon(1e-5));
  CHECK(sweep.regions[0][2].from == doctest::Approx(9.8e9 / 0.49).epsilon(1e-5));
}

TEST_CASE("Between two numbers of micro-batches nothing is run") {
  Sweep sweep{.axes = {axis({8, 16, 24}, AxisKind::Count, "microbatches")},
              .schedules = {"a", "b"}};
  std::vector<std::int64_t> asked;
  run_sweep(sweep, [&](std::int64_t x, std::int64_t) {
    asked.push_back(x);
    return SweepRuns{taking(x * 1'000), taking(16'500)};
  });
  CHECK(asked == std::vector<std::int64_t>{8, 16, 24});
  CHECK(verdict(sweep) == "a wins at microbatches 8 to 16, b at 24");
}

TEST_CASE("Values of an axis are told in the unit that reads best") {
  CHECK(format_value(0, AxisKind::Duration) == "0");
  CHECK(format_value(999, AxisKind::Duration) == "999 ns");
  CHECK(format_value(123'456, AxisKind::Duration) == "123.5 µs");
  CHECK(format_value(2'500'000'000, AxisKind::Duration) == "2.5 s");
  CHECK(format_value(2'097'152, AxisKind::Size) == "2 MiB");
  CHECK(format_value(50'000'000'000, AxisKind::Rate) == "50 GB/s");
  CHECK(format_value(32, AxisKind::Count) == "32");
}

TEST_CASE("Sweeps are printed as they always were") {
  const Sweep lines = two_lines();
  CHECK(verdict(lines) == "steep wins below p2p 333.3 µs, flat above");
  check_golden("sweep.txt", sweep_view(lines, {Format::Table, Color::Off}));
  check_golden("sweep.md", sweep_view(lines, {Format::Markdown, Color::Off}));
  check_golden("sweep_map.txt", sweep_view(small_map(), {Format::Table, Color::Off}));
  const json all = json::parse(sweep_view(lines, {Format::Json, Color::Off}));
  CHECK(all["regions"][1]["from"] == 333'335);  // where it is ahead by more than a tie
  CHECK(all["points"].size() == 5);
  CHECK(all["points"][4]["p2p_ns"] == 1'000'000);
  CHECK(all["points"][4]["best"] == "flat");
  CHECK(all["points"][4]["results"][0]["time_ns"] == 24'000'000);
  CHECK(all["points"][4]["results"][0]["times_as_long"] == 1.5);
  CHECK(all["points"][4]["results"][2]["fits"] == false);
  const json map = json::parse(sweep_view(small_map(), {Format::Json, Color::Off}));
  CHECK(map["points"].size() == 15);
  CHECK(map["points"][5]["forward_ns"] == 10'000);
  CHECK(map["regions"][2]["forward_ns"] == 10'000);
  const auto csv = bubblescope::lines(sweep_view(small_map(), {Format::Csv, Color::Off}));
  CHECK(csv.size() == 1 + 15 * 2);
  CHECK(csv[0] == "p2p_ns,forward_ns,schedule,time_ns,times_as_long,fits,wins\r");
}

TEST_CASE("Pictures of sweeps are drawn as they always were") {
  check_golden("sweep_lines.svg", picture_of(two_lines()));
  check_golden("sweep_map.svg", picture_of(small_map()));
  CHECK(has(picture_of(two_lines()), "&lt;large&gt;"));
  CHECK(!has(picture_of(two_lines()), "<large>"));
}

TEST_CASE("A sweep in which nothing fits or takes no time is still shown") {
  for (const bool fits : {false, true}) {
    Sweep sweep{.setting = "1 rank", .axes = {axis({0, 10})}, .schedules = {"a", "b"}};
    const auto run = [&](std::int64_t, std::int64_t) {
      SweepRuns runs = {taking(0), taking(0)};
      runs[0].fits = runs[1].fits = fits;
      return runs;
    };
    run_sweep(sweep, run);
    CHECK(verdict(sweep) ==
          (fits ? "a wins for all p2p from 0 to 10 ns" : "none fits for all p2p from 0 to 10 ns"));
    sweep.axes.push_back(axis({1, 2}, AxisKind::Size, "message"));
    run_sweep(sweep, run);
    for (const Format format : {Format::Table, Format::Json, Format::Csv, Format::Markdown})
      CHECK(!sweep_view(sweep, {format, Color::Off}).empty());
    const std::string picture = picture_of(sweep);
    CHECK(!has(picture, "nan"));
    CHECK(!has(picture, "inf"));
    sweep.axes.pop_back();
    run_sweep(sweep, run);
    CHECK(!has(picture_of(sweep), "nan"));
  }
}

}  // namespace bubblescope
