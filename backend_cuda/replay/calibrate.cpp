#include "backend_cuda/replay/calibrate.h"

#include <algorithm>
#include <vector>

#include "backend_cuda/replay/benchmark.h"
#include "backend_cuda/replay/link_benchmarks.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

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
      if (plan.rank_of(before) == plan.rank_of(id) && is_weight(before) && is_weight(id))
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

/// What goes with messages. A block a stage is enough for that.
void measure_messages(const ExecutorMaker& make_executor, const Calibration& calibration,
                      Profile& profile) {
  const BenchmarkShape once{calibration.ranks, 1};
  const ExecutorOptions one_block = with_blocks(calibration.options, 1);
  const CostSource costs = benchmark_costs(calibration, profile);
  BenchmarkGroup group(make_executor, calibration);
  std::vector<const Benchmark*> chains;  // [Comm]
  for (const CommName& each : comm_names())
    chains.push_back(&group.add(chain(once, OpKind::Backward), each.comm, costs, one_block));
  group.run(profile);
  for (std::size_t comm = 0; comm < chains.size(); ++comm)
    profile.gaps[comm] = chain_gaps(*chains[comm]);
}

/// What goes with actions, of stages of so many blocks.
void measure_actions(const ExecutorMaker& make_executor, const Calibration& calibration, int blocks,
                     Profile& profile) {
  const BenchmarkShape few{calibration.ranks, 3};  // micro-batches
  const BenchmarkShape many{calibration.ranks, 8};
  const CostSource costs = benchmark_costs(calibration, profile);
  BenchmarkGroup group(make_executor, calibration);
  const auto add = [&](Schedule schedule) -> const Benchmark& {
    // Between processes ideal messages are awaited from the beginning, and hold SMs all the time.
    return group.add(std::move(schedule), profile.links ? Comm::Stream : Comm::Ideal, costs,
                     with_blocks(calibration.options, blocks));
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
  if (!calibration.node_of_rank.empty()) {
    profile.links = measure_links(make_executor, calibration, profile);
    const bool sends = profile.links->same_node || profile.links->across;
    if (sends && calibration.options.workload == Workload::Tensors)
      profile.contention = measure_contention(make_executor, calibration, profile);
  }
  measure_messages(make_executor, calibration, profile);
  for (const int chunks : calibration.chunks)
    if (calibration.options.shape.blocks % chunks == 0)
      measure_actions(make_executor, calibration, calibration.options.shape.blocks / chunks,
                      profile);
  return profile;
}

}  // namespace bubblescope
