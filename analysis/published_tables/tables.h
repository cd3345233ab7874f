// How our own figures for the tables of data/published are computed: each by the simulator, from
// the setting of its row.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "analysis/published_table.h"
#include "sim/cost_model.h"
#include "sim/schedule.h"

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

struct Reproduction {
  std::string_view name;  ///< As the table's file is called.
  ComputeFigure compute;
};

/// All tables, in the order in which they are told.
std::span<const Reproduction> reproductions();

/// Sets ours in every figure; `begins` is told each row. Throws Error where there is no such table.
void reproduce(PublishedTable& table, TableInputs& inputs,
               const std::function<void(const PublishedRow&)>& begins = nullptr);

}  // namespace bubblescope
