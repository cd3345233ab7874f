#include "backend_cuda/replay/replay.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/replay/watch.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPatience{20};

/// The actions' first start and last end.
Span step_of(const Plan& plan, const RunTimes& times) {
  Span step = kNoSpan;
  for (const InstructionId id : plan.instruction_of_action) {
    const Span& span = times.instructions[id];
    if (span.start != kNever)
      step.start = std::min(step.start, span.start);
    step.end = std::max(step.end, span.end);
  }
  return step;
}

[[noreturn]] void abort_step(const Plan& plan, Executor& executor, const std::string& why,
                             bool is_stalled) {
  executor.abort();
  RunTimes times = executor.times();
  std::string what = why;
  if (is_stalled)
    what += "\n" + describe_stall(plan, times);
  throw ReplayFault(what, std::move(times));
}

void stop_if_interrupted(const Plan& plan, Executor& executor, const ReplayOptions& options) {
  if (options.interrupted == nullptr || !*options.interrupted)
    return;
  const auto give_up = steady_clock::now() + options.fault_grace;
  while (steady_clock::now() < give_up && !executor.wait(kPatience)) {
  }
  abort_step(plan, executor, "interrupted", false);
}

/// Waits for the step that the executor has begun, as long as it goes on.
void watch(const Plan& plan, Executor& executor, const ReplayOptions& options) {
  Watch watch;
  while (!executor.wait(kPatience)) {
    watch.look();
    stop_if_interrupted(plan, executor, options);
    if (watch.is_over(executor.ended(), options.timeout))
      abort_step(plan, executor,
                 fmt::format("for {:g} s nothing went on, after {} of {} instructions:",
                             static_cast<double>(options.timeout.count()) / 1e3, watch.ended(),
                             plan.instructions.size()),
                 true);
  }
}

void run_step(const Plan& plan, Executor& executor, const ReplayOptions& options) {
  try {
    executor.start();
    watch(plan, executor, options);
    stop_if_interrupted(plan, executor, options);  // also where steps are short
  } catch (const ReplayFault&) {
    throw;
  } catch (const DeviceError& error) {
    abort_step(plan, executor, error.what(), false);
  }
}

}  // namespace

Time origin_of(const Plan& plan, const RunTimes& times) {
  return step_of(plan, times).start;
}

Replay replay(const Plan& plan, Executor& executor, const ReplayOptions& options) {
  Replay replay;
  for (int i = 0; i < options.warm_ups; ++i)
    run_step(plan, executor, options);
  if (options.warm_ups > 0)
    executor.end_warm_up();
  std::vector<RunTimes> runs;
  for (int i = 0; i < options.repeats; ++i) {
    run_step(plan, executor, options);
    runs.push_back(executor.times());
    replay.step_times.push_back(step_of(plan, runs.back()).length());
    replay.clock_uncertainty = std::max(replay.clock_uncertainty, executor.clock_uncertainty());
  }
  const auto median =
      std::find(replay.step_times.begin(), replay.step_times.end(), replay.step_time());
  replay.times = std::move(runs[static_cast<std::size_t>(median - replay.step_times.begin())]);
  replay.machine = executor.machine();
  if (options.check_parity)
    replay.parity = executor.parity();
  stop_if_interrupted(plan, executor, options);
  return replay;
}

Timeline to_timeline(const DependencyGraph& graph, const Plan& plan, const RunTimes& times,
                     std::string source) {
  const Span step = step_of(plan, times);
  const OutputNumbers number(plan.schedule().placement, plan.schedule().microbatches);
  std::vector<MessageId> message_of(graph.messages().empty() ? 0 : number.size());
  for (MessageId id = 0; !message_of.empty() && id < plan.messages.size(); ++id)
    message_of[number[plan.messages[id].sent]] = id;
  const auto moment = [&](Time time) { return time == kNever ? step.length() : time - step.start; };
  Timeline timeline{.source = std::move(source), .spans = FlatArray<Span>(graph.size())};
  for (NodeId node = 0; node < graph.size(); ++node) {
    const Span& span =
        graph.is_message(node)
            ? times.messages[message_of[number[graph.message(node).output]]]
            : times.instructions[plan.instruction_of_action[graph.action_index()[node]]];
    timeline.spans[node] = {moment(span.start), moment(span.end)};
  }
  return timeline;
}

}  // namespace bubblescope
