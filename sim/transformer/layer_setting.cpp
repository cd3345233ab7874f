#include "sim/transformer/layer_setting.h"

#include "sim/transformer/analytic_units.h"

namespace bubblescope {

Training without_recompute(Training training) {
  training.recompute = kRecomputeNone;
  return training;
}

double LayerSetting::tokens() const {
  return real(training.microbatch) * real(training.sequence) / real(parallel.context);
}

double LayerSetting::divided_tokens() const {
  return training.sequence_parallel ? tokens() / real(parallel.tensor) : tokens();
}

double LayerSetting::expert_tokens() const {
  return parallel.expert_tensor() > 1 ? tokens() : divided_tokens();
}

double LayerSetting::rows(Tokens which, const LayerKind& kind) const {
  switch (which) {
    case Tokens::All:
      return tokens();
    case Tokens::Divided:
      return divided_tokens();
    case Tokens::Routed:
      break;
  }
  return expert_tokens() * real(kind.experts->per_token) * training.expert_imbalance;
}

}  // namespace bubblescope
