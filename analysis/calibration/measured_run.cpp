#include "analysis/calibration/measured_run.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/printable.h"
#include "sim/formats/torch_csv.h"
#include "sim/schedule/order_check.h"

namespace bubblescope {
namespace {

struct OpSpan {
  Rank rank;
  Span span;
  bool in_pair;
  bool used = false;
};

std::uint64_t key_of(const Op& op) {
  constexpr int kHalf = 32;
  return std::uint64_t{op.stage_and_kind()} << kHalf | static_cast<std::uint32_t>(op.microbatch());
}

/// Of one step, to be found by op.
class OpSpans {
 public:
  OpSpans(const RunProfile& profile, const ProfiledStep& step) : profile_(profile), step_(step) {
    for (const ProfiledAction& each : step.actions)
      each.action.for_each_op([&](const Op& op) {
        const auto [found, is_new] =
            spans_.try_emplace(key_of(op), OpSpan{each.rank, each.span, each.action.is_pair()});
        if (!is_new)
          fail(each.rank, to_string(op) + " ran twice");
      });
  }

  Span of(Rank rank, const Action& action) {
    std::optional<Span> span;
    action.for_each_op([&](const Op& op) {
      const auto found = spans_.find(key_of(op));
      if (found == spans_.end())
        fail(rank, fmt::format("{} is missing, which the schedule runs", to_string(op)));
      OpSpan& ran = found->second;
      if (ran.rank != rank)
        fail(rank, fmt::format("{} ran on rank {}", to_string(op), ran.rank));
      if (ran.in_pair && !action.is_pair())
        fail(rank, to_string(op) + " ran in an F&B pair, and the schedule runs it by itself");
      ran.used = true;
      span = span ? Span{std::min(span->start, ran.span.start), std::max(span->end, ran.span.end)}
                  : ran.span;
    });
    return *span;
  }

  /// Throws Error for what `of` was never asked for.
  void finish() const {
    for (const ProfiledAction& each : step_.actions)
      each.action.for_each_op([&](const Op& op) {
        if (!spans_.at(key_of(op)).used)
          fail(each.rank, to_string(op) + " ran, which the schedule does not have");
      });
  }

  [[noreturn]] void fail(Rank rank, const std::string& what) const {
    throw Error(fmt::format("{}: {}, rank {}: {}", profile_.source, step_.name, rank, what));
  }

 private:
  const RunProfile& profile_;
  const ProfiledStep& step_;
  std::map<std::uint64_t, OpSpan> spans_ = {};
};

/// Eleven days at most, so that costs made of it can be read, and no more than lets all of its
/// `actions`, each with a message to either side, be added up.
void refuse_long(const RunProfile& profile, const MeasuredStep& step, std::size_t actions) {
  constexpr std::int64_t kMost = 1'000'000'000'000'000;
  constexpr std::int64_t kMostOfAll = 3'000'000'000'000'000'000;
  const Time most(std::min(kMost, kMostOfAll / static_cast<std::int64_t>(actions)));
  if (step.length > most)
    throw Error(fmt::format("{}: {} lasts {} ns: expected at most {} ns", profile.source, step.name,
                            step.length.count(), most.count()));
}

MeasuredStep lay_over(const RunProfile& profile, const ProfiledStep& step,
                      const Schedule& schedule) {
  MeasuredStep out{.name = step.name};
  OpSpans spans(profile, step);
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    const auto order = schedule.order(rank);
    for (std::size_t i = 0; i < order.size(); ++i) {
      const Span span = spans.of(rank, order[i]);
      if (i > 0 && span.start < out.spans.back().start)
        spans.fail(rank, fmt::format("{} starts before {}, which comes first in {}",
                                     to_string(order[i]), to_string(order[i - 1]), schedule.name));
      if (i > 0 && span.start < out.spans.back().end)
        spans.fail(rank, fmt::format("{} starts before {} has ended: a rank runs one after another",
                                     to_string(order[i]), to_string(order[i - 1])));
      out.spans.push_back(span);
    }
  }
  spans.finish();
  out.length = step_length(schedule, out.spans, profile.has_common_clock);
  refuse_long(profile, out, schedule.actions.size());
  return out;
}

}  // namespace

Schedule recorded_schedule(const RunProfile& profile) {
  std::map<Rank, std::vector<const ProfiledAction*>> by_rank;
  for (const ProfiledAction& each : profile.steps.front().actions)
    by_rank[each.rank].push_back(&each);
  std::string csv;
  for (auto& [rank, actions] : by_rank) {
    std::stable_sort(actions.begin(), actions.end(),
                     [](const auto* a, const auto* b) { return a->span.start < b->span.start; });
    for (const ProfiledAction* each : actions)
      csv += (each == actions.front() ? "" : ",") + to_string(each->action);
    csv += "\n";
  }
  std::vector<std::string> notes;  // of pipes and placements, which nobody has to confirm here
  const std::string place =
      fmt::format("{}: the order that {} ran in", profile.source, profile.steps.front().name);
  Schedule schedule = parse_torch_csv(csv, place, Dialect::Current, notes).schedule;
  check_orders(schedule);
  schedule.name = profile.schedule.empty() ? "as recorded" : printable(profile.schedule);
  return schedule;
}

MeasuredRun lay_over(const RunProfile& profile, PostedProgram program) {
  MeasuredRun run{.source = profile.source,
                  .has_common_clock = profile.has_common_clock,
                  .warm_ups = profile.warm_ups,
                  .program = std::move(program)};
  for (const ProfiledStep& step : profile.steps)
    run.steps.push_back(lay_over(profile, step, run.program.schedule));
  return run;
}

Time step_length(const Schedule& schedule, const std::vector<Span>& spans, bool has_common_clock) {
  Span step = kNoSpan;
  Time longest{};
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    Span own = kNoSpan;
    for (std::size_t i = schedule.first_action[r]; i < schedule.first_action[r + 1]; ++i)
      own.include(spans[i]);
    longest = std::max(longest, own.length());
    step.include(own);
  }
  return has_common_clock ? step.length() : longest;
}

}  // namespace bubblescope
