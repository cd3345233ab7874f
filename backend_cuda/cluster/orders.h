// What the leader and the others tell each other while they replay a plan.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend_cuda/cluster/clock_line.h"
#include "backend_cuda/cluster/rank_executor.h"

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

/// Writes values of fixed size, and strings, one behind the other; both ends are the same program.
class Writer {
 public:
  explicit Writer(Order order) : text_(1, static_cast<char>(order)) {}
  Writer& add(std::int64_t value);
  Writer& add(double value);
  Writer& add(const std::string& value);
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Reads them back. Throws DeviceError for a message that is too short.
class Reader {
 public:
  explicit Reader(const std::string& text) : text_(text) {}
  Order order();
  std::int64_t number();
  double real();
  std::string string();

 private:
  void require(std::size_t bytes) const;
  void take(void* to, std::size_t bytes);

  const std::string& text_;
  std::size_t next_ = 0;
};

struct ProgressReport {
  std::int64_t ended = 0;
  std::optional<InstructionId> running = {};  ///< An action.
};
/// What a rank ran when it was lost is known by its last report. They take no more than a few
/// percent of the time of whoever writes and reads them.
std::chrono::microseconds between_reports(const Plan& plan, const Control& control);
std::string write_progress(const ProgressReport& progress);
ProgressReport read_progress(Reader& reader);

/// Of its rank: `times` has what is there, and only that is written.
std::string write_times(Order order, const Plan& plan, Rank rank, const RankExecutor& executor);

/// Of all ranks.
std::string write_all_times(const RunTimes& times);
RunTimes read_all_times(Reader& reader, const Plan& plan);

/// "while rank 1 ran 1F2: " before what failed in a step, where an action runs and is not yet told.
std::string with_action(const std::string& what, const Plan& plan, const RankExecutor& executor);

/// Busy, since sleep overshoots.
void wait_until(Time moment_of_steady_clock);

/// What the ranks tell, put together on one clock.
class TimesOfAll {
 public:
  explicit TimesOfAll(const Plan& plan);

  /// A message of `write_times`; `clock` is that of its process.
  void add(const std::string& message, Rank rank, const ClockLine& clock);
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
Parity read_parity(Reader& reader);

/// "device", "4 × NVIDIA H200"
std::string write_facts(const MachineFacts& facts);
/// The value of a fact, or nothing.
std::string value_of(const MachineFacts& facts, std::string_view name);
/// Of a process: its machine's, and who it is.
constexpr const char* kProcessFact = "process";
constexpr const char* kHostFact = "host";
MachineFacts facts_of(const RankExecutor& executor, const Control& control);
MachineFacts read_facts(const std::string& text);

}  // namespace bubblescope
