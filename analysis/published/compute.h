// What the published tables share: their inputs, reading a row's setting, running a schedule.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "analysis/figures/report.h"
#include "analysis/published/published_table.h"
#include "sim/base/json_input.h"
#include "sim/costs/cost_model.h"
#include "sim/schedule/schedule.h"
#include "sim/schedule/shape.h"

namespace bubblescope {

/// The costs of data/costs, by name.
using CostTables = std::function<CostSource(const std::string& name)>;

/// What tables are computed with; more than one may need what was searched for once.
struct TableInputs {
  CostTables costs;
  std::map<std::string, Schedule> searched = {};
};

struct TableContext {
  const PublishedTable& table;
  TableInputs& inputs;
};

/// Throws Error for a setting that lacks a key or has another, and for an unknown column.
using ComputeFigure = double (*)(const PublishedRow& row, const std::string& column,
                                 const TableContext& context);

/// The setting of a row, which has to be read whole.
ObjectReader setting_reader(const PublishedRow& row, const TableContext& context);

/// A number of ranks, stages or micro-batches: whole, from 1 to 4096. Throws Error.
int count_in(ObjectReader& setting, const std::string& key);

/// The papers' model: messages occupy nothing.
Report run_ideal(const Schedule& schedule, const CostSource& costs,
                 const CostOptions& options = {});

/// Throws Error: the table has no such column.
[[noreturn]] void refuse_column(const std::string& column, const TableContext& context);

double zero_bubble_rate(const PublishedRow& row, const std::string& column,
                        const TableContext& context);
double zero_bubble_memory(const PublishedRow& row, const std::string& column,
                          const TableContext& context);
double dualpipe_readme(const PublishedRow& row, const std::string& column,
                       const TableContext& context);
double megatron_interleaved(const PublishedRow& row, const std::string& column,
                            const TableContext& context);
double controllable_memory(const PublishedRow& row, const std::string& column,
                           const TableContext& context);
double controllable_memory_bubbles(const PublishedRow& row, const std::string& column,
                                   const TableContext& context);

}  // namespace bubblescope
