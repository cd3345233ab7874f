// The table in the README of deepseek-ai/DualPipe: bubble, parameters and activations for PP
// stages.
#include <algorithm>
#include <set>
#include <string>

#include <fmt/format.h>

#include "analysis/published/compute.h"
#include "sim/schedule/catalogue.h"

namespace bubblescope {
namespace {

/// Stages of which the fullest rank holds weights.
double stages_of_parameters(const Placement& placement) {
  std::vector<std::set<std::int32_t>> held(static_cast<std::size_t>(placement.ranks));
  for (Stage stage = 0; stage < placement.stages(); ++stage)
    held[static_cast<std::size_t>(placement.rank(stage))].insert(
        placement.weights_of_stage[static_cast<std::size_t>(stage)]);
  std::size_t most = 0;
  for (const auto& stages : held)
    most = std::max(most, stages.size());
  return static_cast<double>(most);
}

}  // namespace

/// Costs are a stage's; DualPipeV has PP/2 ranks with two stages each. The bubble is the idle time
/// of the rank that idles most, in microseconds.
double dualpipe_readme(const PublishedRow& row, const std::string& column,
                       const TableContext& context) {
  ObjectReader setting = setting_reader(row, context);
  const std::string name = setting.text("schedule");
  const int stages = count_in(setting, "stages");
  const auto time = [&](const char* key) { return time_from_us(setting.number(key)); };
  CostSource costs;
  costs.stages = {{.forward = time("forward_us"),
                   .input_grad = time("input_grad_us"),
                   .weight_grad = time("weight_grad_us"),
                   .overlapped = time("overlapped_us")}};
  setting.finish();
  const CatalogueEntry* entry = find_schedule(name);
  if (entry == nullptr)
    setting.fail("schedule", fmt::format("there is no schedule '{}'", name));
  const Schedule schedule =
      make_schedule(*entry, {.ranks = stages / entry->chunks, .microbatches = 2 * stages});
  if (column == "parameters")
    return stages_of_parameters(schedule.placement);
  const Report report = run_ideal(schedule, costs, {.per = CostPer::OneStage});
  if (column == "activations")
    return report.peak_live_activations;
  if (column != "bubble")
    refuse_column(column, context);
  Time idle{};
  for (const RankReport& rank : report.per_rank)
    idle = std::max(idle, rank.idle);
  return to_us(idle);
}

}  // namespace bubblescope
