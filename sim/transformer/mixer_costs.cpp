#include "sim/transformer/mixer_costs.h"

#include <algorithm>
#include <cmath>

#include "sim/transformer/analytic_units.h"
#include "sim/transformer/collectives.h"

namespace bubblescope {
namespace {

/// Products with the key's and with the value's dimension for each pair of tokens. Backward the
/// scores are made again: five products for the forward's two (FlashAttention-2, arXiv 2307.08691,
/// section 3.1.2).
struct Products {
  double key;
  double value;
};
constexpr Products kForward = {1, 1};
constexpr Products kBackward = {3, 2};

/// Tokens that a recurrence computes at once, as matrix products: those of
/// flash-linear-attention's and Mamba-2's kernels.
constexpr double kBlock = 64;
constexpr double kMamba2Block = 256;
/// An estimate: such kernels as a part of what attention reaches.
constexpr double kRecurrenceEfficiency = 0.5;
/// An estimate: selective scans run on a GPU's fp32 units, which have about a sixteenth of the
/// peak of its matrix units.
constexpr double kScanEfficiency = 1.0 / 16;
/// FLOPs of a selective scan for each state and token (arXiv 2312.00752, section 3.3.2).
constexpr double kScanFlops = 9;
/// How much faster attention is in fp8; fitted to runs on GB200 and GB300 (docs/accuracy.md).
constexpr double kFp8Attention = 1.5;
constexpr double kBackwardFactor = 2.5;  // what backward computes of a recurrence, as attention's

double efficiency_of(const LayerSetting& setting, bool is_backward) {
  const Hardware::Efficiency& efficiency = setting.hardware.efficiency;
  return is_backward ? efficiency.attention_backward : efficiency.attention_forward;
}

/// A head's query and key, and its value: attention to picked tokens reads latent keys as they are
/// compressed (DeepSeek-V3.2, arXiv 2512.02556, section 2.1).
double key_dim(const Attention& attention) {
  return attention.indexer && attention.latent
             ? real(attention.latent->key_value_rank + attention.latent->rope_dim)
             : real(attention.key_dim);
}
double value_dim(const Attention& attention) {
  return attention.indexer && attention.latent ? real(attention.latent->key_value_rank)
                                               : real(attention.value_dim);
}

/// An indexer's heads score all tokens before each query.
void pick(Kernels& kernels, const Attention& attention, bool is_backward) {
  const auto& indexer = attention.indexer;
  if (!indexer || indexer->heads == 0)
    return;
  const LayerSetting& setting = kernels.setting();
  const double scored = setting.divided_tokens() * real(indexer->heads * indexer->dim);
  kernels.computes((is_backward ? 2 : 1) * scored * real(setting.training.sequence),
                   efficiency_of(setting, is_backward), kHalf * scored);
}

/// Hops that keys make around the ring: no farther than they are attended to.
double steps_of_ring(const LayerSetting& setting, const Attention& attention) {
  const double others = real(setting.parallel.context - 1);
  const std::int64_t reach = std::max(attention.window, attention.chunk);
  const double share = real(setting.training.sequence) / real(setting.parallel.context);
  if (attention.chunk > 0 && std::fmod(share, real(attention.chunk)) == 0)
    return 0;  // a GPU has whole chunks
  return reach == 0 ? others : std::min(others, std::ceil(real(reach) / share));
}

/// A GPU sends this within its context group, in so many steps. Its GPUs lie tp apart, so that all
/// wait for the one whose next is in another node.
struct ContextTraffic {
  double bytes;
  double steps;
};
PhaseCost sent_in_context(const LayerSetting& setting, const LayerKind& kind,
                          ContextTraffic traffic) {
  const Hardware& hardware = setting.hardware;
  const Parallel& parallel = setting.parallel;
  const bool is_within = group_of(parallel.context, parallel.tensor, hardware).nodes == 1;
  Kernels messages(setting, kind);
  messages.send(
      {is_within ? traffic.bytes : 0, is_within ? 0 : traffic.bytes},
      traffic.steps * seconds(is_within ? hardware.nvlink_latency : hardware.nic_latency));
  return messages.take();
}

class AttentionWork {
 public:
  AttentionWork(const LayerSetting& setting, const Attention& attention)
      : setting_(setting), attention_(attention) {}

  Linears linears() const {
    return attention_linears(setting_.model, attention_, setting_.parallel);
  }

  /// Between the matrices, forward.
  void forward(Kernels& kernels) const {
    if (attention_.latent)
      kernels.norm(latent_values());
    kernels.moves(2 * kHalf * rotated_values());
    pick(kernels, attention_, false);
    if (setting_.training.attention != AttentionKernels::Unfused)
      fused(kernels, false);
    else
      plain(kernels, {1, 1}, score_bytes());
    gate(kernels, 3);
  }

  void make_again(Kernels& kernels) const {
    const Recompute& again = setting_.training.recompute;
    if (again.scores && setting_.training.attention == AttentionKernels::Unfused)
      plain(kernels, {1, 0}, score_bytes());
    if (!attention_.latent || !(again.norms || again.latent_up))
      return;
    kernels.norm(latent_values());
    if (!again.latent_up)
      return;
    for (const Linear& linear : linears())
      if (linear.is_up_projection)
        kernels.forward(linear);
    kernels.moves(2 * kHalf * rotated_values());
  }

  void input_gradient(Kernels& kernels) const {
    gate(kernels, 5);
    pick(kernels, attention_, true);
    if (setting_.training.attention != AttentionKernels::Unfused)
      fused(kernels, true);
    else
      plain(kernels, {2, 2}, setting_.model.dropout ? 17 : 12);
    kernels.moves(2 * kHalf * rotated_values());
  }
  /// Behind the matrices.
  void last_gradient(Kernels& kernels) const {
    if (attention_.latent)
      kernels.norm_gradient(latent_values());
  }

  void fused(Kernels& kernels, bool is_backward) const {
    const Products products = is_backward ? kBackward : kForward;
    const double pairs = setting_.tokens() * mean_keys(attention_, sequence()) * heads();
    const double flops =
        2 * pairs * (products.key * key_dim(attention_) + products.value * value_dim(attention_));
    const double values = setting_.tokens() * (keys_values() + (queries() + outputs()));
    const double faster = setting_.training.attention == AttentionKernels::Fp8 ? kFp8Attention : 1;
    if (const auto seconds = timed_attention(setting_, attention_, is_backward))
      return kernels.takes(*seconds / faster, flops, kHalf * values * products.key);
    kernels.computes(flops, faster * efficiency_of(setting_, is_backward),
                     kHalf * values * products.key);
  }

  PhaseCost context(const LayerKind& kind, bool is_backward) const {
    const double passes = is_backward ? 2 : 1;  // back go gradients of keys and values
    const double others = real(setting_.parallel.context - 1);
    const double tokens = kHalf * setting_.tokens();
    if (setting_.training.context == ContextMessages::AllGather)
      return sent_in_context(setting_, kind, {passes * others * tokens * keys_values(), passes});
    if (setting_.training.context == ContextMessages::AllToAll)
      return sent_in_context(setting_, kind,
                             {tokens * (queries() + keys_values() + outputs()) * others /
                                  real(setting_.parallel.context),
                              2});
    const double steps = passes * steps_of_ring(setting_, attention_);
    Kernels attention(setting_, kind);
    fused(attention, is_backward);
    return sent_in_context(setting_, kind, {steps * tokens * keys_values(), steps})
        .longer_than(attention.take().seconds());
  }

  double kept() const {
    const Recompute& again = setting_.training.recompute;
    double bytes = 0;
    if (attention_.latent) {
      const double compressed = latent_values();
      bytes += kHalf * (compressed + setting_.divided_tokens() * real(attention_.latent->rope_dim));
      if (!again.norms && !again.latent_up)
        bytes += setting_.element_bytes() * compressed;
    }
    if (!attention_.latent || !again.latent_up)
      bytes += kHalf * setting_.tokens() * (queries() + keys_values());
    bytes += kHalf * setting_.tokens() * outputs() * (attention_.output_gate ? 3 : 1);
    if (setting_.training.attention != AttentionKernels::Unfused)
      bytes += kFull * setting_.tokens() * heads();  // the softmax's sums
    else if (!again.scores)
      bytes += (setting_.model.dropout ? 5 : 2) * scores();
    return bytes;
  }

 private:
  double sequence() const { return real(setting_.training.sequence); }
  double heads() const { return real(attention_.heads) / real(setting_.parallel.tensor); }
  double queries() const { return real(attention_.query_width()) / real(setting_.parallel.tensor); }
  double outputs() const {
    return real(attention_.output_width()) / real(setting_.parallel.tensor);
  }
  double keys_values() const {
    return key_width(attention_, setting_.parallel) + value_width(attention_, setting_.parallel);
  }
  double scores() const { return setting_.tokens() * sequence() * heads(); }
  /// Softmax forward reads and writes; so does dropout, which writes its mask too.
  double score_bytes() const { return setting_.model.dropout ? 11 : 6; }

  /// Values of queries and keys that are rotated or copied into place.
  double rotated_values() const {
    const double copied = attention_.latent ? value_width(attention_, setting_.parallel) : 0;
    return setting_.tokens() * (queries() + key_width(attention_, setting_.parallel) + copied);
  }
  /// Compressed queries, keys and values.
  double latent_values() const {
    return attention_.latent ? setting_.divided_tokens() * real(attention_.latent->query_rank +
                                                                attention_.latent->key_value_rank)
                             : 0;
  }
  void gate(Kernels& kernels, double passes) const {
    if (attention_.output_gate)
      kernels.moves(passes * kHalf * setting_.tokens() * outputs());
  }
  /// Scores, softmax and dropout written to memory, above the diagonal too.
  void plain(Kernels& kernels, Products products, double bytes) const {
    const double dims =
        products.key * real(attention_.key_dim) + products.value * real(attention_.value_dim);
    kernels.computes(2 * scores() * dims, setting_.hardware.efficiency.gemm_bf16,
                     kHalf * scores() * (products.key + products.value));
    kernels.moves(bytes * scores());
  }
  const LayerSetting& setting_;
  const Attention& attention_;
};

class RecurrenceWork {
 public:
  RecurrenceWork(const LayerSetting& setting, const Recurrence& mixer)
      : setting_(setting), mixer_(mixer) {}

  Linears linears() const { return recurrence_linears(setting_.model, mixer_, setting_.parallel); }

  void forward(Kernels& kernels) const {
    convolve(kernels, 2);
    scan(kernels, false);
    kernels.moves(3 * kHalf * values());  // the norm and the gate
  }
  void make_again(Kernels& kernels) const {
    if (!setting_.training.recompute.norms)
      return;
    convolve(kernels, 2);
    kernels.moves(3 * kHalf * values());
  }
  void input_gradient(Kernels& kernels) const {
    kernels.moves(5 * kHalf * values());
    scan(kernels, true);
    convolve(kernels, 3);
  }
  void last_gradient(Kernels&) const {}

  /// From tokens to heads and back.
  PhaseCost context(const LayerKind& kind, bool) const {
    const double size = real(setting_.parallel.context);
    return sent_in_context(setting_, kind,
                           {kHalf * (convolved() + 2 * values()) * (size - 1) / size, 2});
  }

  /// The convolution's input and output, the gate, the scan's output before its norm and behind, a
  /// state for each block, and what differs by channel: Mamba's steps, Kimi's decays.
  double kept() const {
    const bool is_selective = setting_.training.recompute.norms;
    const double states =
        setting_.tokens() / block() * heads() * real(mixer_.key_dim * mixer_.value_dim);
    double sum = (is_selective ? 1 : 2) * convolved() + (is_selective ? 2 : 3) * values() + states;
    if (mixer_.kind == Recurrence::Kind::Mamba)
      sum += values();
    if (mixer_.kind == Recurrence::Kind::KimiDelta)
      sum += keys();
    return kHalf * sum;
  }

 private:
  double heads() const { return real(mixer_.heads) / real(setting_.parallel.tensor); }
  double values() const { return setting_.tokens() * heads() * real(mixer_.value_dim); }
  double keys() const { return setting_.tokens() * key_width(mixer_, setting_.parallel); }
  /// Values, queries and keys; of Mamba values alone.
  double convolved() const {
    return values() + (mixer_.kind == Recurrence::Kind::Mamba ? 0 : 2 * keys());
  }
  double block() const {
    return mixer_.kind == Recurrence::Kind::Mamba2 || mixer_.kind == Recurrence::Kind::Lightning
               ? kMamba2Block
               : kBlock;
  }
  void convolve(Kernels& kernels, double passes) const {
    if (mixer_.convolution > 0)
      kernels.moves(passes * kHalf * convolved());
  }

  /// A token's, forward: scores within its block and what they weigh, and the state that it reads
  /// and adds to. A delta rule also has the scores of keys with one another, takes what they say
  /// away from keys and values, and reads the state with keys too.
  double flops_of_token() const {
    using Kind = Recurrence::Kind;
    const double keys = real(mixer_.key_dim);
    const double own = real(mixer_.value_dim);
    if (mixer_.kind == Kind::Mamba)
      return kScanFlops * heads() * keys;
    const double groups = key_width(mixer_, setting_.parallel) / keys;
    const double scored = mixer_.kind == Kind::Mamba2 ? groups : heads();
    double flops = 2 * block() * (scored * keys + heads() * own) + 4 * heads() * keys * own;
    if (mixer_.kind == Kind::GatedDelta || mixer_.kind == Kind::KimiDelta)
      flops += 2 * heads() * (block() * (2 * keys + own) + keys * own);
    return flops;
  }
  void scan(Kernels& kernels, bool is_backward) const {
    const double efficiency = mixer_.kind == Recurrence::Kind::Mamba
                                  ? kScanEfficiency
                                  : kRecurrenceEfficiency * efficiency_of(setting_, is_backward);
    const double factor = is_backward ? kBackwardFactor : 1;
    kernels.computes(factor * setting_.tokens() * flops_of_token(), efficiency,
                     factor * kHalf * (convolved() + values()));
  }

  const LayerSetting& setting_;
  const Recurrence& mixer_;
};

AttentionWork work_of(const LayerSetting& setting, const Attention& mixer) {
  return {setting, mixer};
}
RecurrenceWork work_of(const LayerSetting& setting, const Recurrence& mixer) {
  return {setting, mixer};
}

/// Calls `use` with what does the work of a mixer.
template <typename Use>
auto with_work(const LayerSetting& setting, const Mixer& mixer, const Use& use) {
  return std::visit([&](const auto& each) { return use(work_of(setting, each)); }, mixer);
}

}  // namespace

Linears mixer_linears(const LayerSetting& setting, const Mixer& mixer) {
  return with_work(setting, mixer, [](const auto& work) { return work.linears(); });
}

void mixer_forward(Kernels& kernels, const Mixer& mixer) {
  with_work(kernels.setting(), mixer, [&](const auto& work) {
    for (const Linear& linear : work.linears())
      kernels.forward(linear);
    work.forward(kernels);
  });
}

void make_mixer_again(Kernels& kernels, const Mixer& mixer) {
  with_work(kernels.setting(), mixer, [&](const auto& work) { work.make_again(kernels); });
}

void mixer_input_gradient(Kernels& kernels, const Mixer& mixer) {
  with_work(kernels.setting(), mixer, [&](const auto& work) {
    work.input_gradient(kernels);
    for (const Linear& linear : work.linears())
      kernels.input_gradient(linear);
    work.last_gradient(kernels);
  });
}

void mixer_weight_gradient(Kernels& kernels, const Mixer& mixer) {
  for (const Linear& linear : mixer_linears(kernels.setting(), mixer))
    kernels.weight_gradient(linear);
}

PhaseCost context_messages(const LayerSetting& setting, const LayerKind& kind, bool is_backward) {
  PhaseCost sum;
  for (const Mixer& mixer : kind.mixers)
    sum += with_work(setting, mixer,
                     [&](const auto& work) { return work.context(kind, is_backward); });
  return sum;
}

std::vector<std::string> estimated_mixers(const Model& model) {
  std::vector<std::string> words;
  const auto is_measured = [](const Mixer& mixer) {
    const auto* attention = std::get_if<Attention>(&mixer);
    return attention != nullptr && !attention->indexer;
  };
  for (const LayerKind& kind : model.kinds)
    if (const std::string word = mixer_word(kind);
        !std::all_of(kind.mixers.begin(), kind.mixers.end(), is_measured) &&
        std::find(words.begin(), words.end(), word) == words.end())
      words.push_back(word);
  return words;
}

double mixer_kept(const LayerSetting& setting, const Mixer& mixer) {
  return with_work(setting, mixer, [](const auto& work) { return work.kept(); });
}

}  // namespace bubblescope
