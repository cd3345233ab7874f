#include "sim/transformer/analytic_costs.h"

#include <algorithm>
#include <bit>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/transformer/data_parallel.h"
#include "sim/transformer/host_costs.h"
#include "sim/transformer/layer_phases.h"
#include "sim/transformer/mixer_costs.h"

namespace bubblescope {
namespace {

Time to_time(double seconds) {
  return time_from_us(seconds * 1e6);
}

void add(LayerCost& sum, const LayerCost& part) {
  for (std::size_t i = 0; i < sum.size(); ++i)
    sum[i] += part[i];
}

/// The layer's messages to experts run beside what another micro-batch computes in such a layer.
void hide_dispatch(LayerCost& layer) {
  const auto is_message = [](std::size_t i) {
    return text_of(static_cast<PhaseId>(i)).stream == PhaseStream::Expert;
  };
  double messages = 0;
  for (std::size_t i = 0; i < layer.size(); ++i)
    messages += is_message(i) ? layer[i].seconds() : 0;
  double computes = 0;
  for (const OpKind kind : {OpKind::Forward, OpKind::BackwardInput, OpKind::BackwardWeight})
    computes += compute_seconds(layer, kind);
  const double hidden = messages > 0 ? std::min(1.0, computes / messages) : 0;
  for (std::size_t i = 0; i < layer.size(); ++i)
    if (is_message(i))
      layer[i] = layer[i].longer_than(hidden * layer[i].seconds());
}

/// What all stages are made of, computed once.
class Parts {
 public:
  explicit Parts(const LayerSetting& setting)
      : setting_(setting),
        embedding_(embedding_cost(setting)),
        head_(head_cost(setting)),
        whole_(without_recompute(setting.training)),
        prediction_(prediction_cost(setting.training.recomputed_layers ? unreduced() : setting)) {
    for (const LayerKind& kind : setting.model.kinds) {
      kinds_.push_back(layer_of(setting, kind));
      if (setting.training.recomputed_layers)
        kept_kinds_.push_back(layer_of(unreduced(), kind));
    }
  }

  /// One for each layer of a stage. The embedding goes with the first and the head with the last;
  /// a stage without layers has one that has nothing else.
  std::vector<StageLayer> layers(const StageLayers& stage) const {
    const Model& model = setting_.model;
    std::vector<StageLayer> result;
    for (std::int64_t i = 0; i < stage.layers; ++i) {
      const auto& kinds = setting_.training.recomputes(i) ? kinds_ : kept_kinds_;
      result.push_back(kinds[model.layers[static_cast<std::size_t>(stage.first + i)]]);
    }
    for (std::int64_t i = 0; i < stage.predictions; ++i) {
      const auto& kinds = setting_.training.recomputed_layers ? kept_kinds_ : kinds_;
      result.push_back(kinds[model.predictions[static_cast<std::size_t>(i)]]);
      add(result.back().cost, prediction_);
      add(result.back().cost, head_);
    }
    if (result.empty())
      result.emplace_back();
    if (stage.embedding)
      add(result.front().cost, embedding_);
    if (stage.head)
      add(result.back().cost, head_);
    const std::vector<Parameters> parameters = layer_parameters(setting_, stage);
    for (std::size_t i = 0; i < result.size(); ++i)
      add_what_zero_divides(result[i].cost, parameters[i]);
    add_host_of_action(setting_, result.front().cost);
    return result;
  }

 private:
  LayerSetting unreduced() const {
    return {setting_.model, setting_.hardware, setting_.parallel, whole_};
  }

  static StageLayer layer_of(const LayerSetting& setting, const LayerKind& kind) {
    StageLayer layer = {layer_cost(setting, kind), mixer_word(kind)};
    if (setting.training.dispatch_overlap)
      hide_dispatch(layer.cost);
    add_host(setting, kind, layer.cost);
    return layer;
  }

  /// A layer's parameters are gathered while the one before computes, and its gradients reduced
  /// while the next one does: what takes longer is seen.
  void add_what_zero_divides(LayerCost& layer, const Parameters& parameters) const {
    const auto put = [&](PhaseId id, const PhaseCost& cost) {
      layer[static_cast<std::size_t>(id)] =
          cost.longer_than(compute_seconds(layer, text_of(id).of));
    };
    if (setting_.training.zero >= 2)
      put(PhaseId::ReduceW, reduce_gradients(setting_, parameters));
    if (setting_.training.zero >= 3)
      for (const PhaseId id : {PhaseId::GatherF, PhaseId::GatherB})
        put(id, gather_parameters(setting_, parameters));
  }

  const LayerSetting& setting_;
  std::vector<StageLayer> kinds_ = {};       // [Model::kinds]
  std::vector<StageLayer> kept_kinds_ = {};  // likewise, of layers that are not recomputed
  LayerCost embedding_;
  LayerCost head_;
  Training whole_;  // with everything kept
  LayerCost prediction_;
};

/// Seconds of a gather that the stage's first forward does not hide. The first layer's parameters
/// are waited for, and NCCL slows down what runs beside.
double exposed_gather(const LayerSetting& setting, double gather,
                      const std::vector<StageLayer>& layers) {
  constexpr double kHiddenPart = 0.9;
  if (!setting.training.gather_overlap)
    return gather;
  double forward = 0;
  for (const StageLayer& layer : layers)
    forward += compute_seconds(layer.cost, OpKind::Forward);
  return std::max(gather - kHiddenPart * forward, gather / static_cast<double>(layers.size()));
}

LayerPhases to_phases(const ModelJob& job, const std::vector<MixerPhase>& order,
                      const std::vector<StageLayer>& layers) {
  LayerPhases result{.phases = analytic_phases(job), .sms = job.hardware.sms};
  for (const StageLayer& layer : layers)
    for (std::size_t i = 0; i < order.size(); ++i) {
      const PhaseCost& cost = layer[order[i]];
      Phase& phase = result.phases[i];
      if (phase.stream == PhaseStream::Expert)
        phase.sent = std::max(phase.sent, static_cast<Bytes>(cost.traffic));
      const Time elapsed = to_time(cost.seconds());
      result.times.push_back({elapsed, std::min(elapsed, to_time(cost.seconds() - cost.gaps))});
    }
  return result;
}

StageCost to_stage_cost(LayerPhases phases, const StageMemory& memory, Bytes message) {
  StageCost stage;
  stage.phases = std::move(phases);
  stage.timed_by_phases = true;
  stage.activation = memory.activation;
  stage.activation_after_input_grad = memory.activation_after_input_grad;
  stage.weights = memory.weights();
  stage.message = message;
  return stage;
}

std::string describe(const ModelJob& job, const StageLayout& layout) {
  const Parallel& parallel = job.parallel;
  const Training& training = job.training;
  return fmt::format(
      "computed from {} on {}: tp={}, ep={}, dp={}, cp={}, {} × {} tokens, {}; layout {} (layers: "
      "{}). Model: {}. Hardware: {}",
      job.model.name, job.hardware.name, parallel.tensor, parallel.expert, parallel.data,
      parallel.context, training.microbatch, training.sequence,
      training.precision == Precision::Fp8 ? "fp8" : "bf16", to_text(layout), layer_counts(layout),
      job.model.description, job.hardware.description);
}

/// Each GPU sends what it holds to that of its place in the next stage.
void lay_links(const ModelJob& job, CostSource& source) {
  const Hardware& hardware = job.hardware;
  const Link nvlink = {hardware.nvlink_latency,
                       hardware.nvlink_bandwidth * hardware.efficiency.nvlink};
  const Link nic = {hardware.nic_latency, hardware.nic_bandwidth * hardware.efficiency.network};
  const Network network{.ranks_per_node = ranks_per_node(job),
                        .intra_node = {nvlink, job.nodes.nvlink},
                        .inter_node = {nic, job.nodes.nic}};
  if (network.ranks_per_node > 1 || network.is_shared())
    source.network = network;
  else
    source.link = nic;
}

/// FLOPs of a micro-batch's forward through the model; fused attention leaves out what is above the
/// diagonal.
double forward_flops(const ModelJob& job, AttentionKernels attention) {
  ModelJob whole{.model = job.model, .hardware = job.hardware, .training = job.training};
  whole.training.attention = attention;
  whole.training.expert_imbalance = 1;
  const std::vector<Phase> phases = analytic_phases(whole);
  const AnalyticCosts costs = analytic_costs(whole, 1);
  double forward = 0;
  for (std::size_t i = 0; i < phases.size(); ++i)
    if (phases[i].of == OpKind::Forward)
      forward += costs.stages[0].phases[i].flops;
  return forward;
}

/// Throws Error unless heads can be divided over so many GPUs.
void check_heads(const ModelJob& job, std::int64_t gpus) {
  for (const LayerKind& kind : job.model.kinds)
    for (const Mixer& mixer : kind.mixers)
      if (const auto* attention = std::get_if<Attention>(&mixer);
          attention != nullptr && attention->heads % gpus != 0)
        throw Error(fmt::format("cp × tp = {} does not divide the {} heads of {}", gpus,
                                attention->heads, job.model.name));
}

}  // namespace

void check_precision(const ModelJob& job) {
  if (job.training.precision == Precision::Fp8 && job.hardware.fp8_flops <= 0)
    throw Error(fmt::format("{} has no fp8", job.hardware.name));
}

void check_training(const ModelJob& job) {
  const Training& training = job.training;
  if (training.attention == AttentionKernels::Fp8 && training.precision != Precision::Fp8)
    throw Error("attention in fp8 needs precision fp8");
  if (training.expert_imbalance > 1 && (job.parallel.expert == 1 || !job.model.has_experts()))
    throw Error("experts on one GPU have no fullest one: an imbalance needs ep > 1");
  if (training.expert_imbalance > static_cast<double>(job.parallel.expert))
    throw Error(fmt::format("the fullest of {} GPUs has at most {} times the mean, and not {:g}",
                            job.parallel.expert, job.parallel.expert, training.expert_imbalance));
}

void check_sequence(const ModelJob& job) {
  const std::int64_t divisor = job.parallel.context * job.parallel.tensor;
  const std::int64_t tokens = job.training.sequence;
  const Model& model = job.model;
  if (tokens % divisor != 0)
    throw Error(
        fmt::format("cp × tp = {} does not divide the sequence of {} tokens", divisor, tokens));
  if (!job.training.sequence_parallel && job.parallel.tensor > 1 && job.parallel.expert > 1)
    throw Error(
        fmt::format("ep={} beside tp={} needs sequence parallelism, which gives each GPU "
                    "tokens of its own to send to experts",
                    job.parallel.expert, job.parallel.tensor));
  if (job.training.context == ContextMessages::AllToAll)
    check_heads(job, divisor);
  if (model.learned_positions > 0 && tokens > model.learned_positions)
    throw Error(fmt::format("a sequence of {} tokens is longer than the {} positions of {}", tokens,
                            model.learned_positions, model.name));
}

void check_nodes(const ModelJob& job) {
  const std::int64_t ranks = job.nodes.ranks_per_node.value_or(1);
  const std::int64_t each = job.parallel.gpus_per_stage();
  if (ranks > 1 && ranks > job.hardware.gpus_per_node / each)
    throw Error(fmt::format("{} ranks of {} GPU{} are more than the {} GPUs of a node of {}", ranks,
                            each, each == 1 ? "" : "s", job.hardware.gpus_per_node,
                            job.hardware.name));
}

int ranks_per_node(const ModelJob& job) {
  const auto present = static_cast<std::uint64_t>(job.hardware.gpus_per_node);
  const auto needed = static_cast<std::uint64_t>(job.parallel.gpus_per_stage());
  // Jobs use 64 GPUs of a domain of 72, unless they can use all.
  const std::uint64_t used = present % needed == 0 ? present : std::bit_floor(present);
  const std::uint64_t whole = used % needed == 0 ? used / needed : 1;
  return job.nodes.ranks_per_node.value_or(static_cast<int>(whole));
}

AnalyticCosts analytic_costs(const ModelJob& job, int stages) {
  check(job.parallel, job.model);
  check_precision(job);
  check_sequence(job);
  check_nodes(job);
  AnalyticCosts result;
  result.layout = job.layout ? *job.layout : even_layout(job.model, stages);
  if (result.layout.size() != static_cast<std::size_t>(stages))
    throw Error(fmt::format("the layout is for {} stages, and the pipe has {}",
                            result.layout.size(), stages));
  const LayerSetting setting = {job.model, job.hardware, job.parallel, job.training};
  const std::vector<MixerPhase> order = phases_of(job);
  const Parts parts(setting);
  result.model = describe(job.model);
  result.estimated = estimated_mixers(job.model);
  CostSource& source = result.source;
  source.name = fmt::format("{} on {}", job.model.name, job.hardware.name);
  source.description = describe(job, result.layout);
  source.stage_by_stage = true;
  source.layers_per_stage = static_cast<double>(job.model.depth()) / stages;
  for (std::size_t i = 0; i < result.layout.size(); ++i) {
    const std::vector<StageLayer> layers = parts.layers(result.layout[i]);
    AnalyticStage stage{.layers = result.layout[i],
                        .memory = stage_memory(setting, result.layout, i)};
    for (const MixerPhase& phase : order) {
      PhaseCost sum;
      for (const StageLayer& layer : layers)
        sum += layer[phase];
      stage.phases.push_back(sum);
    }
    source.stages.push_back(
        to_stage_cost(to_phases(job, order, layers), stage.memory, message_bytes(setting)));
    const StageUpdate update = stage_update(setting, stage_parameters(setting, result.layout[i]));
    source.stages.back().grad_reduce = to_time(update.reduce);
    source.stages.back().optimizer =
        to_time(update.optimizer + exposed_gather(setting, update.gather, layers)) +
        (i == 0 ? job.hardware.host.step : Time{});
    result.stages.push_back(std::move(stage));
  }
  lay_links(job, source);
  return result;
}

StepWork step_work(const ModelJob& job, int ranks, int microbatches) {
  const Training& training = job.training;
  const auto of_stage = static_cast<double>(job.parallel.gpus_per_stage());
  const double passes = 3 * static_cast<double>(job.parallel.data) * microbatches;
  StepWork work{.gpus = ranks * job.parallel.gpus_per_stage()};
  work.tokens = static_cast<double>(training.microbatch * training.sequence * job.parallel.data) *
                microbatches;
  work.flops = passes * forward_flops(job, AttentionKernels::Flash);
  work.flops_full_attention = passes * forward_flops(job, AttentionKernels::Unfused);
  work.peak =
      of_stage * ranks *
      (training.precision == Precision::Fp8 ? job.hardware.fp8_flops : job.hardware.bf16_flops);
  return work;
}

std::optional<std::string> find_obstacle(const ModelJob& job, int stages) {
  try {
    analytic_costs(job, stages);
  } catch (const Error& error) {
    return error.what();
  }
  return std::nullopt;
}

}  // namespace bubblescope
