#include "analysis/published/compute.h"

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/engine/dependency_graph.h"
#include "sim/engine/simulate.h"

namespace bubblescope {

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

Report run_ideal(const Schedule& schedule, const CostSource& costs, const CostOptions& options) {
  const DependencyGraph graph = build_graph(PostedProgram{.schedule = schedule},
                                            CostModel(costs, schedule.placement, options));
  return report(graph, simulate(graph));
}

void refuse_column(const std::string& column, const TableContext& context) {
  throw Error(fmt::format("{}: /columns: table {} has no column '{}'", context.table.file,
                          context.table.name, column));
}

}  // namespace bubblescope
