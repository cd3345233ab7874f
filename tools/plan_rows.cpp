#include "tools/plan_rows.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/plan/plan_front.h"
#include "sim/transformer/stage_memory.h"
#include "tools/shell_line.h"

namespace bubblescope {
namespace {

/// Options of a group as they were given, but for those that a row says itself.
std::vector<std::string> words_of(const OptionGroup& group) {
  std::vector<std::string> words;
  for (const CLI::Option* option : group.options()) {
    const std::string name = "--" + option->get_lnames().front();
    if (option->count() == 0 || name == "--gpus" || name == "--global-batch" ||
        name == "--sequence" || name == "--layout")
      continue;
    words.push_back(name);
    words.push_back(fmt::format("{}", fmt::join(option->results(), ",")));
  }
  return words;
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
      passed_on_(words_of(options.model.given)) {
  const std::vector<std::string> more = words_of(options.passed_on);
  passed_on_.insert(passed_on_.end(), more.begin(), more.end());
}

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

/// All micro-batches of a step come to the same, however they are divided.
const StepWork& PlanRows::work_of(const PlanSplit& split) {
  const auto found = work_.find(split.microbatch);
  if (found != work_.end())
    return found->second;
  ModelJob job = question_.job;
  job.parallel = {};
  job.training.microbatch = split.microbatch;
  const auto microbatches = static_cast<int>(question_.global_batch / split.microbatch);
  return work_[split.microbatch] = step_work(job, 1, microbatches);
}

Json PlanRows::choices_json(std::uint32_t number) const {
  const PlanSplit& split = split_of(number);
  const ModelJob job = space_.job_of(question_, number);
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
          {"sequence_parallel", job.training.sequence_parallel},
          {"dispatch", job_["dispatch"]},
          {"comm", to_string(question_.comm.of(schedule_of(number), split.chunks))},
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
  const StepWork& work = work_of(split_of(row.number));
  json["mfu"] = work.flops / (peak * seconds);
  json["mfu_full_attention"] = work.flops_full_attention / (peak * seconds);
  json["bubble_fraction"] = figures.bubble_fraction;
  json["peak_memory_bytes"] = figures.peak_memory;
  json["device_memory_bytes"] = device_memory(figures.peak_memory);
  json["fits"] = figures.peak_memory <= question_.memory_limit;
  json["ties_with_best"] =
      json["fits"] == true && figures.iteration_time >= best &&
      ties_with(best, figures.iteration_time, tie_percent(question_.job.model));
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

Json PlanRows::row(const PlanRow& row, Time best, const PlanDetails& details) {
  Json json = this->row(row, best);
  json["exposed_comm_ns"] = details.exposed_comm;
  json["weight_bytes"] = details.weights;
  json["activation_bytes"] = details.activations;
  return json;
}

Json PlanRows::bounded(std::uint32_t number, const PlanBound& bound) {
  Json json = choices_json(number);
  for (const char* key : {"iteration_time_ns", "step_time_ns", "tokens_per_second", "mfu",
                          "mfu_full_attention", "bubble_fraction", "peak_memory_bytes",
                          "device_memory_bytes", "fits", "ties_with_best", "days", "cost"})
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
  std::vector<std::string> words = {"simulate", std::string(schedule_of(number).name)};
  words.insert(words.end(), passed_on_.begin(), passed_on_.end());
  const auto add = [&](const char* option, const auto& value) {
    words.emplace_back(option);
    words.push_back(fmt::format("{}", value));
  };
  add("-p", split.ranks);
  add("-m", split.microbatches);
  add("-v", split.chunks);
  add("--tp", split.parallel.tensor);
  add("--cp", split.parallel.context);
  add("--ep", split.parallel.expert);
  add("--dp", split.parallel.data);
  add("--microbatch-size", split.microbatch);
  add("--sequence", question_.job.training.sequence);
  add("--recompute", recompute_word(split));
  if (schedule_of(number).automatic != nullptr && !options_.memory_limit)
    add("--memory-limit", fmt::format("{}B", question_.job.hardware.memory));
  if (question_.job.layout || question_.job.is_balanced)
    add("--layout", to_text(*space_.job_of(question_, number).layout));
  return shell_line(words);
}

}  // namespace bubblescope
