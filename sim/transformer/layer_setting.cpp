#include "sim/transformer/layer_setting.h"

#include <algorithm>

#include "sim/transformer/analytic_units.h"

namespace bubblescope {

double LayerSetting::tokens() const {
  return real(training.microbatch) * real(training.sequence) / real(parallel.context);
}

double LayerSetting::divided_tokens() const {
  return tokens() / real(parallel.tensor);
}

double LayerSetting::expert_tokens() const {
  return parallel.expert_tensor() > 1 ? tokens() : divided_tokens();
}

double LayerSetting::key_width() const {
  return real(std::max<std::int64_t>(1, model.key_value_heads / parallel.tensor) * model.key_dim);
}

double LayerSetting::value_width() const {
  return real(std::max<std::int64_t>(1, model.key_value_heads / parallel.tensor) * model.value_dim);
}

double LayerSetting::expert_rows() const {
  return model.experts ? expert_tokens() * real(model.experts->per_token) : 0;
}

}  // namespace bubblescope
