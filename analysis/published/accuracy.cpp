#include "analysis/published/accuracy.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace bubblescope {
namespace {

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  const double place = share * static_cast<double>(values.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const std::size_t above = std::min(below + 1, values.size() - 1);
  return values[below] + (values[above] - values[below]) * (place - static_cast<double>(below));
}

double nanoseconds(const std::optional<Time>& time) {
  return static_cast<double>(time->count());
}

void compare_pairs(const std::vector<const PublishedRun*>& job, Accuracy& result) {
  constexpr double kMargin = 0.02;
  double best = nanoseconds(job[0]->measured);
  for (std::size_t i = 0; i < job.size(); ++i) {
    const double one = nanoseconds(job[i]->measured);
    best = std::min(best, one);
    for (std::size_t j = 0; j < i; ++j) {
      const double other = nanoseconds(job[j]->measured);
      const bool is_repeated = !job[i]->command.empty() && job[i]->command == job[j]->command;
      if (is_repeated || std::abs(one - other) <= kMargin * std::min(one, other))
        continue;
      ++result.pairs;
      const double told = nanoseconds(job[i]->predicted) - nanoseconds(job[j]->predicted);
      result.pairs_right += (one - other) * told > 0 ? 1U : 0U;
    }
  }
  const PublishedRun& chosen = **std::min_element(
      job.begin(), job.end(),
      [](const PublishedRun* a, const PublishedRun* b) { return *a->predicted < *b->predicted; });
  result.worst_choice = std::max(result.worst_choice, nanoseconds(chosen.measured) / best - 1);
}

}  // namespace

std::optional<double> PublishedRun::error() const {
  if (!measured || !predicted || *measured <= Time::zero())
    return std::nullopt;
  return static_cast<double>(predicted->count()) / static_cast<double>(measured->count()) - 1;
}

std::optional<double> PublishedRun::memory_error() const {
  if (!measured_memory || !peak_memory)
    return std::nullopt;
  return static_cast<double>(*peak_memory) / static_cast<double>(*measured_memory) - 1;
}

Accuracy accuracy(const std::string& name, const std::vector<const PublishedRun*>& runs) {
  Accuracy result{.name = name};
  std::vector<double> errors;
  std::map<std::string, std::vector<const PublishedRun*>> jobs;
  for (const PublishedRun* run : runs) {
    const std::optional<double> error = run->error();
    if (!error || !run->is_judged)
      continue;
    errors.push_back(*error);
    jobs[run->job].push_back(run);
  }
  result.runs = errors.size();
  if (errors.empty())
    return result;
  result.median_error = quantile(errors, 0.5);
  for (double& error : errors)
    error = std::abs(error);
  result.median_abs_error = quantile(errors, 0.5);
  result.p90_abs_error = quantile(errors, 0.9);
  result.mean_abs_error =
      std::accumulate(errors.begin(), errors.end(), 0.0) / static_cast<double>(errors.size());
  for (const auto& [job, of_job] : jobs)
    compare_pairs(of_job, result);
  return result;
}

std::vector<Accuracy> accuracies(const std::vector<PublishedRun>& runs,
                                 std::string PublishedRun::*key) {
  std::vector<std::string> names;
  for (const PublishedRun& run : runs)
    if (std::find(names.begin(), names.end(), run.*key) == names.end())
      names.push_back(run.*key);
  std::vector<Accuracy> result;
  for (const std::string& name : names) {
    std::vector<const PublishedRun*> own;
    for (const PublishedRun& run : runs)
      if (run.*key == name)
        own.push_back(&run);
    Accuracy each = accuracy(name, own);
    if (each.runs > 0)
      result.push_back(std::move(each));
  }
  return result;
}

MemoryVerdicts memory_verdicts(const std::vector<PublishedRun>& runs) {
  MemoryVerdicts result;
  for (const PublishedRun& run : runs) {
    if (!run.device_memory || !run.is_judged)
      continue;
    ++(run.ran_out ? result.ran_out : result.ran);
    if (run.is_told_to_run_out == run.ran_out)
      ++(run.ran_out ? result.ran_out_right : result.ran_right);
  }
  return result;
}

}  // namespace bubblescope
