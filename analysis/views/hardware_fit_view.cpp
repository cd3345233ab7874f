#include "analysis/views/hardware_fit_view.h"

#include <filesystem>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/views/document.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

Rows table_rows(const HardwareFit& fit) {
  Rows rows;
  for (const TableFigures& each : fit.tables)
    rows.push_back({{"table", each.table},
                    {"from", each.from},
                    {"rows", each.rows},
                    {"used", each.used},
                    {"nodes", each.nodes},
                    {"median_error", each.median_error},
                    {"p90_error", each.p90_error},
                    {"worst_error", each.worst_error},
                    {"left_out_median", each.left_out_median},
                    {"left_out_p90", each.left_out_p90}});
  return rows;
}

Table figures_table(const HardwareFit& fit) {
  return {"table",
          {{"table", "", {}, Show::Always},
           {"from", "", {}, Show::Always},
           {"rows", "", {}, Show::Always},
           {"used", "", {}, Show::Always},
           {"nodes", "", {}, Show::IfRoom},
           {"median_error", "", percent, Show::Always},
           {"p90_error", "", percent, Show::Always},
           {"worst_error", "", percent, Show::IfRoom},
           {"left_out_median", "", percent, Show::Always},
           {"left_out_p90", "", percent, Show::Always}},
          table_rows(fit)};
}

std::string file_names(const HardwareFit& fit) {
  std::vector<std::string> names;
  for (const std::string& path : fit.files)
    names.push_back(printable(std::filesystem::path(path).filename().string()));
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::string hardware_fit_view(const HardwareFit& fit, const Style& style) {
  return render(
      style,
      [&] {
        Document page;
        page.title(fmt::format("{}: kernels of {}, all else as of {}", printable(fit.name),
                               file_names(fit), fit.base));
        page.table(figures_table(fit));
        return page;
      },
      [&] {
        Json json = {{"inputs", {{"base", fit.base}, {"files", fit.files}}},
                     {"name", fit.name},
                     {"sustained", fit.hardware["sustained"]},
                     {"tables", table_rows(fit)},
                     {"notes", fit.notes}};
        return json;
      },
      [&] { return table_rows(fit); });
}

}  // namespace bubblescope
