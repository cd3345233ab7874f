#include "tools/plan_rows.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/plan/plan_front.h"

namespace bubblescope {
namespace {

/// A word as a shell takes it.
std::string shell_word(const std::string& word) {
  const bool plain =
      !word.empty() && word.find_first_of(" \t\n\"'$&|;<>()*?[]#~`\\!{}") == std::string::npos;
  if (plain)
    return word;
  std::string quoted;
  for (const char c : word)
    quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return "'" + quoted + "'";
}

std::string passed_on(const OptionGroup& group) {
  std::string text;
  for (const CLI::Option* option : group.options()) {
    const std::string name = "--" + option->get_lnames().front();
    if (option->count() == 0 || name == "--gpus" || name == "--global-batch" ||
        name == "--sequence" || name == "--layout")
      continue;
    text += fmt::format(" {} {}", name,
                        shell_word(fmt::format("{}", fmt::join(option->results(), ","))));
  }
  return text;
}

constexpr double kSecondsADay = 86'400;
constexpr double kHoursADay = 24;

}  // namespace

PlanRows::PlanRows(const PlanCommandOptions& options, const PlanQuestion& question,
                   const PlanSpace& space)
    : options_(options),
      question_(question),
      space_(space),
      job_(job_json(question.job)),
      passed_on_(passed_on(options.model.given) + passed_on(options.passed_on)) {}

const PlanSplit& PlanRows::split_of(std::uint32_t number) const {
  return space_.splits[space_.configurations[number].split];
}

const CatalogueEntry& PlanRows::schedule_of(std::uint32_t number) const {
  return *question_.choices.schedules[space_.configurations[number].schedule];
}

std::string PlanRows::recompute_word(const PlanSplit& split) const {
  return split.recompute == kRecomputeNone   ? "none"
         : split.recompute == kRecomputeFull ? "full"
                                             : "selective";
}

/// That a step needs, over all GPUs: as `step_work` counts them.
double PlanRows::flops(const PlanSplit& split) {
  const auto found = flops_.find(split.microbatch);
  if (found != flops_.end())
    return found->second * static_cast<double>(split.parallel.data) * split.microbatches;
  ModelJob job = question_.job;
  job.parallel = {};
  job.training.microbatch = split.microbatch;
  flops_[split.microbatch] = step_work(job, 1, 1).flops;
  return flops(split);
}

Json PlanRows::choices_json(std::uint32_t number) const {
  const PlanSplit& split = split_of(number);
  const ModelJob job = job_of(question_, split);
  return {{"schedule", schedule_of(number).name},
          {"tp", split.parallel.tensor},
          {"cp", split.parallel.context},
          {"pp", split.ranks},
          {"ep", split.parallel.expert},
          {"etp", split.parallel.expert_tensor()},
          {"dp", split.parallel.data},
          {"zero", job_["zero"]},
          {"chunks", split.chunks},
          {"group_size", schedule_of(number).any_group_size ? Json(split.ranks) : Json()},
          {"microbatch_size", split.microbatch},
          {"microbatches", split.microbatches},
          {"recompute", recompute_word(split)},
          {"layout", to_text(*job.layout)},
          {"sequence_parallel", job_["sequence_parallel"]},
          {"dispatch", job_["dispatch"]},
          {"comm", to_string(question_.comm)},
          {"precision", job_["precision"]}};
}

Json PlanRows::row(const PlanRow& row, Time best) {
  const PlanFigures& figures = row.figures;
  const double seconds = std::chrono::duration<double>(figures.iteration_time).count();
  const Training& training = question_.job.training;
  const double tokens =
      static_cast<double>(question_.global_batch) * static_cast<double>(training.sequence);
  const Hardware& hardware = question_.job.hardware;
  const double peak =
      static_cast<double>(question_.gpus) *
      (training.precision == Precision::Fp8 ? hardware.fp8_flops : hardware.bf16_flops);
  Json json = choices_json(row.number);
  json["iteration_time_ns"] = figures.iteration_time;
  json["step_time_ns"] = figures.step_time;
  json["tokens_per_second"] = tokens / seconds;
  json["mfu"] = flops(split_of(row.number)) / (peak * seconds);
  json["bubble_fraction"] = figures.bubble_fraction;
  json["peak_memory_bytes"] = figures.peak_memory;
  json["device_memory_bytes"] = nullptr;
  json["fits"] = figures.peak_memory <= question_.memory_limit;
  json["ties_with_best"] = ties_with(best, figures.iteration_time);
  json["days"] = nullptr;
  json["cost"] = nullptr;
  if (options_.tokens) {
    const double days = *options_.tokens / (tokens / seconds) / kSecondsADay;
    json["days"] = days;
    if (options_.price)
      json["cost"] = days * kHoursADay * static_cast<double>(question_.gpus) * *options_.price;
  }
  json["command"] = command(row.number);
  return json;
}

Json PlanRows::bounded(std::uint32_t number, const PlanBound& bound) {
  Json json = choices_json(number);
  for (const char* key :
       {"iteration_time_ns", "step_time_ns", "tokens_per_second", "mfu", "bubble_fraction",
        "peak_memory_bytes", "device_memory_bytes", "fits", "ties_with_best", "days", "cost"})
    json[key] = nullptr;
  json["command"] = command(number);
  json["time_bound_ns"] = bound.time == Time::max() ? Json() : Json(bound.time);
  json["memory_bound_bytes"] = bound.memory;
  return json;
}

std::string PlanRows::name(std::uint32_t number) const {
  const PlanSplit& split = split_of(number);
  const Parallel& parallel = split.parallel;
  std::string text(schedule_of(number).name);
  const auto add = [&](const char* what, std::int64_t degree) {
    if (degree > 1)
      text += fmt::format(" {}={}", what, degree);
  };
  text += ",";
  add("tp", parallel.tensor);
  add("cp", parallel.context);
  add("pp", split.ranks);
  add("ep", parallel.expert);
  add("dp", parallel.data);
  add("v", split.chunks);
  text += fmt::format(" mbs={}", split.microbatch);
  if (split.recompute != kRecomputeNone)
    text += ", recompute " + recompute_word(split);
  return text;
}

std::string PlanRows::command(std::uint32_t number) const {
  const PlanSplit& split = split_of(number);
  std::string text = fmt::format(
      "bubblescope simulate {}{} -p {} -m {} -v {} --tp {} --cp {} --ep {} --dp {}",
      schedule_of(number).name, passed_on_, split.ranks, split.microbatches, split.chunks,
      split.parallel.tensor, split.parallel.context, split.parallel.expert, split.parallel.data);
  text += fmt::format(" --microbatch-size {} --sequence {} --recompute {}", split.microbatch,
                      question_.job.training.sequence, recompute_word(split));
  if (const auto layout = job_of(question_, split).layout;
      question_.job.layout || question_.layout == PlanLayout::Balanced)
    text += " --layout " + shell_word(to_text(*layout));
  return text;
}

}  // namespace bubblescope
