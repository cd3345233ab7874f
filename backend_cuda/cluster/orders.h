// What the leader and the others tell each other while they replay a plan.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/frame.h"
#include "backend_cuda/replay/clock_line.h"
#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope {

/// The first byte of a message.
enum class Order : char {
  // From the leader:
  Open = 'o',   ///< Let the step begin at a moment of the receiver's steady clock.
  Times = 't',  ///< The step has ended everywhere: when all ran.
  // Both ways, from the leader only to the next, which tells what became of it:
  Progress = 'n',  ///< How many instructions have ended, and which action runs.
  // To the leader:
  Ready = 'r',     ///< A step is launched and waits.
  Done = 'd',      ///< The step has ended here: when what is here ran.
  Partial = 'c',   ///< It was cut short: the same, as far as it came.
  Compared = 'q',  ///< A Parity.
};

/// To be followed by what belongs to it; without more, the whole message.
Packer begin(Order order);
/// Takes the first byte of a message, which need not be an order.
Order order_of(Unpacker& message);

// All that reads throws BadFrame where a message is none that a process of the job sends.

struct ProgressReport {
  std::int64_t ended = 0;
  std::optional<InstructionId> running = {};  ///< An action.
};
/// What a rank ran when it was lost is known by its last report. They take no more than a few
/// percent of the time of whoever writes and reads them.
std::chrono::microseconds between_reports(const Plan& plan, const Control& control);
std::string write_progress(const ProgressReport& progress);
/// Reads the progress of `rank`, which runs no actions but its own.
ProgressReport read_progress(Unpacker& message, const Plan& plan, Rank rank);

/// When what is on a rank ran, by the clock of its process.
struct RankTimes {
  Time uncertainty{};
  std::vector<Span> instructions = {};  ///< The rank's instructions, by id.
  std::vector<Span> messages = {};      ///< For each message, the end that this rank sees.
};
RankTimes times_of(const Plan& plan, Rank rank, const RankExecutor& executor);
std::string write_times(Order order, const RankTimes& times);
/// Reads Done, in which all has ended, or Partial. `now` is by the clock of that process.
RankTimes read_times(Unpacker& message, Order order, const Plan& plan, Rank rank, Time now);

/// The times of all ranks.
std::string write_all_times(const RunTimes& times);
RunTimes read_all_times(Unpacker& message, const Plan& plan);

/// "while rank 1 ran 1F2: " before what failed in a step, where an action runs and is not yet told.
std::string with_action(const std::string& what, const Plan& plan, const RankExecutor& executor);

/// Busy, since sleep overshoots.
void wait_until(Time moment_of_steady_clock);

/// What the ranks tell, put together on one clock.
class TimesOfAll {
 public:
  explicit TimesOfAll(const Plan& plan);

  /// `clock` is that of its process.
  void add(const RankTimes& times, Rank rank, const ClockLine& clock);
  /// From the first action's start on. A message moves from when both its ends are there until it
  /// has arrived.
  RunTimes merged() const;
  /// By how much they may be wrong.
  Time uncertainty() const { return uncertainty_; }

 private:
  const Plan& plan_;
  std::vector<Span> instructions_;
  std::vector<Span> sent_;      // [message] the sender's end
  std::vector<Span> received_;  // [message] the receiver's
  Time uncertainty_{};
};

std::string write_parity(const Parity& parity);
Parity read_parity(Unpacker& message);

/// "device", "4 × NVIDIA H200"
std::string write_facts(const MachineFacts& facts);
/// The value of a fact, or nothing.
std::string value_of(const MachineFacts& facts, std::string_view name);
constexpr const char* kHostFact = "host";
/// The facts of a process's machine, with one more that tells its host.
MachineFacts facts_of(const RankExecutor& executor);
MachineFacts read_facts(std::string_view payload);

}  // namespace bubblescope
