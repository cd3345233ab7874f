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
  const auto divides = [](std::int64_t degree, std::int64_t count) { return count % degree == 0; };
  if (!divides(parallel.tensor, model.heads))
    throw Error(fmt::format("tp={} does not divide the {} attention heads of {}", parallel.tensor,
                            model.heads, model.name));
  if (!divides(parallel.tensor, model.key_value_heads) &&
      !divides(model.key_value_heads, parallel.tensor))
    throw Error(fmt::format("tp={} does not divide the {} key-value heads of {}", parallel.tensor,
                            model.key_value_heads, model.name));
  if (!divides(parallel.tensor, model.mlp_width))
    throw Error(fmt::format("tp={} does not divide the MLP's width {} of {}", parallel.tensor,
                            model.mlp_width, model.name));
  if (parallel.expert > 1 && !model.experts)
    throw Error(fmt::format("ep={}, but {} has no experts", parallel.expert, model.name));
  if (parallel.expert > 1 && model.experts->count < parallel.expert)
    throw Error(fmt::format("ep={} is more than the {} experts of {}", parallel.expert,
                            model.experts->count, model.name));
  if (model.experts && !divides(parallel.expert, model.experts->count))
    throw Error(fmt::format("ep={} does not divide the {} experts of {}", parallel.expert,
                            model.experts->count, model.name));
  if (model.experts && !divides(parallel.expert_tensor(), model.experts->width))
    throw Error(fmt::format("tp={} does not divide the experts' width {} of {}", parallel.tensor,
                            model.experts->width, model.name));
  if (!divides(parallel.expert, parallel.gpus_per_stage()))
    throw Error(
        fmt::format("ep={} does not divide the {} GPUs of a stage (tp × cp × dp = {} × {} × {})",
                    parallel.expert, parallel.gpus_per_stage(), parallel.tensor, parallel.context,
                    parallel.data));
}

}  // namespace bubblescope
