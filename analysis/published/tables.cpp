#include "analysis/published/tables.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"

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
