// bubblescope schedules: the catalogue.
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/json_text.h"
#include "tools/commands/command.h"
#include "tools/embedded_data.h"
#include "tools/errors.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

using Align = Column::Align;

nlohmann::ordered_json entry_json(const CatalogueEntry& entry) {
  return {{"schedule", entry.name},
          {"family", entry.family},
          {"summary", entry.summary},
          {"constraints", entry.constraints},
          {"peak_live_activations", entry.peak.formula},
          {"weight_copies", entry.weight_copies},
          {"source", entry.source}};
}

std::string view(Format format, Color color) {
  std::vector<nlohmann::ordered_json> rows;
  Table table{{{"schedule", Align::Left},
               {"family", Align::Left},
               {"constraints", Align::Left},
               {"live\nactivations", Align::Left},
               {"weight\ncopies"},
               {"source", Align::Left}}};
  for (const CatalogueEntry& entry : catalogue()) {
    rows.push_back(entry_json(entry));
    table.rows.push_back({{std::string(entry.name), std::string(entry.family),
                           std::string(entry.constraints), std::string(entry.peak.formula),
                           std::to_string(entry.weight_copies), std::string(entry.source)}});
  }
  switch (format) {
    case Format::Json:
      return dump_json(nlohmann::ordered_json(rows), 2) + "\n";
    case Format::Csv:
      return to_csv(rows);
    case Format::Markdown:
      return to_markdown(table);
    case Format::Table:
      break;
  }
  return to_text(table, color);
}

}  // namespace

Command add_schedules(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("schedules", "list the schedules: constraints, memory, source");
  auto output = std::make_shared<OutputOptions>();
  output->add_to(*app);
  app->footer("Example:\n  bubblescope schedules --format md");
  return {app, [output, &global] {
            write_output(output->path, view(output->format_or_table(), output->color(global)));
            return kDone;
          }};
}

}  // namespace bubblescope
