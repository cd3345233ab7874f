// The schedule search: its results are sound, no worse than what others found, and never below the
// bound that it tells.
#include "sim/search/search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/engine/simulate.h"
#include "sim/formats/torch_csv.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "sim/search/automatic.h"
#include "sim/search/evaluator.h"
#include "tests/support/command.h"
#include "tests/support/costs.h"
#include "tests/support/digest.h"
#include "tests/support/effort.h"
#include "tests/support/golden.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"
#include "tests/support/sound.h"

namespace bubblescope {
namespace {

using nlohmann::json;

Placement placement_of(int ranks, int chunks) {
  return chunks == 2 ? v_placement(ranks) : loop_placement({.ranks = ranks, .chunks = 1});
}

/// Step time and widest span, as the graph of the schedule tells them.
Score simulated(const Schedule& schedule, const CostModel& costs) {
  const DependencyGraph graph = build_graph(post_messages(schedule, Comm::Ideal), costs);
  const Timeline timeline = simulate(graph);
  const auto ranks = static_cast<std::size_t>(schedule.placement.ranks);
  std::vector<Ticks> start(ranks, std::numeric_limits<Ticks>::max());
  std::vector<Ticks> end(ranks);
  for (NodeId node = 0; node < graph.size(); ++node) {
    const auto rank = static_cast<std::size_t>(graph.rank()[node]);
    start[rank] = std::min(start[rank], Ticks{timeline.spans[node].start.count()});
    end[rank] = std::max(end[rank], Ticks{timeline.spans[node].end.count()});
  }
  Score score{.step = *std::max_element(end.begin(), end.end()) -
                      *std::min_element(start.begin(), start.end())};
  for (std::size_t rank = 0; rank < ranks; ++rank)
    score.span = std::max(score.span, end[rank] - start[rank]);
  return score;
}

int peak(const Schedule& schedule) {
  int most = 0;
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    int live = 0;
    for (const Action& action : schedule.order(rank))
      most = std::max(most, live += live_activation_change(action.op().kind()));
  }
  return most;
}

Ticks value(const Score& score, Objective objective) {
  return objective == Objective::Step ? score.step : score.span;
}

/// Schedules of the catalogue that have the same placement.
std::vector<Schedule> seeds_of(Shape shape, int chunks) {
  std::vector<std::string> names = {"1f1b", "zb-h1", "zb-h1-paper", "zb-h2"};
  if (chunks == 2)
    names = {"zb-v", "v-half", "v-min"};
  std::vector<Schedule> seeds;
  for (const std::string& name : names)
    if (const CatalogueEntry& entry = *find_schedule(name); !find_misfit(entry, shape))
      seeds.push_back(make_schedule(entry, shape));
  return seeds;
}

/// Calls `visit` with every order of `left[letter]` letters each in which no I is before its F and
/// no W before its I.
template <typename Visit>
void for_each_order(std::vector<int>& left, Letters& order, const Visit& visit) {
  bool is_complete = true;
  for (std::size_t letter = 0; letter < left.size(); ++letter) {
    is_complete = is_complete && left[letter] == 0;
    if (left[letter] == 0 || (letter % kLetterKinds != 0 && left[letter] == left[letter - 1]))
      continue;
    --left[letter];
    order.push_back(static_cast<Letter>(letter));
    for_each_order(left, order, visit);
    order.pop_back();
    ++left[letter];
  }
  if (is_complete)
    visit();
}

/// What F, I and W add to what is live.
using Changes = std::array<std::int64_t, 3>;

/// The least value that any orders within the memory limit have; that of none is the largest.
Ticks least_value(const Problem& problem, const Changes& changes = {1, 0, -1}) {
  std::vector<Letters> orders;
  std::vector<int> left(static_cast<std::size_t>(problem.letters()), problem.microbatches);
  Letters order;
  for_each_order(left, order, [&] {
    std::int64_t live = 0;
    std::int64_t most = 0;
    for (const Letter letter : order)
      most = std::max(most, live += changes[static_cast<std::size_t>(kind_of(letter))]);
    if (most <= problem.memory_limit)
      orders.push_back(order);
  });
  Evaluator evaluator(problem);
  Ticks least = std::numeric_limits<Ticks>::max();
  std::vector<std::size_t> chosen(static_cast<std::size_t>(problem.ranks));
  for (bool has_more = !orders.empty(); has_more;) {
    Letters letters;
    for (const std::size_t i : chosen)
      letters.insert(letters.end(), orders[i].begin(), orders[i].end());
    if (evaluator.run(letters))
      least = std::min(least, problem.value(evaluator.score()));
    has_more = false;
    for (std::size_t& i : chosen) {
      i = (i + 1) % orders.size();
      if (i != 0) {
        has_more = true;
        break;
      }
    }
  }
  return least;
}

/// Stage by stage, with no time of their own for full backwards.
CostSource draw_plain_costs(std::mt19937_64& engine, const Placement& placement) {
  CostSource source = random_costs(engine, placement);
  for (StageCost& stage : source.stages)
    stage.backward = {};
  return source;
}

}  // namespace

TEST_CASE("A searched schedule is sound, fits its limit and takes what the search told") {
  std::mt19937_64 engine(20240605);
  MESSAGE("seed 20240605");
  for (int i = 0; i < (kSanitized ? 10 : 30); ++i) {
    const int chunks = draw_int(engine, {1, 2});
    const Placement placement = placement_of(draw_int(engine, {1, 5}), chunks);
    const int microbatches = draw_int(engine, {1, 16});
    const CostModel costs(random_costs(engine, placement), placement, {});
    const SearchOptions options{.memory_limit = draw(engine, {chunks, chunks * 10}),
                                .objective = static_cast<Objective>(draw_int(engine, {0, 1}))};
    CAPTURE(i);
    const SearchResult result = search_schedule(placement, microbatches, costs, options, {});
    CHECK(error_of([&] { require_sound(result.schedule); }).empty());
    CHECK(peak(result.schedule) <= options.memory_limit);
    CHECK(simulated(result.schedule, costs) == result.score);
    CHECK(value(result.score, options.objective) >= result.bound.value());
  }
}

TEST_CASE("A searched schedule is the best of all where all can be tried") {
  std::mt19937_64 engine(20240606);
  MESSAGE("seed 20240606");
  struct Tiny {
    int ranks, chunks, microbatches;
  };
  int at_bound = 0;
  int cases = 0;
  for (const Tiny tiny :
       {Tiny{1, 1, 3}, Tiny{2, 1, 2}, Tiny{2, 1, 3}, Tiny{3, 1, 2}, Tiny{1, 2, 2}, Tiny{2, 2, 1}})
    for (int i = 0; i < 12; ++i) {
      const Placement placement = placement_of(tiny.ranks, tiny.chunks);
      const CostModel costs(draw_plain_costs(engine, placement), placement, {});
      Problem problem = make_problem(placement, costs, MemoryUnit::Activations);
      problem.microbatches = tiny.microbatches;
      problem.memory_limit = draw(engine, {tiny.chunks, tiny.chunks * tiny.microbatches});
      problem.objective = static_cast<Objective>(draw_int(engine, {0, 1}));
      CAPTURE(tiny.ranks);
      CAPTURE(tiny.chunks);
      CAPTURE(tiny.microbatches);
      const Ticks least = least_value(problem);
      const SearchResult result = search_schedule(
          placement, tiny.microbatches, costs,
          {.memory_limit = problem.memory_limit, .objective = problem.objective}, {});
      CHECK(value(result.score, problem.objective) == least);
      CHECK(result.bound.value() <= least);
      at_bound += result.bound.value() == least ? 1 : 0;
      ++cases;
    }
  MESSAGE("the bound is the optimum in " << at_bound << " of " << cases << " cases");
  CHECK(2 * at_bound > cases);
}

TEST_CASE("Where W needs more than F kept, schedules fit and bounds stay below what orders reach") {
  std::mt19937_64 engine(20240607);
  MESSAGE("seed 20240607");
  for (int i = 0; i < 60; ++i) {
    const Placement placement = placement_of(draw_int(engine, {1, 2}), 1);
    const int microbatches = draw_int(engine, {1, 3});
    const std::int64_t after = draw(engine, {101, 250});
    CostSource source = draw_plain_costs(engine, placement);
    for (StageCost& stage : source.stages) {
      stage.activation = 100;
      stage.activation_after_input_grad = after;
      stage.weights = 0;
    }
    const CostModel costs(source, placement, {});
    Problem problem = make_problem(placement, costs, MemoryUnit::SizeInBytes);
    problem.microbatches = microbatches;
    problem.memory_limit = draw(engine, {100, 700});
    CAPTURE(i);
    CAPTURE(after);
    CAPTURE(problem.memory_limit);
    const SearchResult result = search_schedule(
        placement, microbatches, costs,
        {.memory_limit = problem.memory_limit, .memory_unit = MemoryUnit::SizeInBytes}, {});
    CHECK(error_of([&] { require_sound(result.schedule); }).empty());
    CHECK(simulated(result.schedule, costs) == result.score);
    CHECK(result.bound.value() <= result.score.step);
    CHECK(result.bound.value() <= least_value(problem, {100, after - 100, -after}));
    std::int64_t live = 0;
    for (Rank rank = 0; rank < placement.ranks; ++rank)
      for (const Action& action : result.schedule.order(rank)) {
        live += costs.activation_change(action.op());
        CHECK(live <= problem.memory_limit);
      }
    CHECK(least_memory_limit(placement, costs, MemoryUnit::SizeInBytes) == 100);  // with B's
  }
}

TEST_CASE("A limit under which there is no schedule is an error that tells the least one") {
  for (const int chunks : {1, 2}) {
    const Placement placement = placement_of(3, chunks);
    const CostModel costs = free_costs(placement);
    const auto search = [&](int limit) {
      search_schedule(placement, 4, costs, {.memory_limit = limit}, {});
    };
    CHECK(error_of([&] { search(chunks); }).empty());
    CHECK(error_of([&] {
            search(chunks - 1);
          }).find("the least limit is " + std::to_string(chunks)) != std::string::npos);
    CHECK(least_memory_limit(placement, costs, MemoryUnit::Activations) == chunks);
  }
}

TEST_CASE("A search gives the same schedule every time") {
  const Placement placement = v_placement(4);
  const CostModel costs(simple_costs({.forward = 10, .input_grad = 12, .weight_grad = 8, .hop = 1}),
                        placement, {});
  const auto search = [&] {
    return search_schedule(placement, 20, costs, {.memory_limit = 6}, {});
  };
  CHECK(search().schedule.actions == search().schedule.actions);
}

TEST_CASE("A searched schedule is no worse than the seeds that fit the limit") {
  const Shape shape{.ranks = 4, .microbatches = 10};
  for (const int chunks : {1, 2}) {
    const Placement placement = placement_of(shape.ranks, chunks);
    const CostModel costs(simple_costs({.forward = 9, .input_grad = 13, .weight_grad = 5}),
                          placement, {});
    const auto seeds = seeds_of(shape, chunks);
    for (const int limit : {4, 6, 8}) {
      const SearchResult result =
          search_schedule(placement, shape.microbatches, costs, {.memory_limit = limit}, seeds);
      for (const Schedule& seed : seeds)
        if (peak(seed) <= limit)
          CHECK(result.score.step <= simulated(seed, costs).step);
    }
  }
}

TEST_CASE("More effort never gives a worse schedule") {
  struct Case {
    int ranks;
    int microbatches;
    int chunks;
    int limit;
    std::int64_t times[3];  // F, I, W
  };
  for (const Case& each : {Case{8, 24, 2, 8, {5000, 5500, 4000}}, {6, 6, 1, 4, {5, 5, 30}}}) {
    const Placement placement = placement_of(each.ranks, each.chunks);
    const auto& [forward, input_grad, weight_grad] = each.times;
    const CostModel costs({.stages = {{.forward = Time(forward),
                                       .input_grad = Time(input_grad),
                                       .weight_grad = Time(weight_grad)}},
                           .link = {.latency = Time(each.chunks == 2 ? 1000 : 0)}},
                          placement, {.per = CostPer::OneStage});
    Ticks before = std::numeric_limits<Ticks>::max();
    for (int effort = 1; effort <= (kSanitized ? 2 : 4); ++effort) {
      const SearchResult result = search_schedule(
          placement, each.microbatches, costs, {.memory_limit = each.limit, .effort = effort}, {});
      CHECK(result.score.step <= before);
      before = result.score.step;
    }
  }
}

TEST_CASE("Searched orders are the same bytes on every machine") {
  const CostSource source{.stages = {{.forward = Time(10000),
                                      .input_grad = Time(11000),
                                      .weight_grad = Time(8000),
                                      .activation = 100,
                                      .activation_after_input_grad = 60,
                                      .weights = 7}},
                          .link = {.latency = Time(1000)}};
  CostSource merged = source;
  merged.stages[0].backward = Time(15000);
  std::string digests = "costs,schedule,p,m,limit,objective,digest\n";
  for (const auto& [name, costs] : {std::pair("split", &source), {"merged", &merged}})
    for (const char* schedule : {"zb-auto", "v-auto"})
      for (const int limit : {4, 7})
        for (const bool bytes : {false, true})
          for (const Objective objective : {Objective::Step, Objective::Span}) {
            if (kSanitized && (bytes || limit == 7))
              continue;
            const CatalogueEntry& entry = *find_schedule(schedule);
            const CostModel model(*costs, entry.automatic->placement(5), {});
            AutomaticOptions options{.objective = objective};
            if (bytes)
              options.memory.bytes = 100 * limit;
            else
              options.memory.live_activations = limit;
            const Schedule found = make_automatic(entry, {5, 12}, model, options).schedule;
            digests += fmt::format(
                "{},{},5,12,{},{},{}\n", name, schedule, bytes ? 100 * limit : limit,
                objective == Objective::Step ? "step" : "span", digest(to_torch_csv(found)));
          }
  if (!kSanitized)
    return check_golden("searched_digests.csv", digests);
  for (const std::string& line : lines(digests))
    CHECK(has(contents(source_file("tests/golden/searched_digests.csv")), line));
}

TEST_CASE("Full backwards are used where they are shorter than their parts") {
  CostSource source = simple_costs({.forward = 10, .input_grad = 10, .weight_grad = 10});
  source.stages[0].backward = Time(12);
  const Placement placement = placement_of(2, 1);
  const CostModel costs(source, placement, {.per = CostPer::OneStage});
  const SearchResult result = search_schedule(placement, 8, costs, {.memory_limit = 4}, {});
  CHECK(result.score.step <= 8 * 22 + 32);
  CHECK(result.score.step >= result.bound.value());
  CHECK(simulated(result.schedule, costs) == result.score);
}

// Its searches take minutes under a sanitizer.
TEST_CASE("No row is worse than what the authors' searches found" * doctest::skip(kSanitized)) {
  const auto file = reference("oracles/best-known.json");
  if (file.empty())
    return;
  struct Count {
    int worse = 0, at_bound = 0, equal = 0, better = 0;
  };
  std::map<std::string, Count> counts;
  const json rows = json::parse(contents(file));
  const std::size_t stride = runs_long() ? 1 : 4;
  for (std::size_t i = 0; i < rows.size(); i += stride) {
    const json& row = rows[i];
    const int chunks = row["chunks"];
    const Shape shape{.ranks = row["p"], .microbatches = row["m"]};
    const Placement placement = placement_of(shape.ranks, chunks);
    const auto ns = [&](const char* key) { return row[key].get<std::int64_t>() * 1000; };
    const CostModel costs(
        simple_costs(
            {.forward = ns("F"), .input_grad = ns("I"), .weight_grad = ns("W"), .hop = ns("comm")}),
        placement, {.per = CostPer::OneStage});
    const int limit = row["peak_inflight_chunks_F_to_W"];
    const SearchResult result = search_schedule(placement, shape.microbatches, costs,
                                                {.memory_limit = limit}, seeds_of(shape, chunks));
    CAPTURE(row.dump());
    CHECK(result.score.step <= ns("makespan"));
    CHECK(result.score.step >= result.bound.value());
    CHECK(peak(result.schedule) <= limit);
    Count& count = counts[row["schedule"]];
    const bool is_at_bound = result.score.step == result.bound.value();
    ++(result.score.step > ns("makespan")   ? count.worse
       : result.score.step < ns("makespan") ? count.better
       : is_at_bound                        ? count.at_bound
                                            : count.equal);
  }
  for (const auto& [name, count] : counts)
    MESSAGE(name << ": " << count.at_bound << " equal and at the lower bound, " << count.equal
                 << " equal, " << count.better << " better, " << count.worse << " worse");
}

}  // namespace bubblescope
