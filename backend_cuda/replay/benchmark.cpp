#include "backend_cuda/replay/benchmark.h"

#include <algorithm>
#include <utility>

#include "sim/base/statistics.h"
#include "sim/program/posting.h"

namespace bubblescope {
namespace {

Position position_of(const Placement& placement, Stage stage) {
  if (stage == 0)
    return Position::First;
  return stage == placement.depth - 1 ? Position::Last : Position::Middle;
}

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

}  // namespace

Time Sample::median() const {
  return times_.empty() ? Time::zero() : lower_median(times_);
}

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

Benchmark::Benchmark(const ExecutorMaker& make_executor, PostedProgram made,
                     const CostSource& costs, const ExecutorOptions& options)
    : costs_(costs, made.schedule.placement, {.per = CostPer::OneStage}),
      plan_(make_plan(std::move(made), costs_)),
      executor_(make_executor(plan_, options)) {}

void Benchmark::end_warm_up() {
  runs_.clear();
  executor_->end_warm_up();
}

Time Benchmark::op_time(OpKind kind, Position position) const {
  Sample sample;
  for_each_action([&](const Instruction& instruction, const Span& span) {
    const Op& op = plan_.action(instruction).op();
    if (op.kind() == kind && position_of(placement(), op.stage()) == position)
      sample.add(span.length());
  });
  return sample.median();
}

double Benchmark::noise() const {
  MeasuredSteps all;
  for (const MeasuredSteps& run : runs_)
    all.step_times.insert(all.step_times.end(), run.step_times.begin(), run.step_times.end());
  return all.noise();
}

const Benchmark& BenchmarkGroup::add(Schedule schedule, Comm comm, const CostSource& costs,
                                     const ExecutorOptions& options) {
  benchmarks_.emplace_back(make_executor_, post_messages(std::move(schedule), comm), costs,
                           options);
  return benchmarks_.back();
}

void BenchmarkGroup::run(Profile& profile) {
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

CostSource benchmark_costs(const Calibration& calibration, const Profile& profile) {
  const Time action = calibration.action;
  CostSource costs{.name = "calibration",
                   .stages = {{.forward = action, .input_grad = action, .weight_grad = action}},
                   .link = calibration.link};
  if (!profile.links)
    return costs;
  if (calibration.options.workload == Workload::Tensors)
    costs.stages.front().message = calibration.options.shape.message_bytes();
  lay_links(*profile.links, costs);
  return costs;
}

ExecutorOptions with_blocks(ExecutorOptions options, int blocks) {
  options.shape.blocks = blocks;
  return options;
}

}  // namespace bubblescope
