#include "backend_cuda/cluster/other.h"

#include <algorithm>
#include <chrono>
#include <string>

#include <fmt/format.h>

#include "backend_cuda/replay/clock_line.h"

namespace bubblescope {
namespace {

/// After a loss a step's messages may still come, in any order.
void require(Turn turn, Turn its, bool is_first) {
  if (turn != Turn::Lost && (turn != its || !is_first))
    throw BadFrame("out of turn");
}

}  // namespace

void Other::take(std::string_view message, const Plan& plan, Rank rank, Turn turn) {
  Unpacker payload(message);
  const Order order = order_of(payload);
  const auto read_its_times = [&] {
    const Time now = std::chrono::steady_clock::now().time_since_epoch();
    times = read_times(payload, order, plan, rank, now + ClockLine(readings).ahead_at(now));
  };
  switch (order) {
    case Order::Ready:
      require(turn, Turn::Launch, !is_ready);
      payload.end();
      is_ready = true;
      return;
    case Order::Progress: {
      const ProgressReport report = read_progress(payload, plan, rank);
      ended = static_cast<std::size_t>(report.ended);
      if (report.running)  // while it waits, it is where it ran last
        running = report.running;
      return;
    }
    case Order::Done:
      require(turn, Turn::Run, !is_done);
      read_its_times();
      is_done = true;
      running.reset();
      return;
    case Order::Partial:
      require(turn, Turn::Lost, true);
      return read_its_times();
    case Order::Compared:
      require(turn, Turn::Compare, !parity);
      parity = read_parity(payload);
      return;
    default:
      throw BadFrame("no order to the leader");
  }
}

Others::Others(const Plan& plan, const RankPlace& place, int world)
    : plan_(plan), place_(place), others_(static_cast<std::size_t>(world)) {}

void Others::forget() {
  std::fill(others_.begin(), others_.end(), Other{});
}

bool Others::all_are(bool Other::*state) const {
  return std::all_of(others_.begin() + 1, others_.end(),
                     [&](const Other& each) { return each.*state; });
}

std::size_t Others::ended() const {
  std::size_t count = 0;
  for (const Other& each : others_)
    count += each.ended;
  return count;
}

int Others::first_that_runs() const {
  const auto found = std::find_if(others_.begin() + 1, others_.end(),
                                  [](const Other& each) { return each.running.has_value(); });
  return found == others_.end() ? 0 : static_cast<int>(found - others_.begin());
}

std::string Others::whereabouts(int process, std::optional<InstructionId> leader_runs,
                                std::string_view said) const {
  if (process < 0 || process >= static_cast<int>(others_.size()))
    return "";
  std::vector<std::string> words;
  if (place_.replicas > 1)
    words.push_back(fmt::format("is rank {} of pipeline {}", process / place_.replicas,
                                process % place_.replicas));
  const auto running = process == 0 ? leader_runs : (*this)[process].running;
  const std::string action =
      running ? to_string(plan_.action(plan_.instructions[*running])) : std::string();
  if (running && said.find(action) == said.npos)
    words.push_back("was last heard in " + action);
  return words.empty() ? "" : fmt::format("; it {}", fmt::join(words, " and "));
}

PipelineTimes Others::gather(int replica, const std::optional<RankTimes>& leader) const {
  TimesOfAll all(plan_);
  for (Rank rank = 0; rank < plan_.ranks(); ++rank) {
    const int process = RankPlace{.replica = replica, .replicas = place_.replicas}.process_of(rank);
    const Other& other = (*this)[process];
    if (const auto& times = process == 0 ? leader : other.times)
      all.add(*times, rank, ClockLine(other.readings));
  }
  return {replica, all.merged(), all.uncertainty()};
}

PipelineTimes Others::gather_what_is_known(int lost, const std::optional<RankTimes>& leader) const {
  if (lost > 0)
    return gather(lost % place_.replicas, leader);
  const auto has_ended = [](const PipelineTimes& of) {
    return std::all_of(of.times.instructions.begin(), of.times.instructions.end(),
                       [](const Span& span) { return span.end != kNever; });
  };
  PipelineTimes found = gather(0, leader);
  for (int replica = 1; replica < place_.replicas && has_ended(found); ++replica)
    found = gather(replica, leader);
  return found;
}

}  // namespace bubblescope
