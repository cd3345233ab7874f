// bubblescope plan: the best split and schedule of a training job within memory.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/figures/format.h"
#include "analysis/plan/plan_front.h"
#include "analysis/plan/plan_merge.h"
#include "analysis/views/plan_view.h"
#include "sim/base/error.h"
#include "sim/base/parallel.h"
#include "sim/transformer/stage_memory.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/interrupt.h"
#include "tools/options/plan_options.h"
#include "tools/output.h"
#include "tools/plan_emit.h"
#include "tools/plan_page.h"
#include "tools/plan_shard.h"
#include "tools/progress.h"

namespace bubblescope {
namespace {

/// Until SIGINT: then what is known so far counts.
class Planner {
 public:
  Planner(const PlanCommandOptions& options, const PlanQuestion& question, bool quiet)
      : options_(options), question_(question), progress_(quiet) {}

  PlanFindings search() {
    progress_.now("planning: bounds of all configurations");
    const PlanShard shard = options_.shard.value_or(PlanShard{});
    const PlanOptions how{
        .top = static_cast<std::size_t>(options_.top),
        .exhaustive = options_.exhaustive,
        .threads = machine_threads(),
        .shards = shard.shards,
        .shard = shard.shard,
        .is_stopped = is_stopped_,
        .tell = [this](const PlanCounts& counts, std::optional<Time> best) { tell(counts, best); }};
    return {.result = search_plan(question_, how), .finalists = {.question = question_}};
  }

  /// Looks at what matters once the best is known, if tables are wanted.
  void look_further(PlanFindings& findings) {
    if (findings.result.simulated.empty() || findings.result.is_interrupted || options_.shard ||
        options_.all || options_.emit)
      return;
    progress_.now("planning: schedules made for the best divisions");
    const PlanResult& result = findings.result;
    const auto known = std::max(static_cast<std::size_t>(options_.top),
                                result.ties(tie_percent(question_.job.model)));
    findings.finalists = search_finalists(question_, result, known, machine_threads(), is_stopped_);
    progress_.now("planning: the costs of narrowed choices");
    findings.opened = open_choices(question_, result.space.configurations.size(),
                                   result.simulated.front().figures.iteration_time,
                                   machine_threads(), is_stopped_);
    if (!is_stopped_())
      find_better_layout(findings);
    findings.result.is_interrupted = is_stopped_();
  }

 private:
  void find_better_layout(PlanFindings& findings) const {
    if (question_.job.layout || question_.job.is_balanced)
      return;
    const PlanSpace& space = findings.result.space;
    const PlanRow& best = findings.result.simulated.front();
    const PlanSplit& split = space.split_of(best.number);
    const CatalogueEntry& entry =
        *question_.choices.schedules[space.configurations[best.number].schedule];
    findings.better =
        better_layout(space.job_of(question_, best.number), program_of(question_, split, entry),
                      question_.iteration, best.figures.iteration_time, question_.memory_limit);
  }

  void tell(const PlanCounts& counts, std::optional<Time> best) {
    const std::size_t done = counts.simulated + counts.excluded + counts.infeasible;
    progress_.now(fmt::format(
        "planning: {} of {} configurations{}", done, counts.configurations,
        best ? fmt::format(", best so far {:.3f} s", std::chrono::duration<double>(*best).count())
             : ""));
  }

  const PlanCommandOptions& options_;
  const PlanQuestion& question_;
  InterruptGuard guard_ = {};
  Progress progress_;
  std::function<bool()> is_stopped_ = [this] { return guard_.seen().load(); };
};

/// Megatron-LM recomputes norms of a dense model, and not the activation functions that selective
/// recomputation makes again beside them. Throws Error where the launch would hold too much.
void require_fit_as_written(const PlanQuestion& question, const PlanSpace& space,
                            const PlanRow& row, EmitFor framework) {
  PlanSplit split = space.split_of(row.number);
  if (framework != EmitFor::Megatron || split.recompute != kRecomputeSelective ||
      question.job.model.has_experts())
    return;
  split.recompute.activation = false;
  const PlanSpace::Configuration& configuration = space.configurations[row.number];
  const CatalogueEntry& entry = *question.choices.schedules[configuration.schedule];
  const ModelJob job = job_of(question, split, space.traits_of(row.number).placement);
  const Bytes held =
      CompiledOrder(program_of(question, split, entry)).peak_memory(SplitCosts(job, *job.layout));
  if (held > question.memory_limit)
    throw Error(
        fmt::format("Megatron-LM recomputes norms alone of a dense model, with which it holds {}: "
                    "give --recompute none or full",
                    format_bytes(device_memory(held))));
}

/// The best row that the framework takes. Throws Error, with why it refuses the best, where there
/// is none.
std::string emitted_best(const PlanCommandOptions& options, const PlanQuestion& question,
                         const PlanResult& result) {
  PlanRows rows(options, question, result.space);
  const Time best = result.simulated.front().figures.iteration_time;
  // Behind these exclusion may have left out others.
  const auto known =
      std::max(static_cast<std::size_t>(options.top), result.ties(tie_percent(question.job.model)));
  std::string obstacle;
  for (std::size_t i = 0; i < std::min(known, result.simulated.size()); ++i) {
    const PlanRow& row = result.simulated[i];
    try {
      require_fit_as_written(question, result.space, row, *options.emit);
      const std::string text = emitted(question, rows.row(row, best), *options.emit);
      const double longer = ratio(row.figures.iteration_time, best) - 1;
      return obstacle.empty() ? text
                              : fmt::format("# This takes {} longer than the best plan: {}.\n{}",
                                            short_percent(longer), obstacle, text);
    } catch (const Error& error) {
      if (obstacle.empty())
        obstacle = error.what();
    }
  }
  throw Error(obstacle);
}

/// A search, or a merge of its shards, found this.
void show(const PlanCommandOptions& options, const PlanQuestion& question,
          const PlanFindings& findings, const OutputOptions& output, const GlobalOptions& global) {
  const PlanResult& result = findings.result;
  if (result.simulated.empty())
    throw Error(why_nothing_fits(options, question, result));
  if (result.is_interrupted)
    global.note("interrupted: what follows is known so far, and not the whole");
  Style style = output.style(global);
  if (options.all)
    return write_output(output.path,
                        all_rows(options, question, result, style.format == Format::Json));
  if (options.emit)
    return write_output(output.path, emitted_best(options, question, result));
  style.provenance = plan_provenance(options, question);
  write_output(output.path, plan_view(plan_page(options, question, findings), style));
}

/// The question that the shards have stands in them.
int merge(const PlanCommandOptions& options, const GlobalOptions& global) {
  if (const std::vector<std::string> more = options.question_words(); !more.empty())
    throw UsageError(fmt::format("plan merge takes no {}: the shards say what was asked", more[0]));
  if (options.words.size() < 2)
    throw UsageError("plan merge needs the files of all shards");
  const ReadShards read = read_shards({options.words.begin() + 1, options.words.end()});
  CLI::App app;
  PlanCommandOptions asked;
  asked.add_to(app);
  asked.emit = options.emit;
  try {
    app.parse(std::vector<std::string>(read.words.rbegin(), read.words.rend()));
  } catch (const CLI::ParseError& error) {
    throw Error(fmt::format("{}: the question cannot be read: {}", options.words[1], error.what()));
  }
  const PlanQuestion question = asked.question();
  if (asked.emit)
    check_emitted(question, *asked.emit);
  PlanSpace space = plan_space(question);
  if (space.configurations.size() != read.configurations)
    throw Error(fmt::format("{}: the shards are of {} configurations, and there are {} now",
                            options.words[1], read.configurations, space.configurations.size()));
  PlanFindings findings{.result = merge_plans(std::move(space), read.shards),
                        .finalists = {.question = question}};
  Planner(asked, question, global.quiet).look_further(findings);
  show(asked, question, findings, options.output, global);
  return kDone;
}

int run(const PlanCommandOptions& options, const GlobalOptions& global) {
  if (!options.words.empty() && options.words.front() == "merge")
    return merge(options, global);
  if (!options.words.empty())
    throw UsageError(fmt::format("unexpected argument '{}'", options.words.front()));
  options.output.style(global);  // which is refused before the search
  const PlanQuestion question = options.question();
  require_writable(options.output.path);
  if (options.emit)
    check_emitted(question, *options.emit);
  PlanFindings findings;
  {
    Planner planner(options, question, global.quiet);
    findings = planner.search();
    planner.look_further(findings);
  }
  if (options.shard) {
    write_output(options.output.path, shard_text(options, findings.result));
    if (findings.result.is_interrupted)
      throw Error("interrupted: this shard is not whole, run it again");
  } else {
    show(options, question, findings, options.output, global);
  }
  return kDone;
}

}  // namespace

Command add_plan(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand(
      "plan", "the best parallel split, schedule and recomputation of a model within memory");
  auto options = std::make_shared<PlanCommandOptions>();
  options->add_to(*app);
  app->footer(
      "Examples:\n"
      "  bubblescope plan --model llama-3.1-70b --hardware h100-sxm --gpus 256 \\\n"
      "      --global-batch 512 --sequence 8192\n"
      "  bubblescope plan --model deepseek-v3 --hardware h800 --gpus 2048 --global-batch 15360 \\\n"
      "      --precision fp8 --schedules megatron --tokens 15T --price 2.5\n"
      "  bubblescope plan --model llama-3.1-8b --hardware h100-sxm --gpus 16 --global-batch 64 \\\n"
      "      --tp 1,2 --recompute none --all --format csv\n"
      "  bubblescope plan --model deepseek-v3 --hardware h800 --gpus 2048 --global-batch 15360 \\\n"
      "      --shard 1/2 -o one.json\n"
      "  bubblescope plan merge one.json two.json");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope
