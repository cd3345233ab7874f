#include "tools/measure.h"

#include <algorithm>
#include <ctime>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "backend_cuda/replay/plan.h"
#include "sim/base/error.h"
#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"
#include "sim/program/program_check.h"
#include "tools/errors.h"
#include "tools/executors.h"
#include "tools/interrupt.h"

namespace bubblescope {
namespace {

RunRecord make_record(const Plan& plan, const RunTimes& times, std::string source) {
  const Schedule& schedule = plan.schedule();
  const Time origin = origin_of(plan, times);
  const auto moment = [&](Time time) {
    return time == kNever ? kNever : std::max(time - origin, Time::zero());
  };
  const auto record = [&](const Span& span) { return Span{moment(span.start), moment(span.end)}; };
  RunRecord out{.schedule = schedule.name,
                .ranks = plan.ranks(),
                .microbatches = schedule.microbatches,
                .source = std::move(source)};
  for (std::size_t i = 0; i < schedule.actions.size(); ++i) {
    const InstructionId id = plan.instruction_of_action[i];
    out.actions.push_back({plan.rank_of(id), schedule.actions[i], record(times.instructions[id])});
  }
  for (MessageId id = 0; id < plan.messages.size(); ++id) {
    const PlanMessage& message = plan.messages[id];
    out.messages.push_back({message.sent, message.from, message.to, record(times.messages[id])});
    if (!plan.is_eager)
      out.messages.back().awaited_since = moment(times.instructions[message.receive].start);
  }
  return out;
}

Measurement describe(const MachineChoice& machine, const Replay& replayed,
                     const GlobalOptions& global) {
  Measurement out{static_cast<const MeasuredSteps&>(replayed),
                  std::string(to_string(machine.backend)),
                  machine.has_tensors() ? "tensors" : "timed", machine.has_virtual_clock()};
  if (!out.virtual_clock) {
    out.command = global.command;
    out.date = now_in_utc();
  }
  return out;
}

/// Where the trace of a fault went, as a line of its message.
std::string save(const RunRecord& record, const TraceOption& trace) {
  try {
    return fmt::format("\n  how far it came stands in {}", trace.write_partial(record));
  } catch (const Error& error) {
    return fmt::format("\n  its trace is lost: {}", error.what());
  }
}

std::unique_ptr<Executor> make_executor(const Plan& plan, const MeasureOptions& options) {
  ExecutorOptions executor_options =
      options.machine.executor_for(plan.schedule().placement.chunks());
  if (!options.machine.injection.empty())
    executor_options.injection = parse_injection(options.machine.injection, plan.schedule());
  if (options.job == nullptr)
    return make_executor(options.machine.backend, plan, executor_options);
  return make_executor(*options.job, plan, executor_options);
}

/// Throws Error where the job's ranks lie on other nodes than those that were measured.
void require_layout(const Profile& profile, const Job& job) {
  if (!profile.links)
    return;
  const int replicas = job.seat.world / profile.ranks;
  const std::vector<std::int32_t> nodes = nodes_of_ranks(job, profile.ranks);
  if (nodes != profile.links->node_of_rank || replicas != profile.links->replicas)
    throw Error(fmt::format(
        "the profile was measured with {} replicas and ranks on nodes {}, and now there are {} on "
        "nodes {}: calibrate again",
        profile.links->replicas, fmt::join(profile.links->node_of_rank, ","), replicas,
        fmt::join(nodes, ",")));
}

Replay run(const Plan& plan, const MeasureOptions& options, Progress& progress) {
  if (options.job != nullptr && options.machine.profile)
    require_layout(*options.machine.profile, *options.job);
  const auto executor = make_executor(plan, options);
  if (const auto& profile = options.machine.profile)
    if (const auto what = other_partitions(profile->machine, executor->machine()))
      throw Error(fmt::format("{}: the profile is of other partitions: {}: calibrate again",
                              plan.schedule().name, *what));
  progress.now(fmt::format("{}: replaying", plan.schedule().name));
  const InterruptGuard guard;
  ReplayOptions replay_options = options.machine.replay;
  replay_options.interrupted = &guard.seen();
  try {
    return replay(plan, *executor, replay_options);
  } catch (const ReplayFault& fault) {
    const std::string what = fmt::format("{}: {}", plan.schedule().name, fault.what());
    if (!options.trace.is_given() || !options.tells())
      throw ReplayFault(what, fault.times());
    RunRecord record =
        make_record(plan, fault.times(), executor->machine().front().second + ", cut short");
    record.fault = fault.what();
    throw ReplayFault(what + save(record, options.trace), fault.times());
  }
}

/// Runs what would be refused, to see the fault.
[[noreturn]] void run_unsound(const PostedProgram& program, const Scenario& scenario,
                              const MeasureOptions& options, Progress& progress) {
  const CostModel costs = costs_for(program, scenario);
  const Plan plan = make_plan(program, costs);
  run(plan, options, progress);
  throw Error(
      fmt::format("{}: it came to its end, though it is unsound: without --no-check it is "
                  "told why",
                  program.schedule.name));
}

}  // namespace

std::string now_in_utc() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
}

SubjectRules subject_rules(const MachineChoice& machine, const CostCommandOptions& costs) {
  SubjectRules rules{.soundness = machine.is_checked ? Soundness::All : Soundness::Orders};
  if (machine.profile)
    rules.links = machine.profile->links;
  if (!machine.profile || !machine.has_tensors())
    return rules;
  // What a message takes beside its copy is measured at one latency.
  if (const auto p2p = costs.latency_alone();
      p2p && !machine.profile->links && *p2p != machine.profile->p2p)
    throw UsageError(
        fmt::format("--p2p: the profile was measured with {:g}us: calibrate with yours",
                    to_us(machine.profile->p2p)),
        {"--p2p"});
  rules.costs = [&machine](const Placement& placement) {
    const int blocks = machine.executor_for(placement.chunks()).shape.blocks;
    return costs_of(*machine.profile, placement, blocks);
  };
  return rules;
}

void note_what_is_not_run(const SubjectOptions& options, std::span<const Subject> subjects,
                          const GlobalOptions& global) {
  if (options.costs.iteration.is_given())
    global.note(
        "--grad-reduce, --optimizer, --reduce and --optimizer-sync are of an iteration, of which "
        "the step alone is run");
  const bool is_limited = std::any_of(subjects.begin(), subjects.end(), [](const Subject& each) {
    return each.source.is_searched();
  });
  if (options.limits.memory_limit.is_given() && !is_limited)
    global.note("--memory-limit: no run is held to it; simulate says what fits");
}

Measured measure(Subject subject, const MeasureOptions& options, const GlobalOptions& global,
                 Progress& progress) {
  ScheduledProgram scheduled = subject.take_program(progress);
  if (!options.machine.is_checked &&
      (find_fault(scheduled.program) || !can_run(lower(scheduled.program))))
    run_unsound(scheduled.program, subject.scenario, options, progress);
  Measured out{predict(std::move(scheduled), subject.scenario, progress), {}, {}, {}};
  DependencyGraph& graph = out.prediction.graph;
  if (const auto& profile = options.machine.profile) {
    const int chunks = graph.schedule().placement.chunks();
    const int blocks = options.machine.executor_for(chunks).shape.blocks;
    out.prediction.timeline = simulate_on(*profile, graph, blocks);
  }
  const Plan plan = make_plan(graph.posted(), graph.costs());
  const Replay replayed = run(plan, options, progress);
  out.measurement = describe(options.machine, replayed, global);
  const std::string source = out.measurement.device();
  out.timeline = to_timeline(graph, plan, replayed.times, source);
  out.record = make_record(plan, replayed.times, source);
  return out;
}

}  // namespace bubblescope
