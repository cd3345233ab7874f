#include "analysis/published_tables/tables.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "analysis/published_tables/compute.h"
#include "sim/dependency_graph.h"
#include "sim/error.h"
#include "sim/lowering.h"
#include "sim/nearest.h"
#include "sim/simulate.h"

namespace bubblescope {
namespace {

constexpr Reproduction kTables[] = {
    {"zero-bubble-table5", zero_bubble_rate},
    {"zero-bubble-memory", zero_bubble_memory},
    {"dualpipe-readme", dualpipe_readme},
    {"megatron-interleaved", megatron_interleaved},
    {"controllable-memory", controllable_memory},
    {"controllable-memory-bubbles", controllable_memory_bubbles},
};

const Reproduction& reproduction_of(const PublishedTable& table) {
  std::vector<std::string> names;
  for (const Reproduction& each : kTables) {
    if (each.name == table.name)
      return each;
    names.emplace_back(each.name);
  }
  throw Error(fmt::format("{}: /name: there is no table '{}'{}", table.file, table.name,
                          did_you_mean(table.name, names)));
}

}  // namespace

ObjectReader setting_reader(const PublishedRow& row, const TableContext& context) {
  const auto index = static_cast<std::size_t>(&row - context.table.rows.data());
  return {row.setting, {context.table.file, fmt::format("/rows/{}/setting", index)}};
}

int count_in(ObjectReader& setting, const std::string& key) {
  constexpr std::int64_t kMost = 4096;
  const std::int64_t count = setting.integer(key);
  if (count < 1 || count > kMost)
    setting.fail(key, fmt::format("expected a whole number from 1 to {}, got {}", kMost, count));
  return static_cast<int>(count);
}

Report run_ideal(const Schedule& schedule, const CostSource& costs, CostOptions options) {
  const DependencyGraph graph =
      build_graph(lower(schedule, Comm::Ideal), CostModel(costs, schedule.placement, options));
  return report(graph, simulate(graph));
}

void refuse_column(const std::string& column, const TableContext& context) {
  throw Error(fmt::format("{}: /columns: table {} has no column '{}'", context.table.file,
                          context.table.name, column));
}

std::span<const Reproduction> reproductions() {
  return kTables;
}

void reproduce(PublishedTable& table, TableInputs& inputs,
               const std::function<void(const PublishedRow&)>& begins) {
  const ComputeFigure compute = reproduction_of(table).compute;
  const TableContext context = {table, inputs};
  for (PublishedRow& row : table.rows) {
    if (begins)
      begins(row);
    for (std::size_t i = 0; i < table.columns.size(); ++i)
      row.figures[i].ours = compute(row, table.columns[i].name, context);
  }
}

}  // namespace bubblescope
