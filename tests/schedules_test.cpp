// Every order of the catalogue against its authors' own, byte for byte, and against its promises.
#include <algorithm>
#include <cstdio>
#include <map>
#include <sstream>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "sim/error.h"
#include "sim/order_export.h"
#include "sim/schedules/catalogue.h"
#include "sim/validate.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

/// FNV-1a, 64 bits, as sixteen hexadecimal digits.
std::string digest(const std::string& text) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3U;
  }
  return fmt::format("{:016x}", hash);
}

std::string csv(const std::string& name, Shape shape) {
  const CatalogueEntry* entry = find_schedule(name);
  REQUIRE(entry != nullptr);
  return to_torch_csv(make_schedule(*entry, shape));
}

struct NamedShape {
  std::string name;
  Shape shape;
};
/// "zb-h1-p4-m8-v1" taken apart; no name where it is of another form.
NamedShape parse_stem(const std::string& stem) {
  const auto place = std::min(stem.rfind("-p"), stem.size());
  int p = 0;
  int m = 0;
  int v = 0;
  int length = 0;
  const char* numbers = stem.c_str() + place;
  const bool matches = std::sscanf(numbers, "-p%d-m%d-v%d%n", &p, &m, &v, &length) == 3 &&
                       place + static_cast<std::size_t>(length) == stem.size();
  return {matches ? stem.substr(0, place) : "", {p, m, v}};
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

/// What the registry's formulas mean.
int evaluate(std::string_view formula, Shape shape) {
  const int p = shape.ranks;
  const int m = shape.microbatches;
  const std::map<std::string_view, int> values = {
      {"m", m}, {"min(p, m)", std::min(p, m)}, {"p", p}, {"2p − 1", 2 * p - 1}, {"p + 1", p + 1}};
  REQUIRE_MESSAGE(values.contains(formula), "unknown formula " << formula);
  return values.at(formula);
}

void check_fitting(const CatalogueEntry& entry, Shape shape) {
  const Schedule schedule = make_schedule(entry, shape);
  CHECK(schedule.name == entry.name);
  CHECK(schedule.microbatches == shape.microbatches);
  CHECK(schedule.placement.ranks == shape.ranks);
  CHECK(schedule.placement.chunks() == entry.chunks);
  CHECK(schedule.placement.weight_copies() == entry.weight_copies);
  CHECK_NOTHROW(validate(schedule));
  int most = 0;
  int least = schedule.microbatches;
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    most = std::max(most, peak(schedule, rank));
    least = std::min(least, peak(schedule, rank));
  }
  CHECK(most == evaluate(entry.peak, shape));
  if (entry.name == "dualpipe")
    CHECK(least == most);
}

void check_misfit(const CatalogueEntry& entry, Shape shape, const Misfit& misfit) {
  CHECK_FALSE(find_misfit(entry, misfit.nearest));
  CHECK(misfit.nearest.ranks >= shape.ranks);
  for (Shape less = misfit.nearest; --less.microbatches >= shape.microbatches;)
    CHECK(find_misfit(entry, less));
  const std::string message =
      fmt::format("schedule {} at p={}, m={}: {}; the nearest shape that fits is p={}, m={}",
                  entry.name, shape.ranks, shape.microbatches, misfit.reason, misfit.nearest.ranks,
                  misfit.nearest.microbatches);
  CHECK_THROWS_WITH_AS(make_schedule(entry, shape), message.c_str(), Error);
}

void check_shape(Shape shape) {
  for (const CatalogueEntry& entry : catalogue()) {
    CAPTURE(entry.name);
    CAPTURE(shape.ranks);
    CAPTURE(shape.microbatches);
    if (const auto misfit = find_misfit(entry, shape))
      check_misfit(entry, shape, *misfit);
    else
      check_fitting(entry, shape);
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
    if (find_schedule(name) == nullptr)
      continue;
    CAPTURE(stem);
    CHECK(csv(name, shape) == contents(file.path()));
    ++compared[name];
  }
  for (const std::string name : {"1f1b", "zb-h1", "zb-h1-paper", "zb-h2", "dualpipe"})
    CHECK_MESSAGE(compared[name] >= 5, name);
}

TEST_CASE("Every order has the digest of its authors' own") {
  std::istringstream rows(contents(source_file("tests/golden/order_digests.csv")));
  std::string row;
  std::getline(rows, row);
  REQUIRE(row == "name,p,m,digest");
  int compared = 0;
  for (; std::getline(rows, row); ++compared) {
    CAPTURE(row);
    std::vector<std::string> cells;
    std::istringstream in(row);
    for (std::string cell; std::getline(in, cell, ',');)
      cells.push_back(cell);
    REQUIRE(cells.size() == 4);
    CHECK(digest(csv(cells[0], {std::stoi(cells[1]), std::stoi(cells[2])})) == cells[3]);
  }
  CHECK(compared == 32);
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
      check_shape({ranks, microbatches});
}

TEST_CASE("Random larger shapes fit a schedule or name the nearest one that does") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    check_shape({draw_int(engine, {1, 40}), draw_int(engine, {1, 120})});
  }
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
  };
  for (const Case& each : cases) {
    CAPTURE(each.name);
    const auto misfit = find_misfit(*find_schedule(each.name), each.shape);
    REQUIRE(misfit);
    CHECK_MESSAGE(misfit->reason.starts_with(each.reason), misfit->reason);
    CHECK(misfit->nearest.ranks == each.nearest.ranks);
    CHECK(misfit->nearest.microbatches == each.nearest.microbatches);
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
