// The search for a plan: its figures are those of the simulator, and what it excludes is nothing
// that could matter.
#include "analysis/plan/plan_search.h"

#include <algorithm>
#include <optional>
#include <random>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "analysis/figures/analysis.h"
#include "analysis/plan/opened_choices.h"
#include "analysis/plan/plan_merge.h"
#include "analysis/plan/quickest_layout.h"
#include "sim/engine/simulate.h"
#include "sim/transformer/analytic_costs.h"
#include "sim/transformer/balanced_layout.h"
#include "sim/transformer/model_file.h"
#include "tests/support/effort.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

PlanQuestion question_of(const std::string& model, const std::string& hardware, int gpus,
                         int batch) {
  PlanQuestion question{
      .job = {.model = read_model(source_file("data/models/" + model + ".json")),
              .hardware = read_hardware(source_file("data/hardware/" + hardware + ".json"))},
      .gpus = gpus,
      .global_batch = batch};
  question.memory_limit = question.job.hardware.memory;
  question.choices.schedules = ordered_schedules();
  return question;
}

/// The way that `simulate` goes.
PlanFigures simulated(const PlanQuestion& question, const CatalogueEntry& entry,
                      const PlanSplit& split, const ModelJob& job) {
  PostedProgram program = post_messages(
      entry, {.ranks = split.ranks, .microbatches = split.microbatches, .chunks = split.chunks},
      question.comm.of(entry, split.chunks));
  CostModel costs(analytic_costs(job, program.schedule.placement.depth).source,
                  program.schedule.placement, {});
  const DependencyGraph graph = build_graph(std::move(program), std::move(costs));
  const Timeline timeline = simulate(graph);
  const Report run = report(graph, timeline);
  const auto iteration = end_iteration(graph, timeline, question.iteration);
  PlanFigures figures{.iteration_time = iteration ? iteration->time : run.step_time,
                      .step_time = run.step_time,
                      .bubble_fraction = run.bubble_fraction,
                      .peak_memory = *run.peak_memory};
  for (const RankReport& rank : run.per_rank)
    figures.busy += rank.busy;
  return figures;
}

template <typename T>
T one_of_list(std::mt19937& random, const std::vector<T>& list) {
  return list[random() % list.size()];
}

/// A small space of its own: each choice narrowed to few, or left open where that is not many.
PlanQuestion random_question(std::mt19937& random) {
  const auto pick = [&](const auto& list) { return one_of_list(random, list); };
  const bool has_experts = random() % 2 == 0;
  const int gpus = pick(std::vector{4, 8, 16, 32});  // one after another, whatever the compiler
  const int batch = pick(std::vector{16, 24, 32, 48});
  PlanQuestion question =
      question_of(has_experts ? "qwen3-30b-a3b" : "llama-3.1-8b", "h100-sxm", gpus, batch);
  question.job.training.sequence = pick(std::vector<std::int64_t>{1024, 4096, 8192});
  question.memory_limit = pick(std::vector<Bytes>{20, 40, 80, 120}) << 30U;
  question.iteration.reduce = pick(std::vector{GradReduce::After, GradReduce::Overlapped});
  question.iteration.sync = pick(std::vector{OptimizerSync::Global, OptimizerSync::None});
  PlanChoices& choices = question.choices;
  choices.tensor = {1, pick(std::vector<std::int64_t>{2, 4})};
  choices.context = {pick(std::vector<std::int64_t>{1, 2})};
  choices.expert = has_experts ? std::vector<std::int64_t>{2, 4} : std::vector<std::int64_t>{1};
  choices.microbatch_sizes = {1, 2};
  choices.recompute = {pick(std::vector{kRecomputeNone, kRecomputeSelective, kRecomputeFull})};
  if (random() % 4 == 0) {
    choices.pipeline = {1};
    choices.chunks = {1, 2};
  }
  Training& training = question.job.training;
  training.gather_overlap = random() % 2 == 0;
  training.dispatch = pick(std::vector{Dispatch::AllToAll, Dispatch::DeepEp});
  question.comm = {pick(std::vector{Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch}),
                   pick(std::vector<std::optional<Comm>>{std::nullopt, Comm::Stream})};
  std::shuffle(choices.schedules.begin(), choices.schedules.end(), random);
  choices.schedules.resize(5);
  return question;
}

/// All that is found but for how much was simulated.
void check_equal(const PlanResult& one, const PlanResult& other, std::size_t top) {
  const auto best = [&](const PlanResult& result) {
    return std::vector(result.simulated.begin(),
                       result.simulated.begin() +
                           static_cast<std::ptrdiff_t>(std::min(top, result.simulated.size())));
  };
  CHECK(best(one) == best(other));
  CHECK(one.front == other.front);
  CHECK(one.beyond == other.beyond);
  CHECK(one.lightest == other.lightest);
  CHECK(one.simulated.empty() == other.simulated.empty());
  if (!one.simulated.empty())
    CHECK(one.ties(3) == other.ties(3));
}

}  // namespace

TEST_CASE("Every configuration of a plan comes to the nanosecond and byte to what simulate tells") {
  for (const char* model : {"llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v2"}) {
    PlanQuestion question = question_of(model, "h100-sxm", 16, 32);
    question.memory_limit = Bytes{1} << 50U;
    question.iteration.reduce = GradReduce::Overlapped;
    question.choices.tensor = {2};
    question.choices.context = {1};
    question.choices.pipeline = {4};
    question.choices.microbatch_sizes = {2};
    question.choices.chunks = {1, 2, 3};
    question.choices.recompute = {kRecomputeSelective};
    if (question.job.model.has_experts())
      question.choices.expert = {4};
    for (const Comm comm : {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch}) {
      question.comm.plain = comm;
      const PlanResult result = search_plan(question, {.exhaustive = true});
      CHECK(result.simulated.size() > 10);
      for (const PlanRow& row : result.simulated) {
        const auto& each = result.space.configurations[row.number];
        const CatalogueEntry& entry = *question.choices.schedules[each.schedule];
        const PlanSplit& split = result.space.splits[each.split];
        CAPTURE(fmt::format("{} {} v={} {}", model, entry.name, split.chunks, to_string(comm)));
        CHECK(row.figures ==
              simulated(question, entry, split, result.space.job_of(question, row.number)));
        CHECK(result.bounds[row.number].time <= row.figures.iteration_time);
        CHECK(result.bounds[row.number].memory <= row.figures.peak_memory);
      }
    }
  }
}

TEST_CASE("Of balanced layouts that tie, the one with the shortest iteration is taken") {
  PlanQuestion question = question_of("llama-3.1-8b", "h100-sxm", 16, 32);
  question.job.parallel = {.tensor = 2};
  const CatalogueEntry& entry = *find_schedule("interleaved-1f1b");
  std::size_t several = 0;
  for (const int ranks : {2, 3, 4, 5})
    for (const int chunks : {2, 3}) {
      CAPTURE(fmt::format("p={}, v={}", ranks, chunks));
      const Shape shape = {.ranks = ranks, .microbatches = 2 * ranks, .chunks = chunks};
      const PostedProgram program = post_messages(entry, shape, Comm::Ideal);
      const PlanSplit split = {.parallel = question.job.parallel,
                               .ranks = ranks,
                               .chunks = chunks,
                               .microbatches = 2 * ranks};
      const auto time = [&](const StageLayout& layout) {
        ModelJob job = question.job;
        job.layout = layout;
        return simulated(question, entry, split, job).iteration_time;
      };
      Time least = Time::max();
      const auto all = balanced_layouts(question.job.model, layout_weights(question.job),
                                        program.schedule.placement, kMostLayoutTies)
                           .layouts;
      for (const StageLayout& layout : all)
        least = std::min(least, time(layout));
      several += all.size() > 1 ? 1U : 0U;
      CHECK(time(quickest_layout(question.job, program, {})) == least);
    }
  CHECK(several > 0);
}

TEST_CASE("A plan finds the same with and without exclusion, on one and two threads, in shards") {
  const unsigned seed = 20260917;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  std::size_t excluded = 0;
  constexpr std::size_t kSpaces = kSanitized ? 20 : 200;
  for (std::size_t space = 0; space < kSpaces; ++space) {
    CAPTURE(space);
    const PlanQuestion question = random_question(random);
    const std::size_t top = 1 + random() % 4;
    PlanResult all;
    try {
      all = search_plan(question, {.top = top, .exhaustive = true, .threads = 2});
    } catch (const Error&) {
      CHECK_THROWS_AS(search_plan(question, {.top = top}), Error);
      continue;
    }
    const PlanResult one = search_plan(question, {.top = top});
    const PlanResult two = search_plan(question, {.top = top, .threads = 2});
    check_equal(one, all, top);
    check_equal(two, one, top);
    CHECK(one.counts == two.counts);
    const auto shards = one_of_list(random, std::vector<std::uint32_t>{1, 3, 8});
    std::vector<PlanResult> parts;
    for (std::uint32_t shard = 0; shard < shards; ++shard)
      parts.push_back(search_plan(question, {.top = top, .shards = shards, .shard = shard}));
    const PlanResult merged = merge_plans(one.space, parts);
    check_equal(merged, one, top);
    CHECK(merged.counts.configurations == one.counts.configurations);
    CHECK(merged.counts.is_complete());
    CHECK(one.counts.is_complete());
    CHECK(all.counts.excluded == 0);
    excluded += one.counts.excluded;
  }
  CHECK(excluded > kSpaces);
}

TEST_CASE("A choice that is opened gives what a whole search finds there, or nothing") {
  const unsigned seed = 20261201;
  MESSAGE("seed " << seed);
  std::mt19937 random(seed);
  int quicker = 0;
  for (int space = 0; space < (kSanitized ? 4 : 30); ++space) {
    CAPTURE(space);
    PlanQuestion question = random_question(random);
    question.choices.tensor = {1};  // else an open one is far larger
    PlanResult narrow;
    try {
      narrow = search_plan(question, {.top = 1, .threads = 2});
    } catch (const Error&) {
      continue;
    }
    if (narrow.simulated.empty())
      continue;
    const Time best = narrow.simulated.front().figures.iteration_time;
    const std::vector<OpenedChoice> opened =
        open_choices(question, narrow.space.configurations.size(), best, 2, {});
    CHECK(opened.size() <= with_a_choice_open(question).size());
    for (const OpenedChoice& each : opened) {
      CAPTURE(each.option);
      const PlanResult whole = search_plan(each.question, {.top = 1, .threads = 2});
      const PlanRow& first = whole.simulated.front();
      if (first.figures.iteration_time < best)
        CHECK(each.quickest == first);
      else
        CHECK_FALSE(each.quickest);
      quicker += each.quickest ? 1 : 0;
    }
  }
  CHECK(quicker > 0);
}

TEST_CASE("A search that is stopped says so, however far it came") {
  const PlanQuestion question = question_of("llama-3.1-8b", "h100-sxm", 16, 32);
  const PlanResult whole = search_plan(question, {});
  CHECK_FALSE(whole.is_interrupted);
  std::size_t asked = 0;
  std::size_t last = 0;
  const auto stopped_after = [&](std::size_t calls) {
    asked = 0;
    return search_plan(question, {.is_stopped = [&, calls] { return asked++ >= calls; }});
  };
  stopped_after(std::size_t{1} << 40U);
  last = asked;
  for (const std::size_t calls : {std::size_t{0}, last / 2, last - 2}) {
    CAPTURE(calls);
    CHECK(stopped_after(calls).is_interrupted);
  }
  CHECK_FALSE(stopped_after(last / 2).counts.is_complete());
}

}  // namespace bubblescope
