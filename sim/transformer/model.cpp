#include "sim/transformer/model.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bubblescope {
namespace {

std::string_view word(const Recurrence& mixer) {
  static constexpr std::string_view kWords[] = {"delta", "delta", "lightning", "mamba", "mamba"};
  return kWords[static_cast<std::size_t>(mixer.kind)];
}

std::string_view word(const Attention& mixer) {
  if (mixer.indexer)
    return "sparse";
  if (mixer.window > 0)
    return "window";
  return mixer.chunk > 0 ? "chunk" : "attn";
}

std::string describe(const Attention& mixer) {
  const std::string_view latent = mixer.latent ? "latent " : "";
  if (mixer.indexer && mixer.indexer->heads == 0)
    return fmt::format("{}attention to the {} tokens that a layer before picked", latent,
                       mixer.indexer->kept);
  if (mixer.indexer)
    return fmt::format("{}attention to the {} tokens that an indexer picks", latent,
                       mixer.indexer->kept);
  if (mixer.window > 0)
    return fmt::format("{}attention in a window of {}", latent, mixer.window);
  if (mixer.chunk > 0)
    return fmt::format("{}attention in chunks of {}", latent, mixer.chunk);
  return fmt::format("{}attention", latent);
}

std::string describe(const Recurrence& mixer) {
  static constexpr std::string_view kTexts[] = {"gated delta net", "Kimi delta attention",
                                                "lightning attention", "Mamba", "Mamba-2"};
  return std::string(kTexts[static_cast<std::size_t>(mixer.kind)]);
}

}  // namespace

bool Model::has_experts() const {
  return std::any_of(kinds.begin(), kinds.end(),
                     [](const LayerKind& kind) { return kind.experts.has_value(); });
}

Model uniform_model(LayerKind kind, std::int64_t layers) {
  Model model;
  model.kinds.push_back(std::move(kind));
  model.layers.assign(static_cast<std::size_t>(layers), 0);
  return model;
}

std::string mixer_word(const LayerKind& kind) {
  if (kind.mixers.empty())
    return kind.experts ? "router" : "";
  std::vector<std::string_view> words;
  for (const Mixer& mixer : kind.mixers)
    words.push_back(std::visit([](const auto& each) { return word(each); }, mixer));
  return fmt::format("{}", fmt::join(words, "+"));
}

std::string describe(const LayerKind& kind) {
  std::vector<std::string> parts;
  for (const Mixer& mixer : kind.mixers)
    parts.push_back(std::visit([](const auto& each) { return describe(each); }, mixer));
  std::string text = fmt::format("{}", fmt::join(parts, " beside "));
  const char* joint = text.empty() ? "" : kind.is_parallel ? " beside " : ", ";
  if (kind.mlp)
    text += joint + std::string("MLP");
  if (kind.mlp && kind.experts)
    joint = " beside ";
  if (kind.experts)
    text += fmt::format("{}{} of {} experts{}", joint, kind.experts->per_token, kind.experts->count,
                        kind.experts->shared_width > 0 ? " and shared ones" : "");
  return text;
}

std::string describe_layers(const Model& model) {
  std::vector<std::string> parts;
  for (std::size_t kind = 0; kind < model.kinds.size(); ++kind)
    if (const auto count = std::count(model.layers.begin(), model.layers.end(), kind); count > 0)
      parts.push_back(fmt::format("{} × {}", count, describe(model.kinds[kind])));
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace bubblescope
