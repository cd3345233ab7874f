#include "analysis/calibration/timing_points.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"

namespace bubblescope {
namespace {

using Timings = std::vector<const KernelTiming*>;
using Named = std::pair<const char*, const char*>;

/// Names of the files and of the tables.
constexpr Named kDtypes[] = {{"bfloat16", "bf16"}, {"fp8", "fp8"}, {"fp8_block", "fp8_block"}};
constexpr Named kCollectives[] = {{"all_gather", "all_gather"},
                                  {"reduce_scatter", "reduce_scatter"},
                                  {"all_reduce", "all_reduce"},
                                  {"alltoall", "all_to_all"}};

const GridAxis kHeads = {"heads", {1, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096}};

std::vector<GridAxis> product_axes() {
  const std::vector<double> sizes = {32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 12288, 65536};
  return {{"m", {16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768}},
          {"n", sizes},
          {"k", sizes}};
}

std::vector<GridAxis> attention_axes() {
  return {{"head_dim", {64, 128, 192, 256, 512}, 1, 0.75},
          {"group", {1, 2, 8, 96}, 0},
          kHeads,
          {"sequence", {512, 1024, 2048, 4096, 8192, 16384}, 2}};
}

std::vector<GridAxis> latent_axes() {
  return {kHeads, {"sequence", {512, 1024, 2048, 4096, 8192, 16384, 32768}, 2}};
}

std::vector<GridAxis> expert_axes() {
  return {{"rows", {4, 16, 64, 256, 1024, 4096, 16384}},
          {"experts", {1, 2, 4, 16, 64, 512}, 1, 1},
          {"width", {32, 128, 512, 2048, 16384}},
          {"hidden", {2048, 4096, 8192}}};
}

std::vector<GridAxis> bytes_axes() {
  GridAxis bytes = {"bytes", {}};
  for (int power = 9; power < 30; ++power)
    bytes.nodes.push_back(std::ldexp(1, power));
  return {bytes};
}

/// Numbers shapes in the order in which they come first.
class Shapes {
 public:
  std::size_t operator()(const std::array<double, 3>& shape) {
    return numbers_.try_emplace(shape, numbers_.size()).first->second;
  }

 private:
  std::map<std::array<double, 3>, std::size_t> numbers_;
};

/// No kernel is tuned for odd m.
std::vector<GridPoint> product_points(const Timings& timings) {
  constexpr double kManyRows = 256;
  Shapes shapes;
  std::vector<GridPoint> points;
  for (const KernelTiming* each : timings)
    if (std::fmod(each->numbers[0], 2) == 0)
      points.push_back({.at = {each->numbers[0], each->numbers[1], each->numbers[2]},
                        .microseconds = each->microseconds,
                        .shape = shapes({each->numbers[1], each->numbers[2]}),
                        .is_judged = each->numbers[0] >= kManyRows});
  return points;
}

/// Heads are those of all sequences, a group the heads of a key head.
std::vector<GridPoint> attention_points(const Timings& timings) {
  Shapes shapes;
  std::vector<GridPoint> points;
  for (const KernelTiming* each : timings) {
    const auto& [batch, sequence, heads, key_heads, head_dim, unused, none] = each->numbers;
    points.push_back({.at = {head_dim, heads / key_heads, batch * heads, sequence},
                      .microseconds = each->microseconds,
                      .shape = shapes({head_dim, batch * heads, sequence})});
  }
  return points;
}

std::vector<GridPoint> latent_points(const Timings& timings) {
  constexpr double kLeastSequence = 512;
  Shapes shapes;
  std::vector<GridPoint> points;
  for (const KernelTiming* each : timings) {
    const double heads = each->numbers[1] * each->numbers[0];
    const double sequence = each->numbers[2];
    if (sequence >= kLeastSequence)
      points.push_back({.at = {heads, sequence},
                        .microseconds = each->microseconds,
                        .shape = shapes({heads, sequence})});
  }
  return points;
}

/// Loads are equal; where no timings have such, nearly so: unequal loads of a GPU that has all
/// experts add up to nearly the same. An expert has 4 rows or more.
std::vector<GridPoint> expert_points(const Timings& timings) {
  constexpr std::string_view kEqual = "balanced";
  constexpr std::string_view kNearlyEqual = "power_law_1.01";
  constexpr double kLeastRows = 4;
  // Shapes of models whose experts probably have no gate, which the timings do not say.
  const std::set<std::pair<double, double>> unsure = {{2688, 1856}, {2048, 5120}, {8192, 5120}};
  const bool has_equal = std::any_of(timings.begin(), timings.end(),
                                     [&](const auto* each) { return each->words[1] == kEqual; });
  constexpr double kManyRows = 64;
  Shapes shapes;
  std::map<std::array<double, 6>, std::size_t> curves;
  std::vector<GridPoint> points;
  for (const KernelTiming* each : timings) {
    const auto& [tokens, hidden, width, per_token, experts, tensor, groups] = each->numbers;
    const bool is_even =
        has_equal ? each->words[1] == kEqual : each->words[1] == kNearlyEqual && groups == 1;
    if (!is_even || unsure.contains({hidden, width}) || tokens * per_token < kLeastRows * experts)
      continue;
    const std::array<double, 6> shape = {hidden, width, per_token, experts, tensor, groups};
    const double rows = tokens * per_token / experts;
    points.push_back({.at = {rows, experts / groups, width / tensor, hidden},
                      .microseconds = each->microseconds,
                      .moved = tokens * hidden / 1e6,
                      .curve = curves.try_emplace(shape, curves.size()).first->second,
                      .shape = shapes({width / tensor, hidden}),
                      .is_judged = rows >= kManyRows});
  }
  return points;
}

/// By the bytes of the whole buffer.
std::vector<GridPoint> collective_points(const Timings& timings) {
  constexpr double kBytesOfHalf = 2;
  Shapes shapes;
  std::vector<GridPoint> points;
  for (const KernelTiming* each : timings)
    points.push_back({.at = {each->numbers[1] * kBytesOfHalf},
                      .microseconds = each->microseconds,
                      .shape = shapes({each->numbers[1]})});
  return points;
}

Timings of_kind(const std::vector<TimingFile>& files, TimingKind kind) {
  Timings timings;
  for (const TimingFile& file : files)
    for (const KernelTiming& each : file.timings)
      if (file.kind == kind)
        timings.push_back(&each);
  return timings;
}

template <typename Is>
Timings those(const Timings& timings, const Is& is) {
  Timings chosen;
  std::copy_if(timings.begin(), timings.end(), std::back_inserter(chosen),
               [&](const KernelTiming* each) { return is(*each); });
  return chosen;
}

/// One axis over the bytes of all numbers of GPUs, as a table of the file has it.
void add_collective(const Timings& timings, const Named& name, std::vector<TimedTable>& tables) {
  const Timings all = those(timings, [&](const KernelTiming& each) {
    return each.words[0] == name.first && each.words[1] == "half";
  });
  if (all.empty())
    return;
  const std::vector<GridAxis> axes = cut_axes(bytes_axes(), collective_points(all));
  std::set<double> counts;
  for (const KernelTiming* each : all)
    counts.insert(each->numbers[0]);
  for (const double gpus : counts) {
    const Timings chosen =
        those(all, [&](const KernelTiming& each) { return each.numbers[0] == gpus; });
    TimedTable table{"collectives",
                     name.second,
                     TimingKind::Collectives,
                     axes,
                     collective_points(chosen),
                     static_cast<int>(gpus),
                     chosen.size()};
    if (gpus < 2)
      throw Error(
          fmt::format("{}: expected 2 GPUs or more, got num_gpus = {:g}", table.name(), gpus));
    tables.push_back(std::move(table));
  }
}

template <typename Points>
void add_table(TimedTable table, const Timings& timings, const Points& points,
               std::vector<TimedTable>& tables) {
  if (timings.empty())
    return;
  table.points = points(timings);
  table.rows = timings.size();
  if (table.points.empty())
    throw Error(fmt::format("{}: of {} timings none can be used (docs/kernels.md says which)",
                            table.name(), table.rows));
  table.axes = cut_axes(table.axes, table.points);
  tables.push_back(std::move(table));
}

}  // namespace

std::string TimedTable::name() const {
  return key.empty() ? section : section + "." + key;
}

std::vector<GridAxis> section_axes(std::string_view section) {
  return section == "products"              ? product_axes()
         : section.starts_with("attention") ? attention_axes()
         : section.starts_with("mla")       ? latent_axes()
         : section == "grouped"             ? expert_axes()
         : section == "collectives"         ? bytes_axes()
                                            : std::vector<GridAxis>();
}

void require_spread(const TimedTable& table) {
  const std::set<std::string_view> spanned = {"m",    "n",     "k",        "heads",
                                              "rows", "width", "sequence", "bytes"};
  for (std::size_t axis = 0; axis < table.axes.size(); ++axis) {
    const GridAxis& one = table.axes[axis];
    if (spanned.contains(one.name) && one.nodes.size() < 2)
      throw Error(
          fmt::format("{}: expected timings with 2 values of {} or more, or a --base that "
                      "has such a table; all {} have {} = {:g}",
                      table.name(), one.name, table.points.size(), one.name, one.nodes.front()));
  }
}

std::vector<TimedTable> timed_tables(const std::vector<TimingFile>& files) {
  const auto in = [](const char* dtype) {
    return [dtype](const KernelTiming& each) { return each.words[0] == dtype; };
  };
  std::vector<TimedTable> tables;
  const auto of = [&](const char* section, const char* key, TimingKind kind) {
    return TimedTable{section, key, kind, section_axes(section)};
  };
  for (const auto& [theirs, ours] : kDtypes)
    add_table(of("products", ours, TimingKind::Products),
              those(of_kind(files, TimingKind::Products), in(theirs)), product_points, tables);
  const auto passes = [&](TimingKind kind, bool is_backward) {
    return those(of_kind(files, kind), [is_backward](const KernelTiming& each) {
      return each.is_backward == is_backward;
    });
  };
  for (const bool is_backward : {false, true}) {
    add_table(of(is_backward ? "attention_backward" : "attention", "", TimingKind::Attention),
              passes(TimingKind::Attention, is_backward), attention_points, tables);
    add_table(of(is_backward ? "mla_backward" : "mla", "", TimingKind::LatentAttention),
              passes(TimingKind::LatentAttention, is_backward), latent_points, tables);
  }
  for (const auto& [theirs, ours] : kDtypes)
    add_table(of("grouped", ours, TimingKind::Experts),
              those(of_kind(files, TimingKind::Experts), in(theirs)), expert_points, tables);
  const Timings collectives = of_kind(files, TimingKind::Collectives);
  for (const Named& name : kCollectives)
    add_collective(collectives, name, tables);
  return tables;
}

}  // namespace bubblescope
