// bubblescope reproduce: published tables, ours beside theirs; fails when one of ours moves.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "analysis/published/tables.h"
#include "analysis/views/accuracy_view.h"
#include "analysis/views/published_view.h"
#include "sim/base/error.h"
#include "sim/base/files.h"
#include "sim/base/json_input.h"
#include "sim/costs/cost_file.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/options/named_input.h"
#include "tools/options/option.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/reproduce/predict_rows.h"

namespace bubblescope {
namespace {

struct ReproduceOptions {
  std::string table;
  std::vector<Assumption> assumed;
  OutputOptions output;
};

/// Rows of measured runs; none where `name` is a table of figures.
std::vector<MeasuredRow> find_rows(const ReproduceOptions& options) {
  const std::string& name = options.table;
  constexpr std::size_t kMostBytes = std::size_t{1} << 24;
  const auto parse = [&](std::string_view text, const std::string& file) {
    const std::size_t begin = text.find_first_not_of(" \t\r\n");
    const bool is_array = begin != std::string_view::npos && text[begin] == '[';
    return is_array ? parse_measured_rows(text, file, options.assumed) : std::vector<MeasuredRow>();
  };
  if (name.empty())
    return {};
  return find_input(
      {"TABLE", "data/published", embedded_published()}, name,
      [&](const std::string& path) { return parse(read_file(path, kMostBytes), path); }, parse);
}

Assumption read_assumption(const std::string& word) {
  const std::size_t middle = word.find('=');
  const std::size_t dot = word.rfind('.', middle);
  if (middle == std::string::npos || dot == std::string::npos)
    refuse_word("TABLE.KEY=VALUE", word);
  return {word.substr(0, dot), word.substr(dot + 1, middle - dot - 1), word.substr(middle + 1)};
}

PublishedTable find_table(const std::string& name) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 24;
  return find_input(
      {"TABLE", "data/published", embedded_published()}, name,
      [](const std::string& path) { return parse_published(read_file(path, kMostBytes), path); },
      [](std::string_view text, const std::string& file) { return parse_published(text, file); });
}

CostSource embedded_cost_table(const std::string& name) {
  const auto files = embedded_costs();
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const EmbeddedFile& file) { return file.name == name; });
  if (found == files.end())
    throw Error(fmt::format("there is no cost table '{}' in data/costs", name));
  return parse_costs(found->text, fmt::format("data/costs/{}.json", name));
}

std::vector<PublishedTable> chosen_tables(const std::string& name) {
  std::vector<PublishedTable> tables;
  if (!name.empty())
    return {find_table(name)};
  for (const Reproduction& each : reproductions())
    tables.push_back(find_table(std::string(each.name)));
  return tables;
}

int run(const ReproduceOptions& options, const GlobalOptions& global) {
  Style style = options.output.style(global);
  style.provenance = provenance("reproduce");
  require_writable(options.output.path);
  const std::vector<MeasuredRow> rows = find_rows(options);
  if (rows.empty() && !options.assumed.empty())
    throw UsageError("--assume is for rows of measured runs", {"--assume"});
  if (!rows.empty()) {
    std::vector<PublishedRun> runs;
    {
      Progress progress(global.quiet);
      runs = predict(rows, [&](const MeasuredRow& row) { progress.now(row.run.id); });
    }
    style.provenance = provenance("accuracy");
    write_output(options.output.path, accuracy_view(runs, style));
    return kDone;
  }
  std::vector<PublishedTable> tables = chosen_tables(options.table);
  {
    Progress progress(global.quiet);
    TableInputs inputs = {embedded_cost_table};
    for (PublishedTable& table : tables)
      reproduce(table, inputs, [&](const PublishedRow& row) {
        progress.now(fmt::format("{}: {}", table.name, row.name));
      });
  }
  write_output(options.output.path, published_view(tables, style));
  return count(tables).moved == 0 ? kDone : kCheckFailed;
}

}  // namespace

Command add_reproduce(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("reproduce", "published tables, ours beside theirs");
  auto options = std::make_shared<ReproduceOptions>();
  app->add_option("TABLE", options->table,
                  "a table (default: all; a wrong name lists them), a file like those of "
                  "data/published, or 'measured', runs of others")
      ->type_name("");
  add_list(*app,
           {"--assume", "TABLE.KEY=VALUE",
            "of measured runs: what their source does not tell, as in 'hagemann*.loss=gathered'; "
            "several times",
            "Measured runs"},
           options->assumed, read_assumption);
  options->output.add_to(*app);
  app->footer(
      "Exit code 1 when one of our values is no longer what is recorded beside the published one;\n"
      "measured runs are told, and fail nothing.\n"
      "Examples:\n"
      "  bubblescope reproduce dualpipe-readme\n"
      "  bubblescope reproduce zero-bubble-table5 --format csv -o table5.csv\n"
      "  bubblescope reproduce measured");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope
