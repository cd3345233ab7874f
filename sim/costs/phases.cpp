#include "sim/costs/phases.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <optional>
#include <string_view>

namespace bubblescope {
namespace {

constexpr std::size_t kQueues = 2;  // of computation with what it waits for, and of experts

std::size_t queue_of(PhaseStream stream) {
  return stream == PhaseStream::Expert ? 1 : 0;
}

int divide_rounded_up(int value, int divisor) {
  return (value + divisor - 1) / divisor;
}

/// A phase of one layer that waits for its turn on its stream, and for another launch.
struct Launch {
  const Phase* phase;
  PhaseTime time;
  PhaseSpan span;
};

constexpr std::uint32_t kNoPhase = PhaseSpan::kNone;

/// What an action launches, in order. Phases that a layer does not have are left out.
class Launches {
 public:
  void add(const LayerPhases& stage, std::size_t layer, std::size_t index) {
    const Phase& phase = stage.phases[index];
    const PhaseTime& time = stage.time(layer, index);
    if (phase.of == OpKind::BackwardInput)
      input_grads_[index] = last_input_grad_;
    if (time.elapsed == Time::zero())
      return;
    launches_.push_back({.phase = &phase,
                         .time = time,
                         .span = {.phase = static_cast<std::uint32_t>(index),
                                  .layer = static_cast<std::uint32_t>(layer),
                                  .stream = phase.stream,
                                  .after = input_of(phase),
                                  .alone = time.elapsed,
                                  .sent = phase.sent,
                                  .start = {},
                                  .end = {}}});
    const auto launch = static_cast<std::uint32_t>(launches_.size() - 1);
    if (phase.of == OpKind::Forward)
      last_forward_ = launch;
    if (phase.of == OpKind::BackwardInput)
      input_grads_[index] = last_input_grad_ = launch;
  }

  explicit Launches(std::size_t phases) : input_grads_(phases, kNoPhase) {}
  std::vector<Launch> take() { return std::move(launches_); }

 private:
  /// The launch that makes what `phase` reads; nothing where another action made it.
  std::uint32_t input_of(const Phase& phase) const {
    switch (phase.of) {
      case OpKind::Forward:
        return last_forward_;
      case OpKind::BackwardInput:
        return last_input_grad_;
      default:
        return phase.after == Phase::kNone ? kNoPhase
                                           : input_grads_[static_cast<std::size_t>(phase.after)];
    }
  }

  std::vector<Launch> launches_ = {};
  std::uint32_t last_forward_ = kNoPhase;
  std::uint32_t last_input_grad_ = kNoPhase;
  std::vector<std::uint32_t> input_grads_;  // [phase] of the layer at hand
};

/// Runs launches on their streams, from event to event; between two of them rates do not change.
class Streams {
 public:
  Streams(std::vector<Launch> launches, int sms)
      : launches_(std::move(launches)), has_ended_(launches_.size()), sms_(sms) {
    for (std::size_t i = 0; i < launches_.size(); ++i)
      waiting_[queue_of(launches_[i].phase->stream)].push_back(i);
  }

  PhaseRun run() {
    while (start_what_can() > 0)
      advance();
    PhaseRun result{.length = now_,
                    .compute = Time(std::llround(compute_)),
                    .communication = Time(std::llround(communication_)),
                    .overlap = Time(std::llround(overlap_))};
    for (const Launch& launch : launches_)
      result.spans.push_back(launch.span);
    return result;
  }

 private:
  struct Running {
    std::size_t launch = 0;
    Time left{};  // with nothing beside it
  };

  /// The phases that run then.
  std::size_t start_what_can() {
    std::size_t count = 0;
    for (std::size_t queue = 0; queue < kQueues; ++queue) {
      if (!running_[queue] && next_[queue] < waiting_[queue].size()) {
        Launch& launch = launches_[waiting_[queue][next_[queue]]];
        if (launch.span.after == kNoPhase || has_ended_[launch.span.after]) {
          launch.span.start = now_;
          running_[queue] = Running{waiting_[queue][next_[queue]++], launch.time.elapsed};
        }
      }
      count += running_[queue] ? 1U : 0U;
    }
    return count;
  }

  /// To the end of the phase, or phases, that end next.
  void advance() {
    Time step = Time::max();
    for (const auto& running : running_)
      if (running)
        step = std::min(step, until_end(*running));
    account(step);
    now_ += step;
    // The stream of experts comes last: it slows the other one, and nothing slows it.
    for (auto& running : running_) {
      if (!running)
        continue;
      if (until_end(*running) > step) {
        running->left -= Time(std::llround(static_cast<double>(step.count()) / slowdown(*running)));
        continue;
      }
      launches_[running->launch].span.end = now_;
      has_ended_[running->launch] = true;
      running.reset();
    }
  }

  Time until_end(const Running& running) const {
    return Time(std::llround(static_cast<double>(running.left.count()) * slowdown(running)));
  }

  double slowdown(const Running& running) const {
    const Phase& phase = *launches_[running.launch].phase;
    const auto& beside = running_[queue_of(PhaseStream::Expert)];
    if (sms_ == 0 || phase.stream != PhaseStream::Compute || !beside)
      return 1;
    return phase.slowdown.at(launches_[beside->launch].phase->sms, sms_);
  }

  /// Adds up what runs for `step`. A phase's kernels are spread evenly over it, whatever the other
  /// stream does.
  void account(Time step) {
    double computes = 0;
    double silent = 1;  // the share of `step` in which nothing communicates
    for (const auto& running : running_) {
      if (!running)
        continue;
      const Launch& launch = launches_[running->launch];
      const double busy = static_cast<double>(launch.time.busy.count()) /
                          static_cast<double>(launch.time.elapsed.count());
      if (launch.phase->stream == PhaseStream::Compute)
        computes = busy;
      else
        silent *= 1 - busy;
    }
    const auto ns = static_cast<double>(step.count());
    compute_ += ns * computes;
    communication_ += ns * (1 - silent);
    overlap_ += ns * computes * (1 - silent);
  }

  std::vector<Launch> launches_;
  std::vector<bool> has_ended_;  // [launch]
  int sms_;
  std::array<std::vector<std::size_t>, kQueues> waiting_ = {};  // launches, as they were launched
  std::array<std::size_t, kQueues> next_ = {};                  // in `waiting_`
  std::array<std::optional<Running>, kQueues> running_ = {};
  Time now_{};
  double compute_ = 0;  // ns
  double communication_ = 0;
  double overlap_ = 0;
};

bool is_part_of(OpKind part, OpKind action) {
  return part == action || (action == OpKind::Backward && part != OpKind::Forward);
}

}  // namespace

std::span<const std::string_view> phase_stream_names() {
  static constexpr std::string_view kNames[] = {"compute", "tensor", "expert"};
  return kNames;
}

double Slowdown::at(int held, int sms) const {
  assert(held < sms);
  switch (kind) {
    case Kind::None:
      return 1;
    case Kind::Shared:
      return static_cast<double>(sms) / (sms - held);
    case Kind::Waves:
      return static_cast<double>(divide_rounded_up(blocks, sms - held)) /
             divide_rounded_up(blocks, sms);
    case Kind::Factor:
      return held > 0 ? factor : 1;
    case Kind::Table:
      break;
  }
  std::pair<int, double> below = {0, 1.0};
  for (const auto& above : table) {
    if (held <= above.first) {
      const double share = static_cast<double>(held - below.first) / (above.first - below.first);
      return below.second + share * (above.second - below.second);
    }
    below = above;
  }
  return below.second;
}

PhaseRun run_phases(const LayerPhases& stage, OpKind kind) {
  Launches launches(stage.phases.size());
  for (std::size_t i = 0; i < stage.layers(); ++i) {
    const std::size_t layer = kind == OpKind::Forward ? i : stage.layers() - 1 - i;
    for (std::size_t phase = 0; phase < stage.phases.size(); ++phase)
      if (is_part_of(stage.phases[phase].of, kind))
        launches.add(stage, layer, phase);
  }
  return Streams(launches.take(), stage.sms).run();
}

PhaseRun run_pair(const LayerPhases& forward, const LayerPhases& backward) {
  assert(forward.phases.size() == backward.phases.size());
  Launches launches(forward.phases.size());
  const std::size_t layers = std::max(forward.layers(), backward.layers());
  for (std::size_t i = 0; i < layers; ++i)
    for (std::size_t phase = 0; phase < forward.phases.size(); ++phase) {
      const bool is_forward = forward.phases[phase].of == OpKind::Forward;
      if (is_forward && i < forward.layers())
        launches.add(forward, i, phase);
      if (!is_forward && i < backward.layers())
        launches.add(backward, backward.layers() - 1 - i, phase);
    }
  return Streams(launches.take(), forward.sms).run();
}

}  // namespace bubblescope
