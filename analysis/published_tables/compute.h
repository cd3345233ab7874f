// What the published tables share: reading a row's setting, and running a schedule.
#pragma once

#include <string>
#include <string_view>

#include "analysis/published_tables/tables.h"
#include "analysis/report.h"
#include "sim/json_input.h"
#include "sim/schedule.h"
#include "sim/schedules/shape.h"

namespace bubblescope {

/// The setting of a row, which has to be read whole.
ObjectReader setting_reader(const PublishedRow& row, const TableContext& context);

/// A number of ranks, stages or micro-batches: whole, from 1 to 4096. Throws Error.
int count_in(ObjectReader& setting, const std::string& key);

/// The papers' model: messages occupy nothing.
Report run_ideal(const Schedule& schedule, const CostSource& costs, CostOptions options = {});

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
