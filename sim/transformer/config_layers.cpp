#include "sim/transformer/config_layers.h"

#include <algorithm>

#include <fmt/format.h>

#include "sim/transformer/config_rules.h"

namespace bubblescope {
namespace {

constexpr std::int64_t kMostLayers = 10'000;

std::int64_t depth_of(ObjectReader& object) {
  const auto told = dimension(object, {"num_hidden_layers", "num_layers", "n_layers"});
  const std::int64_t depth =
      told                                    ? *told
      : object.has("hybrid_override_pattern") ? std::ssize(object.text("hybrid_override_pattern"))
      : object.has("layers_block_type")       ? std::ssize(object.words("layers_block_type"))
                                              : needed_dimension(object, {"num_hidden_layers"});
  if (depth < 1 || depth > kMostLayers)
    object.fail("num_hidden_layers", fmt::format("expected 1 to {}, got {}", kMostLayers, depth));
  return depth;
}

class LayerReader {
 public:
  LayerReader(const LayerConfig& config, Model& model)
      : config_(config),
        model_(model),
        mixers_(config),
        feed_forward_(config, mixers_.attention().bias, mixers_.letters()),
        is_parallel_(config.family.is_parallel &&
                     flag_or(config.object, "use_parallel_residual", true)) {}

  void read() {
    for (std::int64_t i = 0; i < config_.depth; ++i)
      model_.layers.push_back(kind_index(layer(i)));
    read_predictions();
  }

 private:
  LayerKind layer(std::int64_t i) const {
    const std::string& letters = mixers_.letters();
    if (!letters.empty())
      return of_letters(letters.substr(static_cast<std::size_t>(i), 1));
    LayerKind kind = {
        .mixers = mixers_.at(i), .is_parallel = is_parallel_, .norms = config_.family.norms};
    feed_forward_.add(i, kind);
    return kind;
  }

  /// A layer of one letter, or of those of a module of multi-token prediction.
  LayerKind of_letters(const std::string& letters) const {
    LayerKind kind = {.mixers = mixers_.of_letters(letters), .norms = std::ssize(letters)};
    if (letters.find('-') != std::string::npos)
      feed_forward_.add_mlp(kind);
    if (letters.find('E') != std::string::npos)
      feed_forward_.add_experts(kind);
    return kind;
  }

  std::uint8_t kind_index(const LayerKind& kind) {
    const auto found = std::find(model_.kinds.begin(), model_.kinds.end(), kind);
    const auto index = found - model_.kinds.begin();
    constexpr std::ptrdiff_t kMostKinds = 255;
    if (index > kMostKinds)
      config_.object.fail("num_hidden_layers",
                          fmt::format("there are more than {} kinds of layers", kMostKinds));
    if (found == model_.kinds.end())
      model_.kinds.push_back(kind);
    return static_cast<std::uint8_t>(index);
  }

  void read_predictions() {
    ObjectReader& object = config_.object;
    const std::int64_t number =
        dimension(object, {"num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_modules"},
                  0)
            .value_or(0);
    if (number > kMostLayers)
      object.fail("num_nextn_predict_layers",
                  fmt::format("expected 0 to {}, got {}", kMostLayers, number));
    if (dimension(object, {"mtp_transformer_layers"}).value_or(1) != 1)
      object.fail("mtp_transformer_layers", "expected 1 in each module of multi-token prediction");
    if (flag_or(object, "mtp_use_dedicated_embeddings", false))
      object.fail("mtp_use_dedicated_embeddings",
                  "expected false: multi-token prediction shares the model's embedding");
    const bool is_pattern = !mixers_.letters().empty();
    const std::string letters = is_pattern ? pattern_letters(config_, "mtp_hybrid_override_pattern",
                                                             "mtp_layers_block_type")
                                           : "";
    if (!flag_or(object, "use_mtp", true) || number == 0)
      return;
    if (is_pattern && letters != "*E")
      object.fail("mtp_hybrid_override_pattern", "expected *E: attention, then experts");
    const LayerKind kind = letters.empty() ? layer(config_.depth) : of_letters(letters);
    model_.predictions.assign(static_cast<std::size_t>(number), kind_index(kind));
  }

  LayerConfig config_;
  Model& model_;
  MixerRule mixers_;
  FeedForwardRule feed_forward_;
  bool is_parallel_;
};

}  // namespace

void read_layers(ObjectReader& object, const Family& family, Model& model) {
  const LayerConfig config = {object, family, model.hidden, depth_of(object)};
  LayerReader(config, model).read();
}

}  // namespace bubblescope
