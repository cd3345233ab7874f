// The MLP or the experts of a layer: their work and messages.
#pragma once

#include "sim/transformer/expert_spread.h"
#include "sim/transformer/kernels.h"

namespace bubblescope {

class FeedForward {
 public:
  FeedForward(const LayerSetting& setting, const LayerKind& kind);

  /// The norms and the router that send tokens to experts.
  void route(Kernels& kernels) const;
  void route_input_gradient(Kernels& kernels) const;
  void route_weight_gradient(Kernels& kernels) const;

  void forward(Kernels& kernels) const;
  void input_gradient(Kernels& kernels) const;
  void weight_gradient(Kernels& kernels) const;

  /// All-to-all. DeepEP sends forward tokens, and the gradients that go the same way, as
  /// blocks in fp8 where products are in these, and not what comes back (DeepSeek-V3,
  /// section 3.3.3).
  void exchange_quantized(Kernels& kernels) const;
  void exchange_whole(Kernels& kernels) const;

  /// Whether the tensor group divides an MLP, shared experts or experts, so that tokens have to be
  /// gathered before and scattered after; an MLP beside a mixer reads and adds up what that one
  /// does.
  bool gathers() const;

 private:
  double hidden_values() const;
  /// Whether the activation function between two products is a part of them.
  bool is_fused(const Linears& linears) const {
    return setting_.training.fused_experts && &linears == &routed_;
  }
  double expert_width() const;
  double permuted_bytes(double bytes) const;
  double unfused_bytes() const;
  void exchange(Kernels& kernels, double bytes) const;
  void activation_function(Kernels& kernels, const Linears& linears) const;
  void mlp_forward(Kernels& kernels, const Linears& linears) const;
  void mlp_input_gradient(Kernels& kernels, const Linears& linears) const;

  const LayerSetting& setting_;
  const LayerKind& kind_;
  std::vector<Linears> own_;  // that each token meets: a dense layer's MLP, the shared experts
  Linears routed_;
  Linears latent_;  // before the tokens are sent, and behind
  ExpertSpread spread_ = {};
};

}  // namespace bubblescope
