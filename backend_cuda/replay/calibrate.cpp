#include "backend_cuda/replay/calibrate.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <utility>

#include "sim/lowering.h"

namespace bubblescope {
namespace {

/// The ops of one kind, in stages of one position.
enum class Position : std::uint8_t { First, Middle, Last };
constexpr Position kPositions[] = {Position::First, Position::Middle, Position::Last};

Position position_of(const Placement& placement, Stage stage) {
  if (stage == 0)
    return Position::First;
  return stage == placement.depth - 1 ? Position::Last : Position::Middle;
}

/// Lengths, of which the median counts.
class Sample {
 public:
  void add(Time time) { times_.push_back(time); }
  bool is_empty() const { return times_.empty(); }
  Time median() const {
    if (times_.empty())
      return {};
    std::vector<Time> sorted = times_;
    const auto middle = sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) / 2);
    std::nth_element(sorted.begin(), middle, sorted.end());
    return *middle;
  }
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

/// Stages on the ranks in turn.
Schedule empty_schedule(BenchmarkShape shape) {
  return {.name = "calibration",
          .microbatches = shape.microbatches,
          .placement = loop_placement({shape.ranks, shape.chunks()})};
}

/// Writes one rank's ops of a kind, in the order in which they come to its stages.
class PhaseWriter {
 public:
  explicit PhaseWriter(Schedule& schedule)
      : shape_{schedule.placement.ranks, schedule.microbatches},
        writer_(schedule, std::size_t{kOpKinds} *
                              static_cast<std::size_t>(schedule.placement.depth) *
                              static_cast<std::size_t>(schedule.microbatches)) {}

  /// Of one micro-batch, stage after stage.
  void add(Rank rank, OpKind kind, MicroBatch microbatch) {
    for (int i = 0; i < shape_.chunks(); ++i)
      add_op(rank, kind, i, microbatch);
  }
  /// Of all micro-batches, stage after stage.
  void add_wave(Rank rank, OpKind kind) {
    for (int i = 0; i < shape_.chunks(); ++i)
      for (MicroBatch microbatch = 0; microbatch < shape_.microbatches; ++microbatch)
        add_op(rank, kind, i, microbatch);
  }
  void end_rank() { writer_.end_rank(); }
  void finish() { writer_.finish(); }

 private:
  void add_op(Rank rank, OpKind kind, int i, MicroBatch microbatch) {
    const int chunk = kind == OpKind::Forward ? i : shape_.chunks() - 1 - i;
    writer_.append(Op(kind, chunk * shape_.ranks + rank, microbatch));
  }

  BenchmarkShape shape_;
  OrderWriter writer_;
};

/// F and B, or F and I, of one micro-batch after another, each alone; W at the end.
Schedule chain(BenchmarkShape shape, OpKind backward) {
  Schedule schedule = empty_schedule(shape);
  PhaseWriter writer(schedule);
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    for (MicroBatch microbatch = 0; microbatch < shape.microbatches; ++microbatch)
      for (const OpKind kind : {OpKind::Forward, backward})
        writer.add(rank, kind, microbatch);
    if (backward == OpKind::BackwardInput)
      writer.add_wave(rank, OpKind::BackwardWeight);
    writer.end_rank();
  }
  writer.finish();
  return schedule;
}

/// All F, then all I, then all W.
Schedule waves(BenchmarkShape shape) {
  Schedule schedule = empty_schedule(shape);
  PhaseWriter writer(schedule);
  for (Rank rank = 0; rank < shape.ranks; ++rank) {
    for (const OpKind kind : {OpKind::Forward, OpKind::BackwardInput, OpKind::BackwardWeight})
      writer.add_wave(rank, kind);
    writer.end_rank();
  }
  writer.finish();
  return schedule;
}

/// A plan with what it refers to, and its executor.
class Benchmark {
 public:
  Benchmark(const ExecutorMaker& make_executor, Program made, const CostSource& costs,
            const ExecutorOptions& options)
      : program_(std::move(made)),
        costs_(costs, program_.schedule.placement, {.per = CostPer::OneStage}),
        plan_(make_plan(program_, costs_)),
        executor_(make_executor(plan_, options)) {}

  void run(const ReplayOptions& options) { runs_.push_back(replay(plan_, *executor_, options)); }
  void end_warm_up() {
    runs_.clear();
    executor_->end_warm_up();
  }

  const Plan& plan() const { return plan_; }
  const Placement& placement() const { return program_.schedule.placement; }
  MachineFacts machine() const { return executor_->machine(); }

  /// Calls `visit(instruction, span)` for all actions of all runs.
  template <typename Visitor>
  void for_each_action(Visitor&& visit) const {
    for (const Replay& run : runs_)
      for (const InstructionId id : plan_.instruction_of_action)
        visit(plan_.instructions[id], run.times.instructions[id]);
  }
  /// What an op of a kind takes, in stages of a position.
  Time op_time(OpKind kind, Position position) const {
    Sample sample;
    for_each_action([&](const Instruction& instruction, const Span& span) {
      const Op& op = plan_.action(instruction).op();
      if (op.kind() == kind && position_of(placement(), op.stage()) == position)
        sample.add(span.length());
    });
    return sample.median();
  }
  const std::vector<Replay>& runs() const { return runs_; }
  /// Half the range of the step's length, by its median.
  double noise() const {
    Replay all;
    for (const Replay& run : runs_)
      all.step_times.insert(all.step_times.end(), run.step_times.begin(), run.step_times.end());
    return all.noise();
  }

 private:
  Program program_;
  CostModel costs_;
  Plan plan_;
  std::unique_ptr<Executor> executor_;
  std::vector<Replay> runs_ = {};
};

/// Where actions and messages of a chain follow each other.
LaunchGaps chain_gaps(const Benchmark& chain) {
  const Plan& plan = chain.plan();
  Sample to_message;
  Sample from_message;
  Sample overrun;
  const OutputNumbers number(chain.placement(), plan.schedule().microbatches);
  std::vector<InstructionId> maker(number.size());
  std::vector<InstructionId> reader(number.size());
  for (const InstructionId id : plan.instruction_of_action) {
    const Op& op = plan.action(plan.instructions[id]).op();
    if (reader_of_output(chain.placement(), op))
      maker[number[op]] = id;
    if (const auto from = maker_of_input(chain.placement(), op))
      reader[number[Op(op.kind(), *from, op.microbatch())]] = id;
  }
  for (const Replay& run : chain.runs())
    for (MessageId id = 0; id < plan.messages.size(); ++id) {
      const PlanMessage& message = plan.messages[id];
      const Span& made = run.times.instructions[maker[number[message.sent]]];
      const Span& needed = run.times.instructions[reader[number[message.expected]]];
      const Span& travel = run.times.messages[id];
      if (plan.is_eager) {
        from_message.add(needed.start - (made.end + message.duration));
        continue;
      }
      to_message.add(travel.start - made.end);
      overrun.add(travel.length() - message.duration);
      from_message.add(needed.start - travel.end);
    }
  return {.action_to_message = to_message.positive_median(),
          .message_to_action = from_message.positive_median(),
          .message_overrun = overrun.positive_median()};
}

/// Between two W of one rank, which wait for nothing else.
Time action_gap(const Benchmark& waves) {
  Sample sample;
  const Plan& plan = waves.plan();
  for (const Replay& run : waves.runs())
    for (std::size_t i = 1; i < plan.instruction_of_action.size(); ++i) {
      const InstructionId before = plan.instruction_of_action[i - 1];
      const InstructionId id = plan.instruction_of_action[i];
      const auto is_weight = [&](InstructionId each) {
        return plan.action(plan.instructions[each]).op().kind() == OpKind::BackwardWeight;
      };
      if (plan.instructions[before].rank == plan.instructions[id].rank && is_weight(before) &&
          is_weight(id))
        sample.add(run.times.instructions[id].start - run.times.instructions[before].end);
    }
  return sample.positive_median();
}

Time action_overrun(const Benchmark& waves) {
  Sample sample;
  waves.for_each_action([&](const Instruction& instruction, const Span& span) {
    sample.add(span.length() - waves.plan().duration(instruction));
  });
  return sample.positive_median();
}

/// The benchmarks of stages of one size.
struct StageBenchmarks {
  const Benchmark& full_chain;   // F and B of one micro-batch after another
  const Benchmark& split_chain;  // F and I likewise, and the W of all
  const Benchmark& waves;        // all F, all I, all W
};

StageTimes stage_times(const StageBenchmarks& benchmarks, int blocks) {
  StageTimes times{.blocks = blocks};
  for (const Position position : kPositions) {
    StageCost& cost = position == Position::First    ? times.first
                      : position == Position::Middle ? times.middle
                                                     : times.last;
    cost.forward = benchmarks.full_chain.op_time(OpKind::Forward, position);
    cost.backward = benchmarks.full_chain.op_time(OpKind::Backward, position);
    cost.input_grad = benchmarks.split_chain.op_time(OpKind::BackwardInput, position);
    // No chain has a W that runs alone: it is what B takes beside I.
    cost.weight_grad = std::max(*cost.backward - cost.input_grad, Time::zero());
  }
  const auto ratio = [](Time crowded, Time alone) {
    return alone > Time::zero() ? std::max(1.0, static_cast<double>(crowded.count()) /
                                                    static_cast<double>(alone.count()))
                                : 1.0;
  };
  const auto crowded = [&](OpKind kind) {
    return benchmarks.waves.op_time(kind, Position::Middle);
  };
  const StageCost& alone = times.middle;
  const Time input_grad = crowded(OpKind::BackwardInput);
  const Time weight_grad = crowded(OpKind::BackwardWeight);
  times.slowdown = {ratio(crowded(OpKind::Forward), alone.forward),
                    ratio(input_grad, alone.input_grad), ratio(weight_grad, alone.weight_grad),
                    ratio(input_grad + weight_grad, alone.input_grad + alone.weight_grad)};
  return times;
}

/// Benchmarks that are run in turn, so that a machine that drifts does so under all alike. Their
/// data may fill a device, so each group goes before the next comes.
class Group {
 public:
  Group(const ExecutorMaker& make_executor, const Calibration& calibration)
      : make_executor_(make_executor), calibration_(calibration) {}

  const Benchmark& add(Schedule schedule, Comm comm, const ExecutorOptions& options,
                       const Link& link) {
    const Time action = calibration_.action;
    const CostSource costs{
        .name = "calibration",
        .stages = {{.forward = action, .input_grad = action, .weight_grad = action}},
        .link = link};
    benchmarks_.emplace_back(make_executor_, lower(std::move(schedule), comm), costs, options);
    return benchmarks_.back();
  }

  /// Tells the profile the machine, which has to be the same for all benchmarks.
  void run(Profile& profile) {
    ReplayOptions options = calibration_.replay;
    options.check_parity = false;
    for (int round = 0; round <= calibration_.repeats; ++round)
      for (Benchmark& benchmark : benchmarks_) {
        benchmark.run(options);
        if (round == 0)
          benchmark.end_warm_up();
      }
    if (profile.machine.empty())
      profile.machine = benchmarks_.front().machine();
    for (const Benchmark& benchmark : benchmarks_)
      if (const auto what = other_partitions(profile.machine, benchmark.machine()))
        throw DeviceError("the benchmarks have not the same partitions: " + *what);
  }

 private:
  const ExecutorMaker& make_executor_;
  const Calibration& calibration_;
  std::deque<Benchmark> benchmarks_ = {};
};

ExecutorOptions with_blocks(ExecutorOptions options, int blocks) {
  options.shape.blocks = blocks;
  return options;
}

/// What goes with messages. A block a stage is enough for that.
void measure_messages(const ExecutorMaker& make_executor, const Calibration& calibration,
                      Profile& profile) {
  const BenchmarkShape once{calibration.ranks, 1};
  const ExecutorOptions one_block = with_blocks(calibration.options, 1);
  Group group(make_executor, calibration);
  std::vector<const Benchmark*> chains;  // [Comm]
  for (const CommName& each : comm_names())
    chains.push_back(
        &group.add(chain(once, OpKind::Backward), each.comm, one_block, calibration.link));
  group.run(profile);
  for (std::size_t comm = 0; comm < chains.size(); ++comm)
    profile.gaps[comm] = chain_gaps(*chains[comm]);
}

/// What goes with actions, of stages of so many blocks.
void measure_actions(const ExecutorMaker& make_executor, const Calibration& calibration, int blocks,
                     Profile& profile) {
  const BenchmarkShape few{calibration.ranks, 3};  // micro-batches
  const BenchmarkShape many{calibration.ranks, 8};
  Group group(make_executor, calibration);
  const auto add = [&](Schedule schedule) -> const Benchmark& {
    return group.add(std::move(schedule), Comm::Ideal, with_blocks(calibration.options, blocks),
                     calibration.link);
  };
  const StageBenchmarks benchmarks{.full_chain = add(chain(few, OpKind::Backward)),
                                   .split_chain = add(chain(few, OpKind::BackwardInput)),
                                   .waves = add(waves(many))};
  group.run(profile);
  for (LaunchGaps& gaps : profile.gaps)
    gaps.action_to_action = action_gap(benchmarks.waves);
  profile.noise = std::max(profile.noise, benchmarks.waves.noise());
  if (calibration.options.workload == Workload::Timed)
    profile.action_overrun = action_overrun(benchmarks.waves);
  else
    profile.stages.push_back(stage_times(benchmarks, blocks));
}

}  // namespace

Profile calibrate(const ExecutorMaker& make_executor, const Calibration& calibration) {
  Profile profile{
      .ranks = calibration.ranks, .options = calibration.options, .p2p = calibration.link.latency};
  measure_messages(make_executor, calibration, profile);
  for (const int chunks : calibration.chunks)
    if (calibration.options.shape.blocks % chunks == 0)
      measure_actions(make_executor, calibration, calibration.options.shape.blocks / chunks,
                      profile);
  return profile;
}

}  // namespace bubblescope
