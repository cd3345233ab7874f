#include "tools/reproduce/predict_rows.h"

#include <algorithm>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "analysis/figures/fits.h"
#include "sim/base/parallel.h"
#include "sim/schedule/placement.h"
#include "tools/shell_line.h"
#include "tools/subject.h"

namespace bubblescope {
namespace {

/// Options as `simulate` would be given them, with nothing from the environment.
struct Asked {
  Asked() {
    app.add_option("NAME", name);
    subject.add_to(app);
    for (CLI::Option* option : app.get_options())
      option->envname("");
  }

  CLI::App app;
  std::string name = {};
  SubjectOptions subject = {};
};

const GlobalOptions& quiet() {
  static const GlobalOptions options = {.quiet = true};
  return options;
}

/// Forward and backward of one layer, without the embedding and the head.
Time layer_time(const CostSource& costs) {
  const StageCost& stage = costs.stages.front();
  Time sum{};
  for (std::size_t i = 0; i < stage.phases.phases.size(); ++i) {
    const std::string& name = stage.phases.phases[i].name;
    if (!name.starts_with("head") && !name.starts_with("embedding") && !name.starts_with("host"))
      sum += stage.phases.times[i].elapsed;
  }
  return sum;
}

/// Takes the slowest rank's own time where its optimizer waits for no one else.
Time iteration_time(const Report& report, OptimizerSync sync) {
  if (report.iteration || sync == OptimizerSync::Global)
    return report.whole_time();
  Time longest{};
  for (const RankReport& rank : report.per_rank)
    longest = std::max(longest, rank.span);
  return longest;
}

/// Adds a run for each time of the row's profile, beside what a stage in the middle takes.
void add_profile(const MeasuredRow& row, const Scenario& scenario,
                 std::vector<PublishedRun>& runs) {
  const int ranks = scenario.shape.ranks;
  const CostModel costs(scenario.costs_over(ranks), loop_placement({.ranks = ranks, .chunks = 1}),
                        scenario.cost_options);
  const Stage middle = ranks / 2;
  for (const auto& [name, kind, measured] : {std::tuple("T_F", OpKind::Forward, row.forward),
                                             {"T_B", OpKind::BackwardInput, row.input_grad},
                                             {"T_W", OpKind::BackwardWeight, row.weight_grad}}) {
    PublishedRun run{.id = row.run.id + " " + name,
                     .table = row.run.table + " profile",
                     .kind = "profile",
                     .job = row.run.id + " " + name};
    run.is_run = false;
    run.measured = measured;
    run.predicted = costs.duration(Op(kind, middle, 0));
    runs.push_back(std::move(run));
  }
}

/// The row's run, and those of its profile.
std::vector<PublishedRun> predict(const MeasuredRow& row, PublishedRun run) {
  Asked asked;
  std::vector<std::string> reversed(row.words.rbegin(), row.words.rend());
  asked.app.parse(std::move(reversed));
  Subject subject = make_subject(asked.name, asked.subject, quiet());
  Scenario& scenario = subject.scenario;
  if (row.is_layer) {
    run.predicted = layer_time(scenario.costs_over(1));
    return {run};
  }
  if (row.live_activations)
    scenario.automatic.memory = {.live_activations = row.live_activations};
  Progress progress(true);
  const Prediction prediction = predict(subject.take_program(progress), scenario, progress);
  const Analysis analysis = prediction.analysis();
  run.predicted = iteration_time(analysis.report, scenario.iteration.sync);
  run.peak_memory = analysis.report.peak_memory;
  run.device_memory = analysis.report.device_memory;
  run.is_told_to_run_out = !fits(analysis.report, scenario.limit());
  std::vector<PublishedRun> runs = {run};
  if (row.forward > Time{} && asked.name == "1f1b")
    add_profile(row, scenario, runs);
  return runs;
}

std::string reason_of(const std::string& text) {
  return text.substr(0, text.find('\n'));
}

std::vector<PublishedRun> predict_or_refuse(const MeasuredRow& row) {
  PublishedRun run = row.run;
  std::vector<std::string> command = {"simulate"};
  command.insert(command.end(), row.words.begin(), row.words.end());
  run.command = shell_line(command);
  try {
    return predict(row, run);
  } catch (const std::exception& error) {
    run.refused = reason_of(error.what());
  }
  return {run};
}

}  // namespace

std::vector<PublishedRun> predict(const std::vector<MeasuredRow>& rows,
                                  const std::function<void(const MeasuredRow&)>& tell) {
  std::vector<std::vector<PublishedRun>> found(rows.size());
  for_each_index(rows.size(), machine_threads(), [&](std::size_t i) {
    tell(rows[i]);
    found[i] = predict_or_refuse(rows[i]);
  });
  std::vector<PublishedRun> runs;
  for (const std::vector<PublishedRun>& of_row : found)
    runs.insert(runs.end(), of_row.begin(), of_row.end());
  return runs;
}

}  // namespace bubblescope
