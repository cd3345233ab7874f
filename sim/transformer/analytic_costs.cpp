#include "sim/transformer/analytic_costs.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/transformer/data_parallel.h"

namespace bubblescope {
namespace {

/// What a phase is called and where it belongs; [PhaseId].
struct PhaseText {
  const char* name;
  OpKind of;
  PhaseStream stream;
  std::optional<PhaseId> after = {};
};

constexpr OpKind kF = OpKind::Forward;
constexpr OpKind kI = OpKind::BackwardInput;
constexpr OpKind kW = OpKind::BackwardWeight;
constexpr PhaseStream kCompute = PhaseStream::Compute;
constexpr PhaseStream kTensor = PhaseStream::Tensor;
constexpr PhaseStream kExpert = PhaseStream::Expert;

const PhaseText& text_of(PhaseId id) {
  static constexpr std::array<PhaseText, kPhaseIds> kTexts = {{
      {"head(B)", kI, kCompute},
      {"head(W)", kW, kCompute, PhaseId::HeadB},
      {"embedding(F)", kF, kCompute},
      {"gather(B)", kI, kTensor},
      {"recompute_attn(B)", kI, kCompute},
      {"recompute_tp_attn(B)", kI, kTensor},
      {"recompute_cp_ring(B)", kI, kTensor},
      {"recompute_dispatch(B)", kI, kExpert},
      {"recompute_mlp(B)", kI, kCompute},
      {"recompute_tp_mlp(B)", kI, kTensor},
      {"recompute_combine(B)", kI, kExpert},
      {"combine(B)", kI, kExpert},
      {"gather(F)", kF, kTensor},
      {"attn(F)", kF, kCompute},
      {"tp_attn(F)", kF, kTensor},
      {"cp_ring(F)", kF, kTensor},
      {"mlp(B)", kI, kCompute},
      {"tp_mlp(B)", kI, kTensor},
      {"dispatch(F)", kF, kExpert},
      {"dispatch(B)", kI, kExpert},
      {"mlp(W)", kW, kCompute, PhaseId::MlpB},
      {"mlp(F)", kF, kCompute},
      {"tp_mlp(F)", kF, kTensor},
      {"attn(B)", kI, kCompute},
      {"tp_attn(B)", kI, kTensor},
      {"cp_ring(B)", kI, kTensor},
      {"combine(F)", kF, kExpert},
      {"attn(W)", kW, kCompute, PhaseId::AttentionB},
      {"reduce(W)", kW, kTensor, PhaseId::AttentionB},
      {"embedding(W)", kW, kCompute, PhaseId::AttentionB},
      {"head(F)", kF, kCompute},
  }};
  return kTexts[static_cast<std::size_t>(id)];
}

/// In launch order.
std::vector<PhaseId> launch_order(PairOrder order) {
  std::vector<PhaseId> ids;
  for (std::size_t i = 0; i < kPhaseIds; ++i)
    ids.push_back(static_cast<PhaseId>(i));
  if (order == PairOrder::DeepSeek)
    return ids;
  // TransformerLayerSchedulePlan.run: the MLP's weights before the gradients' dispatch, the
  // forward's combine before attention's backward.
  const auto put_before = [&](PhaseId what, PhaseId other) {
    std::erase(ids, what);
    ids.insert(std::find(ids.begin(), ids.end(), other), what);
  };
  put_before(PhaseId::MlpW, PhaseId::DispatchB);
  put_before(PhaseId::CombineF, PhaseId::AttentionB);
  return ids;
}

/// Whether any layer of the job has it.
bool is_possible(PhaseId id, const ModelJob& job) {
  const PhaseText& text = text_of(id);
  const bool is_again = id >= PhaseId::RecomputeAttention && id <= PhaseId::RecomputeCombine;
  if (is_again && job.training.recompute != Recompute::Full)
    return false;
  if (id == PhaseId::GatherF || id == PhaseId::GatherB || id == PhaseId::ReduceW)
    return job.training.zero >= (id == PhaseId::ReduceW ? 2 : 3) &&
           (job.parallel.replicas() > 1 || job.parallel.expert_replicas() > 1);
  if (text.stream == kExpert)
    return job.model.experts && job.parallel.expert > 1;
  if (id == PhaseId::ContextF || id == PhaseId::ContextB || id == PhaseId::RecomputeContext)
    return job.parallel.context > 1;
  if (text.stream == kTensor)
    return job.parallel.tensor > 1;
  return true;
}

std::vector<PhaseId> phase_ids(const ModelJob& job) {
  std::vector<PhaseId> ids = launch_order(job.training.pair_order);
  std::erase_if(ids, [&](PhaseId id) { return !is_possible(id, job); });
  return ids;
}

Time to_time(double seconds) {
  return time_from_us(seconds * 1e6);
}

void add(LayerCost& sum, const LayerCost& part) {
  for (std::size_t i = 0; i < sum.size(); ++i)
    sum[i] += part[i];
}

/// What all stages are made of, computed once.
class Parts {
 public:
  explicit Parts(const LayerSetting& setting)
      : setting_(setting),
        dense_(layer_cost(setting, LayerKind::Dense)),
        experts_(setting.model.experts ? layer_cost(setting, LayerKind::Experts) : LayerCost{}),
        embedding_(embedding_cost(setting)),
        head_(head_cost(setting)),
        prediction_(prediction_cost(setting)) {}

  /// One for each layer of a stage. The embedding goes with the first and the head with the last;
  /// a stage without layers has one that has nothing else.
  std::vector<LayerCost> layers(const StageLayers& stage) const {
    std::vector<LayerCost> result;
    for (std::int64_t i = 0; i < stage.layers; ++i)
      result.push_back(layer(stage.first + i));
    for (std::int64_t i = 0; i < stage.predictions; ++i) {
      result.push_back(layer(setting_.model.layers));
      add(result.back(), prediction_);
      add(result.back(), head_);
    }
    if (result.empty())
      result.emplace_back();
    if (stage.embedding)
      add(result.front(), embedding_);
    if (stage.head)
      add(result.back(), head_);
    const std::vector<Parameters> parameters = layer_parameters(setting_, stage);
    for (std::size_t i = 0; i < result.size(); ++i)
      add_what_zero_divides(result[i], parameters[i]);
    return result;
  }

 private:
  /// A layer's parameters are gathered while the one before computes, and its gradients reduced
  /// while the next one does: what takes longer is seen.
  void add_what_zero_divides(LayerCost& layer, const Parameters& parameters) const {
    const auto beside = [&](const PhaseCost& cost, OpKind kind) {
      double computes = 0;
      for (std::size_t i = 0; i < layer.size(); ++i)
        if (const PhaseText& text = text_of(static_cast<PhaseId>(i));
            text.of == kind && text.stream == kCompute)
          computes += layer[i].seconds();
      return cost.longer_than(computes);
    };
    const auto put = [&](PhaseId id, const PhaseCost& cost) {
      layer[static_cast<std::size_t>(id)] = beside(cost, text_of(id).of);
    };
    if (setting_.training.zero >= 2)
      put(PhaseId::ReduceW, reduce_gradients(setting_, parameters));
    if (setting_.training.zero >= 3)
      for (const PhaseId id : {PhaseId::GatherF, PhaseId::GatherB})
        put(id, gather_parameters(setting_, parameters));
  }

  const LayerCost& layer(std::int64_t index) const {
    return setting_.model.has_experts(index) ? experts_ : dense_;
  }

  const LayerSetting& setting_;
  LayerCost dense_;
  LayerCost experts_;
  LayerCost embedding_;
  LayerCost head_;
  LayerCost prediction_;
};

LayerPhases to_phases(const ModelJob& job, const std::vector<PhaseId>& ids,
                      const std::vector<LayerCost>& layers) {
  LayerPhases result{.phases = analytic_phases(job), .sms = job.hardware.sms};
  for (const LayerCost& layer : layers)
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const PhaseCost& cost = layer[static_cast<std::size_t>(ids[i])];
      Phase& phase = result.phases[i];
      if (phase.stream == kExpert)  // of layers with experts, which are all alike
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

}  // namespace

void check_precision(const ModelJob& job) {
  if (job.training.precision == Precision::Fp8 && job.hardware.fp8_flops <= 0)
    throw Error(fmt::format("{} has no fp8", job.hardware.name));
}

void check_sequence(const ModelJob& job) {
  const std::int64_t divisor = job.parallel.context * job.parallel.tensor;
  const std::int64_t tokens = job.training.sequence;
  const Model& model = job.model;
  if (tokens % divisor != 0)
    throw Error(
        fmt::format("cp × tp = {} does not divide the sequence of {} tokens", divisor, tokens));
  if (model.learned_positions > 0 && tokens > model.learned_positions)
    throw Error(fmt::format("a sequence of {} tokens is longer than the {} positions of {}", tokens,
                            model.learned_positions, model.name));
  if (model.attention_window > 0 && tokens > model.attention_window)
    throw Error(
        fmt::format("the attention window of {} is {} tokens, shorter than the sequence of {}: not "
                    "modelled. To leave out the keys of the window (--ignore-key "
                    "sliding_window,attention_chunk_size,layer_types) counts full attention",
                    model.name, model.attention_window, tokens));
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
  const std::int64_t present = job.hardware.gpus_per_node;
  const std::int64_t needed = job.parallel.gpus_per_stage();
  const std::int64_t whole = present % needed == 0 ? present / needed : 1;
  return job.nodes.ranks_per_node.value_or(static_cast<int>(whole));
}

std::vector<Phase> analytic_phases(const ModelJob& job) {
  const std::vector<PhaseId> ids = phase_ids(job);
  std::vector<Phase> phases;
  for (const PhaseId id : ids) {
    const PhaseText& text = text_of(id);
    Phase phase{.name = text.name, .of = text.of, .stream = text.stream};
    if (text.after)
      phase.after = static_cast<int>(std::find(ids.begin(), ids.end(), *text.after) - ids.begin());
    if (text.stream == kExpert)
      phase.sms = job.hardware.communication_sms;
    if (text.stream == kCompute)
      phase.slowdown.kind = Slowdown::Kind::Shared;
    phases.push_back(std::move(phase));
  }
  return phases;
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
  const std::vector<PhaseId> ids = phase_ids(job);
  const Parts parts(setting);
  CostSource& source = result.source;
  source.name = fmt::format("{} on {}", job.model.name, job.hardware.name);
  source.description = describe(job, result.layout);
  source.stage_by_stage = true;
  source.layers_per_stage = static_cast<double>(job.model.layers) / stages;
  for (std::size_t i = 0; i < result.layout.size(); ++i) {
    const std::vector<LayerCost> layers = parts.layers(result.layout[i]);
    AnalyticStage stage{.layers = result.layout[i],
                        .memory = stage_memory(setting, result.layout, i)};
    LayerCost sum;
    for (const LayerCost& layer : layers)
      add(sum, layer);
    for (const PhaseId id : ids)
      stage.phases.push_back(sum[static_cast<std::size_t>(id)]);
    source.stages.push_back(
        to_stage_cost(to_phases(job, ids, layers), stage.memory, message_bytes(setting)));
    const StageUpdate update = stage_update(setting, stage_parameters(setting, result.layout[i]));
    source.stages.back().grad_reduce = to_time(update.reduce);
    source.stages.back().optimizer = to_time(update.optimizer);
    result.stages.push_back(std::move(stage));
  }
  lay_links(job, source);
  return result;
}

StepWork step_work(const ModelJob& job, int ranks, int microbatches) {
  ModelJob whole{.model = job.model, .hardware = job.hardware, .training = job.training};
  whole.training.fused_attention = true;  // which leaves out what is above the diagonal
  const std::vector<Phase> phases = analytic_phases(whole);
  const AnalyticCosts costs = analytic_costs(whole, 1);
  double forward = 0;
  for (std::size_t i = 0; i < phases.size(); ++i)
    if (phases[i].of == OpKind::Forward)
      forward += costs.stages[0].phases[i].flops;
  const Training& training = job.training;
  const auto of_stage = static_cast<double>(job.parallel.gpus_per_stage());
  StepWork work{.gpus = ranks * job.parallel.gpus_per_stage()};
  work.tokens = static_cast<double>(training.microbatch * training.sequence * job.parallel.data) *
                microbatches;
  work.flops = 3 * forward * static_cast<double>(job.parallel.data) * microbatches;
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
