// Every order of the catalogue against its authors' own, byte for byte, and against its promises.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <limits>
#include <map>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/engine/simulate.h"
#include "sim/formats/torch_csv.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/digest.h"
#include "tests/support/generated.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"
#include "tests/support/sound.h"

namespace bubblescope {
namespace {

std::string csv(const std::string& name, Shape shape) {
  const CatalogueEntry* entry = find_schedule(name);
  REQUIRE(entry != nullptr);
  return to_torch_csv(make_schedule(*entry, shape));
}

struct NamedShape {
  std::string name;
  Shape shape;
};
/// "interleaved-1f1b-g3-p3-m6-v2" taken apart; no name where it is of another form.
NamedShape parse_stem(const std::string& stem) {
  const auto place = std::min(stem.rfind("-p"), stem.size());
  int p = 0;
  int m = 0;
  int v = 0;
  int length = 0;
  const char* numbers = stem.c_str() + place;
  if (std::sscanf(numbers, "-p%d-m%d-v%d%n", &p, &m, &v, &length) != 3 ||
      place + static_cast<std::size_t>(length) != stem.size())
    return {};
  NamedShape named{stem.substr(0, place), {p, m, v}};
  int group_size = 0;
  const auto group = named.name.rfind("-g");
  if (group != std::string::npos &&
      std::sscanf(named.name.c_str() + group, "-g%d", &group_size) == 1) {
    named.shape.group_size = group_size;
    named.name.resize(group);
  }
  if (named.name == "zbv-torch")
    named.name = "zb-v";
  return named;
}

/// Live activations along the order of one rank, at their most.
int peak(const Schedule& schedule, Rank rank) {
  int live = 0;
  int most = 0;
  for (const Action& action : schedule.order(rank))
    action.for_each_op([&](const Op& op) {
      if (op.kind() == OpKind::Forward)
        most = std::max(most, ++live);
      else if (op.kind() != OpKind::BackwardInput)
        --live;
    });
  return most;
}

void check_fitting(const CatalogueEntry& entry, Shape shape) {
  const Schedule schedule = make_schedule(entry, shape);
  CHECK(schedule.name == entry.name);
  CHECK(schedule.microbatches == shape.microbatches);
  CHECK(schedule.placement.ranks == shape.ranks);
  CHECK(schedule.placement.chunks() == shape.chunks.value_or(entry.chunks));
  CHECK(schedule.placement.weight_copies() == entry.weight_copies);
  CHECK_NOTHROW(require_sound(schedule));
  int most = 0;
  int least = std::numeric_limits<int>::max();
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    most = std::max(most, peak(schedule, rank));
    least = std::min(least, peak(schedule, rank));
  }
  shape.chunks = shape.chunks.value_or(entry.chunks);
  CHECK(most == entry.peak.of(shape));
  if (entry.name == "dualpipe")
    CHECK(least == most);
}

void check_misfit(const CatalogueEntry& entry, Shape shape, const Misfit& misfit) {
  CHECK_FALSE(find_misfit(entry, misfit.nearest));
  CHECK(misfit.nearest.ranks >= shape.ranks);
  for (Shape less = misfit.nearest; --less.microbatches >= shape.microbatches;)
    CHECK(find_misfit(entry, less));
  const std::string message = error_of([&] { make_schedule(entry, shape); });
  CHECK_MESSAGE(message.starts_with(fmt::format("schedule {} at p={}, m={}", entry.name,
                                                shape.ranks, shape.microbatches)),
                message);
  CHECK_MESSAGE(message.find(fmt::format(": {}; the nearest shape that fits is p={}, m={}",
                                         misfit.reason, misfit.nearest.ranks,
                                         misfit.nearest.microbatches)) != std::string::npos,
                message);
}

/// Every schedule at `shape`, those that are free to choose with `chunks` and `group_size` as well.
void check_shape(Shape shape, int chunks, int group_size) {
  for (const CatalogueEntry& entry : generated_schedules()) {
    Shape own = shape;
    if (entry.any_chunks)
      own.chunks = chunks;
    if (entry.any_group_size)
      own.group_size = group_size;
    CAPTURE(entry.name);
    CAPTURE(own.ranks);
    CAPTURE(own.microbatches);
    CAPTURE(chunks);
    CAPTURE(group_size);
    if (const auto misfit = find_misfit(entry, own))
      check_misfit(entry, own, *misfit);
    else
      check_fitting(entry, own);
  }
}

}  // namespace

TEST_CASE("Every order equals its authors' own code byte for byte") {
  const auto folder = reference("oracles/orders");
  if (folder.empty())
    return;
  std::map<std::string, int> compared;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    const std::string stem = file.path().stem().string();
    const auto [name, shape] = parse_stem(stem);
    CAPTURE(stem);
    CHECK(csv(name, shape) == contents(file.path()));
    ++compared[name];
  }
  for (const std::string name :
       {"1f1b", "interleaved-1f1b", "interleaved-1f1b-torch", "interleaved-zb-torch", "looped-bfs",
        "zb-h1", "zb-h1-paper", "zb-h2", "zb-v", "dualpipe", "dualpipev"})
    CHECK_MESSAGE(compared[name] >= 5, name);
}

TEST_CASE("Every order has the digest of its authors' own") {
  std::istringstream rows(contents(source_file("tests/golden/order_digests.csv")));
  std::string row;
  std::getline(rows, row);
  REQUIRE(row == "name,p,m,v,g,digest");
  int compared = 0;
  for (; std::getline(rows, row); ++compared) {
    CAPTURE(row);
    std::vector<std::string> cells;
    std::istringstream in(row);
    for (std::string cell; std::getline(in, cell, ',');)
      cells.push_back(cell);
    REQUIRE(cells.size() == 6);
    Shape shape{std::stoi(cells[1]), std::stoi(cells[2]), std::stoi(cells[3])};
    if (!cells[4].empty())
      shape.group_size = std::stoi(cells[4]);
    CHECK(digest(csv(cells[0], shape)) == cells[5]);
  }
  CHECK(compared == 111);
}

TEST_CASE("A loop deals its stages out and crossing pipes mirror each other") {
  const Placement loop = loop_placement({.ranks = 3, .chunks = 2});
  CHECK(loop.rank_of_stage == std::vector<Rank>{0, 1, 2, 0, 1, 2});
  CHECK(loop.weights_of_stage == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5});
  CHECK(loop.chunks() == 2);
  CHECK(loop.weight_copies() == 1);
  const Placement crossing = bidirectional_placement(3);
  CHECK(crossing.rank_of_stage == std::vector<Rank>{0, 1, 2, 2, 1, 0});
  CHECK(crossing.weights_of_stage == std::vector<std::int32_t>{0, 1, 2, 0, 1, 2});
  CHECK(crossing.chunks() == 1);
  CHECK(crossing.weight_copies() == 2);
  const std::optional<Stage> before[] = {{}, 0, 1, {}, 3, 4};
  const std::optional<Stage> after[] = {1, 2, {}, 4, 5, {}};
  for (Stage stage = 0; stage < crossing.stages(); ++stage) {
    CHECK(crossing.before(stage) == before[stage]);
    CHECK(crossing.after(stage) == after[stage]);
  }
}

TEST_CASE("GPipe runs all forwards then all backwards in order") {
  CHECK(csv("gpipe", {2, 3}) == "0F0,0F1,0F2,0B0,0B1,0B2\n1F0,1F1,1F2,1B0,1B1,1B2\n");
  const Schedule schedule = make_schedule(*find_schedule("gpipe"), {5, 7});
  for (Rank rank = 0; rank < 5; ++rank)
    for (MicroBatch i = 0; i < 14; ++i) {
      const Op expected(i < 7 ? OpKind::Forward : OpKind::Backward, rank, i % 7);
      CHECK(schedule.order(rank)[static_cast<std::size_t>(i)] == Action(expected));
    }
}

TEST_CASE("Every small shape fits a schedule or names the nearest one that does") {
  for (int ranks = 1; ranks <= 9; ++ranks)
    for (int microbatches = 1; microbatches <= 20; ++microbatches)
      check_shape({ranks, microbatches}, 1 + microbatches % 4, ranks + microbatches % 3);
}

TEST_CASE("Random larger shapes fit a schedule or name the nearest one that does") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    check_shape({draw_int(engine, {1, 40}), draw_int(engine, {1, 120})}, draw_int(engine, {1, 6}),
                draw_int(engine, {1, 50}));
  }
}

TEST_CASE("V-Half and V-Min take as long as their authors' code says at every cost") {
  const auto file = reference("oracles/best-known.json");
  if (file.empty())
    return;
  int compared = 0;
  for (const auto& row : nlohmann::json::parse(contents(file))) {
    const std::string name = row["schedule"];
    if (name != "v-half" && name != "v-min")
      continue;
    CAPTURE(row.dump());
    const auto us = [&](const char* key) { return std::chrono::microseconds(int{row[key]}); };
    const CostSource costs{
        .stages = {{.forward = us("F"), .input_grad = us("I"), .weight_grad = us("W")}},
        .link = {.latency = us("comm")}};
    const Schedule schedule = make_schedule(*find_schedule(name), {row["p"], row["m"]});
    const DependencyGraph graph = graph_of(schedule, costs, {.per = CostPer::OneStage});
    Time step{};
    for (const Span& span : simulate(graph).spans)
      step = std::max(step, span.end);
    CHECK(step == us("makespan"));
    ++compared;
  }
  CHECK(compared == 60);
}

TEST_CASE("A wave turns at both ends") {
  const Placement wave = wave_placement({.ranks = 3, .chunks = 3});
  CHECK(wave.rank_of_stage == std::vector<Rank>{0, 1, 2, 2, 1, 0, 0, 1, 2});
  CHECK(v_placement(2).rank_of_stage == std::vector<Rank>{0, 1, 1, 0});
}

TEST_CASE("Chimera fills every slot but those of the ramps where F and B are equal") {
  const CostSource costs{.stages = {{.forward = Time(1), .backward = Time(1)}}};
  for (const int ranks : {2, 4, 6, 8, 16})
    for (const int units : {1, 2, 5}) {
      CAPTURE(ranks);
      CAPTURE(units);
      const Schedule schedule = make_schedule(*find_schedule("chimera"), {ranks, units * ranks});
      Time step{};
      for (const Span& span : simulate(graph_of(schedule, costs)).spans)
        step = std::max(step, span.end);
      CHECK(step == Time(2 * ranks * units + ranks - 2));  // the paper's bubble of p − 2 slots
    }
}

TEST_CASE("Hanayo's waves fill every slot but those of the ramps where F and B are equal") {
  const CostSource costs{.stages = {{.forward = Time(1), .backward = Time(1)}}};
  for (const int ranks : {1, 2, 3, 4, 8})
    for (const int chunks : {2, 4, 6})
      for (const int units : {1, 3}) {
        CAPTURE(ranks);
        CAPTURE(chunks);
        CAPTURE(units);
        const Schedule schedule =
            make_schedule(*find_schedule("hanayo"), {ranks, units * ranks, chunks});
        Time step{};
        const auto graph = graph_of(schedule, costs, {.per = CostPer::OneStage});
        for (const Span& span : simulate(graph).spans)
          step = std::max(step, span.end);
        CHECK(step == Time(2 * chunks * ranks * units + 2 * (ranks - 1)));
      }
}

TEST_CASE("F&B pairs run the steady state of the overlapping 1F1B") {
  CHECK(csv("interleaved-1f1b-overlap", {2, 2, 2}) ==
        "0F0,0F1,2F0,2F1,2B0,2B1,0B0,0B1\n"
        "1F0,1F1,3F0,(3F1;3B0)OVERLAP_F_B,3B1,1B0,1B1\n");
}

TEST_CASE("Misfits say which constraint is broken") {
  struct Case {
    std::string name;
    Shape shape;
    std::string reason;
    Shape nearest;
  };
  const Case cases[] = {
      {"zb-h1-paper", {4, 3}, "its first rank needs m ≥ p micro-batches", {4, 4}},
      {"zb-h2", {4, 6}, "its first rank needs m ≥ 2p − 1 micro-batches", {4, 7}},
      {"dualpipe", {3, 8}, "two pipes meet in the middle, so p must be even", {4, 8}},
      {"dualpipe",
       {4, 9},
       "half of the micro-batches enter at each end, so m must be even",
       {4, 10}},
      {"dualpipe", {4, 6}, "it needs m ≥ 2p micro-batches to fill both pipes", {4, 8}},
      {"dualpipev", {4, 6}, "it needs m ≥ 2p micro-batches to fill the pipe both ways", {4, 8}},
      {"interleaved-1f1b", {4, 8, 2, 3}, "a group needs p micro-batches or more", {4, 8, 2, 4}},
      {"interleaved-1f1b", {4, 8, 2, 12}, "a group cannot have more micro-batches", {4, 8, 2, 8}},
      {"interleaved-1f1b-overlap", {4, 8, 2, 9}, "a group cannot have more", {4, 8, 2, 8}},
      {"interleaved-1f1b", {4, 3, 2, 6}, "a group cannot have more", {4, 4, 2, 4}},
      {"interleaved-1f1b", {4, 9}, "the last group, of 1, has fewer micro-batches than p", {4, 12}},
      {"interleaved-1f1b", {4, 3}, "the last group, of 3, has fewer micro-batches than p", {4, 4}},
      {"interleaved-zb-torch", {3, 7}, "m must be a multiple of its ⌊m/p⌋ = 2 rounds", {3, 8}},
      {"chimera", {3, 4}, "two pipes meet in the middle, so p must be even", {4, 4}},
      {"chimera", {4, 6}, "each pipe takes p/2 micro-batches at a time", {4, 8}},
      {"hanayo", {4, 8, 3}, "a wave goes down and up again, so v must be even", {4, 8, 4}},
      {"hanayo", {4, 6}, "the waves take p micro-batches at a time", {4, 8}},
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    const auto misfit = find_misfit(*find_schedule(each.name), each.shape);
    REQUIRE(misfit);
    CHECK_MESSAGE(misfit->reason.starts_with(each.reason), misfit->reason);
    CHECK(misfit->nearest.ranks == each.nearest.ranks);
    CHECK(misfit->nearest.microbatches == each.nearest.microbatches);
    if (each.nearest.chunks)
      CHECK(misfit->nearest.chunks == each.nearest.chunks);
    CHECK(misfit->nearest.group_size == each.nearest.group_size);
  }
}

TEST_CASE("Another v than the schedule's own is a misfit beside any other") {
  const CatalogueEntry& entry = *find_schedule("zb-h2");
  CHECK_FALSE(find_misfit(entry, {4, 8, 1}));
  CHECK_THROWS_WITH_AS(
      make_schedule(entry, {4, 6, 2}),
      "schedule zb-h2 at p=4, m=6, v=2: it has v = 1; the nearest shape that fits is p=4, m=7, v=1",
      Error);
}

TEST_CASE("The catalogue finds each schedule by its name and no other") {
  const std::vector<std::string> names = schedule_names();
  CHECK(names.size() == catalogue().size());
  for (const std::string& name : names) {
    REQUIRE(find_schedule(name) != nullptr);
    CHECK(find_schedule(name)->name == name);
    CHECK(std::count(names.begin(), names.end(), name) == 1);
  }
  CHECK(find_schedule("zb-h") == nullptr);
  CHECK(find_schedule("") == nullptr);
}

}  // namespace bubblescope
