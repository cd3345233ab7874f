// bubblescope compare: schedules side by side on the same costs.
#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "analysis/compare_view.h"
#include "analysis/html_view.h"
#include "sim/deadlock.h"
#include "sim/error.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/output.h"
#include "tools/picture_options.h"
#include "tools/predict.h"
#include "tools/program_input.h"

namespace bubblescope {
namespace {

struct CompareOptions {
  ShapeOptions shape;
  CostCommandOptions costs;
  OutputOptions output;
  PictureOption html = {"--html", kMostHtmlActions};
  LimitOptions limits;
  std::vector<std::string> schedules = {"all"};
  std::vector<std::string> programs;
  DialectOption dialect;
};

/// From lists such as "1f1b,zb-h1": the command line gives one, a file may give several.
std::vector<const CatalogueEntry*> chosen(const std::vector<std::string>& lists) {
  std::vector<const CatalogueEntry*> entries;
  const auto choose = [&](const CatalogueEntry& entry) {
    if (std::find(entries.begin(), entries.end(), &entry) == entries.end())
      entries.push_back(&entry);
  };
  for (const std::string& list : lists) {
    std::istringstream names(list + ",");
    for (std::string name; std::getline(names, name, ',');)
      if (const std::string trimmed = CLI::detail::trim_copy(name); trimmed == "all")
        for (const CatalogueEntry& entry : catalogue())
          choose(entry);
      else
        choose(require_schedule(trimmed));
  }
  return entries;
}

/// Why there is nothing to compare.
std::string none_fits(const Comparison& comparison) {
  std::string text = "no schedule can run with this shape:";
  for (const Skipped& skipped : comparison.skipped)
    text += fmt::format("\n  {}: {}", skipped.schedule, skipped.reason);
  return text;
}

std::vector<Program> load_programs(const CompareOptions& options, const GlobalOptions& global) {
  std::vector<Program> programs;
  for (const std::string& path : options.programs) {
    Program program = load_program(path, options.dialect.parsed(), global);
    CommChoice comm = options.costs.comm.choice();
    if (program.comm != Comm::Ideal)  // it says so itself; what is asked is for the others
      comm.comm.reset();
    if (program.comm == Comm::Batched)
      comm.channels.reset();
    program.schedule.name = path;  // its own name may be another's
    programs.push_back(with_comm(std::move(program), comm));
  }
  return programs;
}

/// Why a program cannot stand beside schedules of the scenario's shape; none where it can.
std::optional<std::string> find_obstacle(const Program& program, const Scenario& scenario) {
  const Shape shape = shape_of(program);
  if (shape.ranks != scenario.shape.ranks || shape.microbatches != scenario.shape.microbatches)
    return fmt::format("it has p={}, m={}", shape.ranks, shape.microbatches);
  const PipeShape pipe = {shape.ranks, program.schedule.placement.depth};
  if (auto obstacle = find_obstacle(scenario, pipe))
    return obstacle;
  if (!can_run(program))
    return "it deadlocks ('bubblescope check' tells why)";
  return std::nullopt;
}

/// What is kept of the schedules for their page; nothing where none is asked for.
struct Pages {
  const PictureOption& option;
  std::size_t actions = 0;                         ///< Of all of them.
  std::map<std::string, std::string> schedules{};  ///< By name.

  Report report(const Prediction& prediction) {
    Report report = prediction.report();
    if (!option.is_given())
      return report;
    actions += prediction.graph.schedule().actions.size();
    option.check_size(actions);
    schedules[report.schedule] = html_data(Picture(prediction.graph, prediction.timeline), report);
    return report;
  }

  /// In the order of `results`.
  void write(const std::vector<Report>& results) {
    if (!option.is_given())
      return;
    std::vector<std::string> texts;
    texts.reserve(results.size());
    for (const Report& result : results)
      texts.push_back(schedules[result.schedule]);
    option.write(html_view(texts));
  }
};

Comparison compare(std::vector<Program> programs, const std::vector<const CatalogueEntry*>& entries,
                   const Scenario& scenario, Pages& pages, Progress& progress) {
  Comparison comparison{.limit = scenario.automatic.memory};
  for (Program& program : programs)
    if (const auto obstacle = find_obstacle(program, scenario))
      comparison.skipped.push_back({program.schedule.name, *obstacle});
    else
      comparison.results.push_back(pages.report(predict({std::move(program)}, scenario, progress)));
  for (const CatalogueEntry* entry : entries) {
    Scenario own = scenario;
    if (!entry->any_group_size)  // a group size is asked of those that have one
      own.shape.group_size.reset();
    if (const auto obstacle = find_obstacle(*entry, own)) {
      comparison.skipped.push_back({std::string(entry->name), *obstacle});
      continue;
    }
    comparison.results.push_back(pages.report(predict(*entry, own, progress)));
  }
  if (comparison.results.empty())
    throw Error(none_fits(comparison));
  sort_best_first(comparison.results);
  return comparison;
}

int run(const CompareOptions& options, const GlobalOptions& global) {
  const Format format = options.output.parsed_format();
  const Color color = options.output.color(global);
  require_own_files(options.output, {{options.html.name, options.html.path}});
  for (const std::string& program : options.programs)
    refuse_overwrite({"program", program}, options.html.path);
  const auto entries = chosen(options.schedules);
  options.dialect.require_program(!options.programs.empty());
  std::vector<Program> programs = load_programs(options, global);
  const Shape shape = options.shape.shape(programs.empty() ? Shape{} : shape_of(programs.front()));
  const Scenario scenario = make_scenario(shape, options.costs, options.limits);
  Comparison comparison;
  {
    Progress progress(global.quiet);
    Pages pages{options.html};
    comparison = compare(std::move(programs), entries, scenario, pages, progress);
    pages.write(comparison.results);
  }
  note_costs(scenario, global);
  write_output(options.output.path, compare_view(comparison, format, color));
  return kDone;
}

}  // namespace

Command add_compare(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("compare", "schedules side by side, best first, with a verdict");
  auto options = std::make_shared<CompareOptions>();
  options->shape.add_to(*app);
  options->costs.add_to(*app);
  options->limits.add_to(*app);
  options->output.add_to(*app);
  options->html.add_to(*app, "a page of them side by side, which opens offline in any browser");
  app->add_option("--schedules", options->schedules, "which to compare (default: all)")
      ->envname(environment_name("schedules"))
      ->type_name("A,B,...")
      ->group("Shape");
  app->add_option("--program", options->programs, "a program beside them; may be given repeatedly")
      ->envname(environment_name("program"))
      ->type_name("FILE")
      ->group("Programs");
  options->dialect.add_to(*app);
  app->footer(
      "Examples:\n"
      "  bubblescope compare -p 16 -m 120 --costs deepseek-v3-h800\n"
      "  bubblescope compare -p 8 -m 32 --forward 1ms --input-grad 1ms --weight-grad 1ms \\\n"
      "      --p2p 50us --schedules 1f1b,zb-h1,zb-h2 --memory-limit 8 --format json\n"
      "  bubblescope compare -p 8 -m 20 --forward 1ms --input-grad 1ms --weight-grad 1ms \\\n"
      "      --schedules 1f1b,zb-h1,dualpipe --html compare.html\n"
      "  bubblescope compare --program mine.csv --schedules 1f1b,v-auto --costs deepseek-v3-h800");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope
