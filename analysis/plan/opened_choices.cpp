#include "analysis/plan/opened_choices.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "analysis/plan/space_bounds.h"

namespace bubblescope {
namespace {

std::optional<PlanRow> quicker_than(Time time, const OpenedChoice& opened, int threads,
                                    const std::function<bool()>& is_stopped) {
  const PlanQuestion& question = opened.question;
  const std::vector<PlanBound> bounds =
      space_bounds(question, opened.space, question.memory_limit, PlanShard{}, threads, is_stopped);
  std::vector<std::uint32_t> order;
  for (std::uint32_t number = 0; number < bounds.size(); ++number)
    if (bounds[number].time < time && bounds[number].memory <= question.memory_limit)
      order.push_back(number);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return bounds[a].time < bounds[b].time;
  });
  PlanFront front(1, 0);
  front.add(time, 0);  // nothing longer matters, however little it holds
  std::optional<PlanRow> quickest;
  const auto take = [&](std::uint32_t number, const PlanFinding& finding) {
    const PlanRow row{number, finding.figures};
    if (finding.state == PlanState::Simulated && row.figures.iteration_time < time &&
        (!quickest || is_better(row, *quickest)))
      quickest = row;
  };
  const auto end_wave = [&] {
    if (quickest)
      front.add(quickest->figures.iteration_time, 0);
    return true;
  };
  PlanWaves(question, opened.space, bounds, threads, is_stopped)
      .run(order, {.front = front, .limit = question.memory_limit, .keeps_nearest = false}, take,
           end_wave);
  return quickest;
}

}  // namespace

std::vector<OpenedChoice> open_choices(const PlanQuestion& question, std::size_t configurations,
                                       Time time, int threads,
                                       const std::function<bool()>& is_stopped) {
  std::vector<OpenedChoice> result;
  for (OpenQuestion& open : with_a_choice_open(question)) {
    OpenedChoice opened{.option = open.option, .question = std::move(open.question)};
    opened.space = plan_space(opened.question);
    if (opened.space.configurations.size() <= configurations)
      continue;
    opened.quickest = quicker_than(time, opened, threads, is_stopped);
    if (is_stopped && is_stopped())
      break;
    result.push_back(std::move(opened));
  }
  return result;
}

}  // namespace bubblescope
