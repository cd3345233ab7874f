#include "analysis/plan/split_costs.h"

#include <algorithm>

#include "sim/transformer/analytic_costs.h"

namespace bubblescope {
namespace {

constexpr Time kNoPair = Time::min();

/// Whether two stages between the ends of a pipe hold alike.
bool hold_alike(const Model& model, const StageLayers& one, const StageLayers& other) {
  if (one.layers != other.layers || one.predictions != other.predictions ||
      one.embedding != other.embedding || one.head != other.head)
    return false;
  const auto layers = model.layers.begin();
  return std::equal(layers + one.first, layers + one.first + one.layers, layers + other.first);
}

/// One stage of each kind, the first and the last of the pipe in their places.
struct Kinds {
  StageLayout layout = {};
  std::vector<std::uint32_t> kind_of_stage = {};  // [position]
};

Kinds kinds_of(const Model& model, const StageLayout& layout) {
  Kinds kinds;
  for (std::size_t i = 0; i < layout.size(); ++i) {
    std::size_t kind = kinds.layout.size();
    if (i > 0 && i + 1 < layout.size())
      for (std::size_t known = 1; known < kinds.layout.size(); ++known)
        if (hold_alike(model, kinds.layout[known], layout[i])) {
          kind = known;
          break;
        }
    if (kind == kinds.layout.size())
      kinds.layout.push_back(layout[i]);
    kinds.kind_of_stage.push_back(static_cast<std::uint32_t>(kind));
  }
  return kinds;
}

/// Time in which ops of these kinds compute, in turn with the tensor group's collectives.
Time stream_work(const LayerPhases& stage, bool is_forward) {
  Time work{};
  for (std::size_t phase = 0; phase < stage.phases.size(); ++phase)
    if (stage.phases[phase].stream != PhaseStream::Expert &&
        (stage.phases[phase].of == OpKind::Forward) == is_forward)
      for (std::size_t layer = 0; layer < stage.layers(); ++layer)
        work += stage.time(layer, phase).elapsed;
  return work;
}

StageFigures figures_of(const StageCost& cost) {
  StageFigures figures{
      .forward_work = stream_work(cost.phases, true),
      .backward_work = stream_work(cost.phases, false),
      .activation = *cost.activation,
      .rest = cost.activation_after_input_grad.value_or(*cost.activation),
      .weights = *cost.weights,
      .message = cost.message,
      .grad_reduce = cost.grad_reduce,
      .optimizer = cost.optimizer,
      .layers = std::max<std::int64_t>(1, static_cast<std::int64_t>(cost.phases.layers()))};
  for (std::uint32_t kind = 0; kind < kOpKinds; ++kind)
    figures.times[kind] = run_phases(cost.phases, static_cast<OpKind>(kind)).length;
  return figures;
}

}  // namespace

SplitCosts::SplitCosts(const ModelJob& job, const StageLayout& layout) {
  Kinds kinds = kinds_of(job.model, layout);
  kind_of_stage_ = std::move(kinds.kind_of_stage);
  const std::size_t count = kinds.layout.size();
  ModelJob compressed = job;
  compressed.layout = std::move(kinds.layout);
  source_ = analytic_costs(compressed, static_cast<int>(count)).source;
  for (const StageCost& stage : source_.stages)
    figures_.push_back(figures_of(stage));
  pairs_.assign(count * count, kNoPair);
}

Time SplitCosts::pair(std::size_t forward, std::size_t backward) {
  const std::uint32_t of_forward = kind_of_stage_[forward];
  const std::uint32_t of_backward = kind_of_stage_[backward];
  Time& time = pairs_[of_forward * figures_.size() + of_backward];
  if (time == kNoPair)
    time = run_pair(source_.stages[of_forward].phases, source_.stages[of_backward].phases).length;
  return time;
}

Time SplitCosts::hop(Rank from, Rank to, Bytes bytes) const {
  if (from == to)
    return Time::zero();
  return message_time(source_.network ? source_.network->route(from, to).alone : source_.link,
                      bytes);
}

std::vector<Bytes> weights_by_stage(const ModelJob& job, const StageLayout& layout) {
  const LayerSetting setting = {job.model, job.hardware, job.parallel, job.training};
  const Kinds kinds = kinds_of(job.model, layout);
  std::vector<Bytes> of_kind;
  for (std::size_t kind = 0; kind < kinds.layout.size(); ++kind)
    of_kind.push_back(stage_memory(setting, kinds.layout, kind).weights());
  std::vector<Bytes> weights;
  for (const std::uint32_t kind : kinds.kind_of_stage)
    weights.push_back(of_kind[kind]);
  return weights;
}

}  // namespace bubblescope
