#include "sim/transformer/parallel.h"

#include <charconv>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"

namespace bubblescope {
namespace {

constexpr std::int64_t kMost = 1'000'000;

const std::vector<std::string> kNames = {"tp", "ep", "dp", "cp"};
constexpr std::optional<std::int64_t> Degrees::*kDegrees[] = {&Degrees::tensor, &Degrees::expert,
                                                              &Degrees::data, &Degrees::context};

/// "tp=8" at the given place, from 1.
void read_word(std::string_view word, std::size_t place, Degrees& degrees) {
  const auto fail = [&](const std::string& what) {
    throw Error(fmt::format("at '{}' (character {}): {}", word.substr(0, 40), place, what));
  };
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos)
    fail("expected a degree such as tp=8");
  const std::string name(word.substr(0, equals));
  std::size_t which = 0;
  while (which < kNames.size() && kNames[which] != name)
    ++which;
  if (which == kNames.size())
    fail(fmt::format("expected tp, ep, dp or cp{}", did_you_mean(name, kNames)));
  if (degrees.*kDegrees[which])
    fail(fmt::format("{} is given twice", name));
  const std::string_view digits = word.substr(equals + 1);
  std::int64_t value = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || rest != digits.data() + digits.size() || value < 1 || value > kMost)
    fail(fmt::format("expected a number of GPUs from 1 to {}", kMost));
  degrees.*kDegrees[which] = value;
}

/// Refuses what a degree does not divide.
class Division {
 public:
  Division(const Parallel& parallel, const Model& model) : parallel_(parallel), model_(model) {}

  void check(const Attention& attention) const {
    tensor_divides(attention.heads, "the {} attention heads");
    tensor_divides_groups(attention.key_value_heads, "the {} key-value heads");
  }
  void check(const Recurrence& mixer) const {
    tensor_divides(mixer.heads, "the {} heads of a recurrence");
    if (mixer.heads % (parallel_.tensor * parallel_.context) != 0)
      throw Error(
          fmt::format("cp={} beside tp={} does not divide the {} heads of a recurrence of {}",
                      parallel_.context, parallel_.tensor, mixer.heads, model_.name));
    tensor_divides_groups(mixer.key_heads, "the {} key heads of a recurrence");
  }
  void check(const Mlp& mlp) const { tensor_divides(mlp.width, "the MLP's width {}"); }
  void check(const Experts& experts) const {
    const std::int64_t expert = parallel_.expert;
    if (experts.count < expert)
      throw Error(fmt::format("ep={} is more than the {} experts of {}", expert, experts.count,
                              model_.name));
    if (experts.count % expert != 0)
      throw Error(fmt::format("ep={} does not divide the {} experts of {}", expert, experts.count,
                              model_.name));
    if (parallel_.expert_tensor() > 1)
      tensor_divides(experts.each.width, "the experts' width {}");
    if (experts.shared_width > 0)
      tensor_divides(experts.shared_width, "the shared experts' width {}");
  }

 private:
  void tensor_divides(std::int64_t count, const char* what) const {
    if (count % parallel_.tensor != 0)
      throw Error(fmt::format("tp={} does not divide {} of {}", parallel_.tensor,
                              fmt::format(fmt::runtime(what), count), model_.name));
  }
  /// Where there are more GPUs than groups, some have the same.
  void tensor_divides_groups(std::int64_t count, const char* what) const {
    if (count == 0 || parallel_.tensor % count != 0)
      tensor_divides(count, what);
  }

  const Parallel& parallel_;
  const Model& model_;
};

}  // namespace

Degrees parse_degrees(std::string_view text) {
  Degrees degrees;
  for (std::size_t begin = 0; begin <= text.size() && !text.empty();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    read_word(text.substr(begin, end - begin), begin + 1, degrees);
    begin = end + 1;
  }
  return degrees;
}

Parallel Degrees::complete() const {
  Parallel parallel{
      .tensor = tensor.value_or(1), .expert = expert.value_or(1), .context = context.value_or(1)};
  const std::int64_t whole = parallel.tensor * parallel.context;
  parallel.data = data.value_or(parallel.expert / std::gcd(whole, parallel.expert));
  return parallel;
}

void check(const Parallel& parallel, const Model& model) {
  const Division division(parallel, model);
  for (const LayerKind& kind : model.kinds) {
    for (const Mixer& mixer : kind.mixers)
      std::visit([&](const auto& each) { division.check(each); }, mixer);
    if (kind.mlp)
      division.check(*kind.mlp);
    if (kind.experts)
      division.check(*kind.experts);
  }
  if (parallel.expert > 1 && !model.has_experts())
    throw Error(fmt::format("ep={}, but {} has no experts", parallel.expert, model.name));
  if (parallel.gpus_per_stage() % parallel.expert != 0)
    throw Error(
        fmt::format("ep={} does not divide the {} GPUs of a stage (tp × cp × dp = {} × {} × {})",
                    parallel.expert, parallel.gpus_per_stage(), parallel.tensor, parallel.context,
                    parallel.data));
}

}  // namespace bubblescope
