// The matrices of a model's parts as one GPU has them, and how many parameters that makes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/transformer/model.h"
#include "sim/transformer/parallel.h"

namespace bubblescope {

/// The tokens that a matrix multiplies.
enum class Tokens : std::uint8_t {
  All,      ///< All of a micro-batch on the GPU; the tensor group divides the matrix.
  Divided,  ///< Sequence parallelism divides them over the tensor group, and each has the matrix.
  Routed,   ///< Those that arrive at the experts of the GPU.
};

/// A matrix of `in` × `out`, or several with the rows divided over them.
struct Linear {
  double in = 0;
  double out = 0;
  Tokens tokens = Tokens::All;
  double copies = 1;
  bool casts_input = true;  ///< Its input has to be quantized first; so its output's gradient.
  bool casts_gradient = true;
  bool is_up_projection = false;  ///< Of latent attention.

  double weights() const { return copies * in * out; }
};
using Linears = std::vector<Linear>;

/// How wide keys and values are on one GPU, which has whole heads of them: where the tensor group
/// has more GPUs than there are, some have the same.
double key_width(const Attention& attention, const Parallel& parallel);
double value_width(const Attention& attention, const Parallel& parallel);
double key_width(const Recurrence& mixer, const Parallel& parallel);

/// Matrices of a part of the model on one GPU. A mixer's last one makes its output. Router and
/// head are apart: they stay in bf16.
Linears attention_linears(const Model& model, const Attention& attention, const Parallel& parallel);
Linears recurrence_linears(const Model& model, const Recurrence& mixer, const Parallel& parallel);
Linears mlp_linears(const Model& model, const Mlp& mlp, const Parallel& parallel);
Linears expert_linears(const Model& model, const Experts& experts, const Parallel& parallel);
/// Into the width in which tokens are sent to experts, and out of it; empty where it is the
/// model's.
Linears latent_expert_linears(const Model& model, const Experts& experts);

/// On one GPU.
struct Parameters {
  double plain = 0;   ///< What data parallelism has a copy of in each replica.
  double expert = 0;  ///< Of routed experts.

  Parameters& operator+=(const Parameters& other);
  double sum() const { return plain + expert; }
};

/// Matrices, and what is added and scaled: norms, biases, convolutions, decays, whole on each GPU.
Parameters layer_parameters(const Model& model, const LayerKind& kind, const Parallel& parallel);
/// A module of multi-token prediction has these beside its layer, the embedding and the head
/// (DeepSeek-V3, section 2.2).
double prediction_parameters(const Model& model);
double embedding_parameters(const Model& model, const Parallel& parallel);
/// The head's matrix, without the norm before it.
double head_parameters(const Model& model, const Parallel& parallel);

/// "gpt-oss-120b: 116.8 B parameters, of which a token meets 5.1 B; 36 layers: 18 × …".
std::string describe(const Model& model);

/// Without multi-token prediction, as models are named.
std::int64_t total_parameters(const Model& model);
std::int64_t prediction_module_parameters(const Model& model);
/// Parameters that a token meets; the embedding, where it meets one row, is left out.
std::int64_t activated_parameters(const Model& model);

}  // namespace bubblescope
