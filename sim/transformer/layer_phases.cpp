#include "sim/transformer/layer_phases.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

namespace bubblescope {
namespace {

constexpr OpKind kF = OpKind::Forward;
constexpr OpKind kI = OpKind::BackwardInput;
constexpr OpKind kW = OpKind::BackwardWeight;
constexpr PhaseStream kCompute = PhaseStream::Compute;
constexpr PhaseStream kTensor = PhaseStream::Tensor;
constexpr PhaseStream kExpert = PhaseStream::Expert;

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
  put_before(PhaseId::CombineF, PhaseId::MixerB);
  return ids;
}

/// Whether the host may keep a GPU waiting.
bool has_host(const ModelJob& job) {
  const Hardware::Host& host = job.hardware.host;
  const Training& training = job.training;
  const bool waits_for_experts = job.model.has_experts() && job.parallel.expert > 1 &&
                                 training.dispatch == Dispatch::AllToAll && host.experts > Time{};
  return training.cuda_graphs != CudaGraphs::Full &&
         (waits_for_experts || host.layer_forward + host.layer_backward + host.action > Time{});
}

/// Whether any layer of the job has it.
bool is_possible(PhaseId id, const ModelJob& job) {
  const PhaseText& text = text_of(id);
  const Recompute& recompute = job.training.recompute;
  const bool is_again = id >= PhaseId::RecomputeMixer && id <= PhaseId::RecomputeCombine;
  const bool is_feed_forward = id >= PhaseId::RecomputeDispatch;
  if (is_again && !recompute.layer && !(is_feed_forward && (recompute.mlp || recompute.experts)))
    return false;
  if (id == PhaseId::HostF || id == PhaseId::HostB)
    return has_host(job);
  if (id == PhaseId::GatherF || id == PhaseId::GatherB || id == PhaseId::ReduceW)
    return job.training.zero >= (id == PhaseId::ReduceW ? 2 : 3) &&
           (job.parallel.replicas() > 1 || job.parallel.expert_replicas() > 1);
  if (text.stream == kExpert)
    return job.model.has_experts() && job.parallel.expert > 1;
  if (id == PhaseId::ContextF || id == PhaseId::ContextB || id == PhaseId::RecomputeContext)
    return job.parallel.context > 1;
  if (text.stream == kTensor)
    return job.parallel.tensor > 1;
  return true;
}

}  // namespace

const PhaseText& text_of(PhaseId id) {
  static constexpr std::array<PhaseText, kPhaseIds> kTexts = {{
      {"head(B)", kI, kCompute},
      {"head(W)", kW, kCompute, PhaseId::HeadB},
      {"embedding(F)", kF, kCompute},
      {"gather(B)", kI, kTensor},
      {"recompute_{}(B)", kI, kCompute},
      {"recompute_tp_attn(B)", kI, kTensor},
      {"recompute_cp_ring(B)", kI, kTensor},
      {"recompute_dispatch(B)", kI, kExpert},
      {"recompute_mlp(B)", kI, kCompute},
      {"recompute_tp_mlp(B)", kI, kTensor},
      {"recompute_combine(B)", kI, kExpert},
      {"combine(B)", kI, kExpert},
      {"gather(F)", kF, kTensor},
      {"{}(F)", kF, kCompute},
      {"tp_attn(F)", kF, kTensor},
      {"cp_ring(F)", kF, kTensor},
      {"mlp(B)", kI, kCompute},
      {"tp_mlp(B)", kI, kTensor},
      {"dispatch(F)", kF, kExpert},
      {"dispatch(B)", kI, kExpert},
      {"mlp(W)", kW, kCompute, PhaseId::MlpB},
      {"mlp(F)", kF, kCompute},
      {"tp_mlp(F)", kF, kTensor},
      {"{}(B)", kI, kCompute},
      {"tp_attn(B)", kI, kTensor},
      {"cp_ring(B)", kI, kTensor},
      {"combine(F)", kF, kExpert},
      {"{}(W)", kW, kCompute, PhaseId::MixerB},
      {"reduce(W)", kW, kTensor, PhaseId::MixerB},
      {"embedding(W)", kW, kCompute, PhaseId::MixerB},
      {"head(F)", kF, kCompute},
      {"host(F)", kF, kCompute},
      {"host(B)", kI, kCompute},
  }};
  return kTexts[static_cast<std::size_t>(id)];
}

double compute_seconds(const LayerCost& cost, OpKind kind) {
  double sum = 0;
  for (std::size_t i = 0; i < cost.size(); ++i)
    if (const PhaseText& text = text_of(static_cast<PhaseId>(i));
        text.of == kind && text.stream == PhaseStream::Compute)
      sum += cost[i].seconds();
  return sum;
}

bool MixerPhase::is_of_mixer() const {
  return std::string_view(text_of(id).name).find("{}") != std::string_view::npos;
}

std::string MixerPhase::name() const {
  return fmt::format(fmt::runtime(text_of(id).name), word);
}

const PhaseCost& StageLayer::operator[](const MixerPhase& phase) const {
  static const PhaseCost none;
  const bool is_other = phase.is_of_mixer() && phase.word != word;
  return is_other ? none : cost[static_cast<std::size_t>(phase.id)];
}

std::vector<MixerPhase> phases_of(const ModelJob& job) {
  std::vector<std::string> words;
  for (const LayerKind& kind : job.model.kinds)
    if (const std::string word = mixer_word(kind);
        !word.empty() && std::find(words.begin(), words.end(), word) == words.end())
      words.push_back(word);
  std::vector<MixerPhase> phases;
  for (const PhaseId id : launch_order(job.training.pair_order)) {
    if (!is_possible(id, job))
      continue;
    if (!MixerPhase{id}.is_of_mixer())
      phases.push_back({id});
    else
      for (const std::string& word : words)
        phases.push_back({id, word});
  }
  return phases;
}

std::vector<Phase> analytic_phases(const ModelJob& job) {
  const std::vector<MixerPhase> order = phases_of(job);
  const auto place_of = [&](PhaseId id, const std::string& word) {
    const auto found = std::find_if(order.rbegin(), order.rend(), [&](const MixerPhase& each) {
      return each.id == id && (word.empty() || each.word == word);
    });
    return static_cast<int>(order.rend() - found) - 1;
  };
  std::vector<Phase> phases;
  for (const MixerPhase& each : order) {
    const PhaseText& text = text_of(each.id);
    Phase phase{.name = each.name(), .of = text.of, .stream = text.stream};
    if (text.after)
      phase.after = place_of(*text.after, each.word);
    if (text.stream == kExpert)
      phase.sms = job.hardware.communication_sms;
    if (text.stream == kCompute && each.id != PhaseId::HostF && each.id != PhaseId::HostB)
      phase.slowdown.kind = Slowdown::Kind::Shared;
    phases.push_back(std::move(phase));
  }
  return phases;
}

}  // namespace bubblescope
