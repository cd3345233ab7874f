// bubblescope compare: schedules side by side on the same costs, or over a range of one or two.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "analysis/figures/fits.h"
#include "analysis/figures/format.h"
#include "analysis/pictures/html_view.h"
#include "analysis/sweep/sweep_picture.h"
#include "analysis/views/compare_view.h"
#include "analysis/views/sweep_view.h"
#include "sim/base/error.h"
#include "sim/base/printable.h"
#include "tools/anchor.h"
#include "tools/commands/command.h"
#include "tools/commands/compare_sweep.h"
#include "tools/commands/contender.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/options/noise_options.h"
#include "tools/options/picture_options.h"
#include "tools/options/vary_options.h"
#include "tools/output.h"
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
  NoiseCommandOptions noise;
  AnchorOption anchor;
  std::vector<Contender> schedules;  ///< Those that --schedules names; empty: all.
  std::vector<std::string> programs;
  Dialect dialect = Dialect::Auto;
  VaryOptions vary;
};

/// Why there is nothing to compare.
std::string none_fits(const Comparison& comparison) {
  std::string text = "no schedule can run with this shape:";
  for (const Skipped& skipped : comparison.skipped)
    text += fmt::format("\n  {}: {}", skipped.schedule, skipped.reason);
  return text;
}

std::vector<PostedProgram> load_programs(const CompareOptions& options,
                                         const GlobalOptions& global) {
  std::vector<PostedProgram> programs;
  for (const std::string& path : options.programs) {
    PostedProgram program = load_program(path, options.dialect, global);
    CommOptions comm = options.costs.comm;
    if (program.comm != Comm::Ideal)  // it says so itself; what is asked is for the others
      comm.comm.reset();
    if (program.comm == Comm::Batched)
      comm.channels.reset();
    program.schedule.name = printable(path);  // its own name may be another's
    programs.push_back(with_comm(std::move(program), comm));
  }
  return programs;
}

/// Programs first, then schedules, each once for every v that it can take of those asked for.
std::vector<Contender> contenders(const CompareOptions& options, const GlobalOptions& global) {
  std::vector<Contender> result;
  for (PostedProgram& program : load_programs(options, global))
    result.push_back({.source = {std::move(program)}});
  std::vector<Contender> schedules = options.schedules;
  if (schedules.empty())
    choose_schedules(options.costs.like.empty() ? "all" : options.costs.like, schedules);
  else if (!options.costs.like.empty())
    std::erase_if(schedules, [&](const Contender& each) {
      const auto frameworks = words_in(each.source.entry()->frameworks);
      return !each.by_name && std::find(frameworks.begin(), frameworks.end(), options.costs.like) ==
                                  frameworks.end();
    });
  if (schedules.empty())
    throw UsageError(fmt::format("--like {}: it has none of these schedules", options.costs.like),
                     {"--like", "--schedules"});
  for (const Contender& schedule : schedules) {
    const std::vector<int>& asked = options.shape.chunks;
    if (!schedule.source.entry()->any_chunks || asked.empty()) {
      result.push_back(schedule);
      continue;
    }
    for (const int chunks : asked) {
      result.push_back(schedule);
      result.back().chunks = chunks;
      result.back().is_one_of_several = asked.size() > 1;
    }
  }
  return result;
}

/// What is kept of the schedules for their page; nothing where none is asked for.
struct Pages {
  const PictureOption& option;
  std::size_t actions = 0;             ///< Of all of them.
  std::vector<std::string> schedules;  ///< In the order in which they are reported.

  Report report(const Prediction& prediction) {
    Analysis run = prediction.analysis();
    if (option.is_given()) {
      actions += run.graph.schedule().actions.size();
      option.check_size(actions);
      schedules.push_back(html_data(run));
    }
    return std::move(run.report);
  }

  void write(const std::vector<std::size_t>& order) {
    if (!option.is_given())
      return;
    std::vector<std::string> texts;
    texts.reserve(order.size());
    for (const std::size_t schedule : order)
      texts.push_back(std::move(schedules[schedule]));
    option.write(html_view(texts));
  }
};

/// Whether one of them would take less time than the best that fits, with layers laid by their
/// load.
std::string layout_note(const Comparison& comparison, const std::vector<Contender>& contenders,
                        const Scenario& scenario, Progress& progress) {
  const auto& results = comparison.results;
  const auto best = std::find_if(results.begin(), results.end(), [&](const Report& report) {
    return fits(report, comparison.limit);
  });
  if (!can_be_laid_better(scenario) || best == results.end())
    return "";
  double saving = 0;
  std::string name;
  for (const Contender& each : contenders) {
    const Scenario own = each.own(scenario);
    if (each.source.is_searched() || find_obstacle(each.source, own))
      continue;
    const auto better =
        better_layout(schedule_for(each.source, own, progress).program, own, best->whole_time());
    if (better && better->saving > saving) {
      saving = better->saving;
      name = each.name();
    }
  }
  if (name.empty())
    return "";
  return fmt::format(
      "with layers laid by their load {} takes {} less time than the best here: --layout balanced",
      name, short_percent(saving));
}

Comparison compare(const std::vector<Contender>& contenders, const Scenario& scenario, Pages& pages,
                   Progress& progress) {
  Comparison comparison{.limit = scenario.limit()};
  for (const Contender& contender : contenders)
    if (const auto obstacle = find_obstacle(contender.source, contender.own(scenario)))
      comparison.skipped.push_back({contender.name(), *obstacle});
    else
      comparison.results.push_back(
          pages.report(predict(schedule_for(contender.source, contender.own(scenario), progress),
                               contender.own(scenario), progress)));
  if (comparison.results.empty())
    throw Error(none_fits(comparison));
  pages.write(sort_best_first(comparison.results));
  return comparison;
}

int run_varied(const CompareOptions& options, const std::vector<Contender>& contenders,
               const Shape& present, const GlobalOptions& global) {
  Style style = options.output.style(global);
  const std::vector<VariedAxis> axes = options.vary.axes_of(options.shape);
  const VariedScenario scenarios(axes, options.shape, options.costs, options.limits, present);
  require_writable(options.vary.svg);
  Sweep sweep;
  {
    Progress progress(global.quiet);
    sweep = sweep_schedules({axes, scenarios, contenders}, progress);
  }
  const Scenario first = scenarios.first();
  note_costs(first, global);
  style.provenance = provenance("compare", first);
  if (!options.vary.svg.empty())
    write_output(options.vary.svg, sweep_picture(sweep, verdict(sweep)));
  write_output(options.output.path, sweep_view(sweep, style));
  return kDone;
}

/// Notes options that none of the contenders takes notice of.
void note_unused(const CompareOptions& options, const std::vector<Contender>& all,
                 const GlobalOptions& global) {
  const auto is_for_none = [&](auto&& is_for) {
    return std::none_of(all.begin(), all.end(), is_for);
  };
  if (options.limits.search.is_given() &&
      is_for_none([](const Contender& each) { return each.source.is_searched(); }))
    global.note("--objective and --effort are for automatic schedules");
  if (options.shape.group_size && is_for_none([](const Contender& each) {
        return each.source.entry() != nullptr && each.source.entry()->any_group_size;
      }))
    global.note("--group-size is for interleaved schedules in groups, of which there is none here");
}

int run(const CompareOptions& options, const GlobalOptions& global) {
  Style style = options.output.style(global);
  const std::vector<Contender> all = contenders(options, global);
  note_unused(options, all, global);
  const PostedProgram* program = all.front().source.program();
  const Shape present = program != nullptr ? shape_of(*program) : Shape{};
  if (options.vary.are_given() && options.noise.are_given())
    throw UsageError("--vary compares steps without noise", {"--vary"});
  if (options.vary.are_given() && options.anchor.time)
    throw UsageError("--vary and --anchor do not go together", {"--vary", "--anchor"});
  if (options.vary.are_given())
    return run_varied(options, all, present, global);
  Scenario scenario =
      make_scenario(shape_of(options.shape, options.costs, present), options.costs, options.limits);
  if (options.anchor.time) {
    if (options.schedules.empty() || !options.schedules.front().by_name)
      throw UsageError("--anchor needs --schedules that begin with the one that was measured",
                       {"--anchor"});
    Scenario own = all.front().own(scenario);
    options.anchor.scale(own, all.front().source, global);
    scenario.job = own.job;
  }
  scenario.noise = options.noise.noise(scenario.shape.ranks);
  Comparison comparison;
  std::string note;
  {
    Progress progress(global.quiet);
    Pages pages{.option = options.html, .schedules = {}};
    comparison = compare(all, scenario, pages, progress);
    if (!global.quiet && !options.anchor.time)
      note = layout_note(comparison, all, scenario, progress);
  }
  note_costs(scenario, global);
  if (!note.empty())
    global.note(note);
  Scenario asked = scenario;
  if (options.shape.chunks.size() > 1)  // each row says its own
    asked.shape.chunks.reset();
  style.provenance = provenance("compare", asked);
  write_output(options.output.path, compare_view(comparison, style));
  return kDone;
}

}  // namespace

Command add_compare(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("compare", "schedules side by side, best first, with a verdict");
  auto options = std::make_shared<CompareOptions>();
  options->shape.add_to(*app, ShapeOptions::Chunks::List);
  options->costs.add_to(*app);
  options->limits.add_to(*app);
  options->output.add_to(*app);
  options->noise.add_to(*app);
  options->anchor.add_to(*app);
  options->html.add_to(*app, "a page of them side by side, which opens offline in any browser");
  declare_list(*app,
               {"--schedules", "A,B,...",
                "which to compare, by name, family (zero-bubble) or framework (megatron, "
                "torchtitan, deepspeed) (default: all)",
                "Shape"},
               [options](const std::string& word) {
                 choose_schedules(CLI::detail::trim_copy(word), options->schedules);
               });
  CLI::Option* programs = add_files(
      *app, {"--program", "FILE", "a program beside them; may be given repeatedly", "Programs"},
      options->programs);
  add_dialect(*app, options->dialect, programs);
  options->vary.add_to(*app);
  app->get_option("--svg")->needs(app->get_option("--vary"));
  app->get_option("--html")->excludes(app->get_option("--vary"));
  app->footer(
      "Examples:\n"
      "  bubblescope compare -p 16 -m 120 --costs deepseek-v3-h800\n"
      "  bubblescope compare -p 8 -m 32 --forward 1ms --input-grad 1ms --weight-grad 1ms \\\n"
      "      --p2p 50us --schedules 1f1b,zb-h1,zb-h2 --memory-limit 8 --format json\n"
      "  bubblescope compare -p 8 -m 20 --forward 1ms --input-grad 1ms --weight-grad 1ms \\\n"
      "      --schedules 1f1b,zb-h1,dualpipe --html compare.html\n"
      "  bubblescope compare --program mine.csv --schedules 1f1b,v-auto --costs deepseek-v3-h800\n"
      "  bubblescope compare -p 16 -m 120 --costs deepseek-v3-h800 --vary p2p=0:5ms --svg p2p.svg\n"
      "  bubblescope compare -p 8 -m 32 --forward 12ms --input-grad 13ms --vary p2p=0:2ms \\\n"
      "      --vary weight-grad=1ms:15ms --schedules zb-h1,zb-h2,zb-v,dualpipe --svg map.svg");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope
