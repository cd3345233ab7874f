// Pipeline Parallelism with Controllable Memory, arXiv 2405.15362: peaks and bubbles of its
// building blocks on a V.
#include <algorithm>
#include <chrono>

#include "analysis/published/compute.h"
#include "sim/schedule/catalogue.h"

namespace bubblescope {
namespace {

struct Run {
  int ranks = 0;
  Report report;
};

/// F = I = W = `pass` for each of a rank's two chunks, and for 1F1B their sum.
Run run(const PublishedRow& row, std::string_view schedule, Time pass,
        const TableContext& context) {
  ObjectReader setting = setting_reader(row, context);
  const Shape shape = {.ranks = count_in(setting, "ranks"),
                       .microbatches = count_in(setting, "microbatches")};
  setting.finish();
  const CatalogueEntry* entry = find_schedule(schedule);
  if (entry == nullptr || entry->automatic != nullptr)
    refuse_column(std::string(schedule), context);
  CostSource costs;
  costs.stages = {{.forward = 2 * pass, .input_grad = 2 * pass, .weight_grad = 2 * pass}};
  return {shape.ranks, run_ideal(make_schedule(*entry, shape), costs)};
}

constexpr std::string_view kShare = " of 1f1b";
constexpr Time kPass = std::chrono::microseconds(1);

}  // namespace

/// "v-half": its peak in micro-batches, each of which is a p-th of the model on a rank;
/// "v-half of 1f1b": that over the peak of 1F1B.
double controllable_memory(const PublishedRow& row, const std::string& column,
                           const TableContext& context) {
  const auto peak = [&](std::string_view schedule) {
    return run(row, schedule, kPass, context).report.peak_activation_share;
  };
  if (!column.ends_with(kShare))
    return peak(column);
  return peak(column.substr(0, column.size() - kShare.size())) / peak("1f1b");
}

/// What the widest rank's span has beyond its work, in passes of a chunk, over the number of ranks.
double controllable_memory_bubbles(const PublishedRow& row, const std::string& column,
                                   const TableContext& context) {
  const Run result = run(row, column, kPass, context);
  Time bubbles{};
  for (const RankReport& rank : result.report.per_rank)
    bubbles = std::max(bubbles, rank.span - rank.busy);
  return static_cast<double>(bubbles.count()) / static_cast<double>(kPass.count()) / result.ranks;
}

}  // namespace bubblescope
