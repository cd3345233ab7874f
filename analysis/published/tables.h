// How our own figures for the tables of data/published are computed: each by the simulator, from
// the setting of its row.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "analysis/published/compute.h"
#include "analysis/published/published_table.h"

namespace bubblescope {

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
