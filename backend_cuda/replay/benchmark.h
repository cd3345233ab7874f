// Plans that are run only to measure the machine that runs them.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "backend_cuda/replay/calibration.h"
#include "sim/costs/cost_model.h"
#include "sim/program/posted_program.h"

namespace bubblescope {

/// The ops of one kind, in stages of one position.
enum class Position : std::uint8_t { First, Middle, Last };
constexpr Position kPositions[] = {Position::First, Position::Middle, Position::Last};

/// Lengths, of which the median counts.
class Sample {
 public:
  void add(Time time) { times_.push_back(time); }
  Time median() const;
  /// Of something that cannot be shorter than nothing; the clock's steps may say so.
  Time positive_median() const { return std::max(median(), Time::zero()); }

 private:
  std::vector<Time> times_ = {};
};

/// Enough stages that a first, a middle and a last one are among them, one micro-batch or more.
struct BenchmarkShape {
  int ranks;
  int microbatches;
  int chunks() const { return (2 + ranks) / ranks; }
};

/// F and B, or F and I, of one micro-batch after another, each alone; W at the end. Stages lie on
/// the ranks in turn, also below.
Schedule chain(BenchmarkShape shape, OpKind backward);
/// All F, then all I, then all W.
Schedule waves(BenchmarkShape shape);

/// A plan with what it refers to, and its executor.
class Benchmark {
 public:
  Benchmark(const ExecutorMaker& make_executor, PostedProgram made, const CostSource& costs,
            const ExecutorOptions& options);

  void run(const ReplayOptions& options) { runs_.push_back(replay(plan_, *executor_, options)); }
  void end_warm_up();

  const Plan& plan() const { return plan_; }
  const Placement& placement() const { return plan_.schedule().placement; }
  MachineFacts machine() const { return executor_->machine(); }

  /// Calls `visit(instruction, span)` for all actions of all runs.
  template <typename Visitor>
  void for_each_action(Visitor&& visit) const {
    for (const Replay& run : runs_)
      for (const InstructionId id : plan_.instruction_of_action)
        visit(plan_.instructions[id], run.times.instructions[id]);
  }
  /// What an op of a kind takes, in stages of a position.
  Time op_time(OpKind kind, Position position) const;
  const std::vector<Replay>& runs() const { return runs_; }
  /// Half the range of the step's length, by its median.
  double noise() const;

 private:
  CostModel costs_;
  Plan plan_;
  std::unique_ptr<Executor> executor_;
  std::vector<Replay> runs_ = {};
};

/// Benchmarks that are run in turn, so that a machine that drifts does so under all alike. Their
/// data may fill a device, so each group goes before the next comes.
class BenchmarkGroup {
 public:
  BenchmarkGroup(const ExecutorMaker& make_executor, const Calibration& calibration)
      : make_executor_(make_executor), calibration_(calibration) {}

  const Benchmark& add(Schedule schedule, Comm comm, const CostSource& costs,
                       const ExecutorOptions& options);
  /// Tells the profile the machine, which has to be the same for all benchmarks.
  void run(Profile& profile);

 private:
  const ExecutorMaker& make_executor_;
  const Calibration& calibration_;
  std::deque<Benchmark> benchmarks_ = {};
};

/// Those of all benchmarks: timed actions of one length, on the links that the profile has.
CostSource benchmark_costs(const Calibration& calibration, const Profile& profile);
/// So many blocks in each stage.
ExecutorOptions with_blocks(ExecutorOptions options, int blocks);

}  // namespace bubblescope
