#include "tools/options/noise_options.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "tools/errors.h"
#include "tools/options/units.h"

namespace bubblescope {
namespace {

constexpr double kLargestFactor = 1000;

/// None where `text` is not a number above 0, at most kLargestFactor, and nothing else.
std::optional<double> parse_factor(std::string_view text) {
  double factor = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), factor);
  if (error != std::errc() || rest != text.data() + text.size() ||
      !(factor > 0 && factor <= kLargestFactor))
    return std::nullopt;
  return factor;
}

/// "3=1.2" in its two halves.
std::pair<std::string, double> read_pair(std::string_view word, const char* expected) {
  const std::size_t middle = word.find('=');
  const auto factor = middle == word.npos ? std::nullopt : parse_factor(word.substr(middle + 1));
  if (!factor)
    refuse_word(fmt::format("{}, with a factor above 0, at most {:g}", expected, kLargestFactor),
                word);
  return {std::string(word.substr(0, middle)), *factor};
}

double read_deviation(const std::string& word) {
  const double deviation = read_percent(word);
  if (deviation > 1)
    refuse_word("at most 100 %", word);
  return deviation;
}

Straggler read_straggler(const std::string& word) {
  const auto [rank, factor] = read_pair(word, "RANK=FACTOR, such as 3=1.2");
  return {count_from(0)(rank), factor};
}

/// A factor a line.
std::vector<double> read_factors(const std::string& path) {
  constexpr std::size_t kMostBytes = std::size_t{64} << 20U;
  const std::string text = read_file(path, kMostBytes);
  std::vector<double> factors;
  std::size_t line_number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = std::string_view(text).substr(begin, end - begin);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    begin = end + 1;
    ++line_number;
    if (line.empty() || line.starts_with('#'))
      continue;
    const auto factor = parse_factor(line);
    if (!factor)
      throw Error(fmt::format("{}:{}: expected a factor above 0, at most {:g}, got '{}'", path,
                              line_number, kLargestFactor, line.substr(0, 40)));
    factors.push_back(*factor);
  }
  if (factors.empty())
    throw Error(fmt::format("{}: has no factors", path));
  return factors;
}

}  // namespace

void NoiseCommandOptions::add_to(CLI::App& app) {
  const char* group = "Noise";
  Noise& noise = asked.noise;
  sources.add(add_option(
      app, {"--jitter", "PERCENT", "standard deviation of each action's duration", group},
      noise.jitter, read_deviation));
  sources.add(add_option(
      app, {"--rank-jitter", "PERCENT", "of each rank's speed, drawn once a step", group},
      noise.rank_jitter, read_deviation));
  sources.add(add_list(app,
                       {"--straggler", "R=FACTOR,...", "rank R takes FACTOR times as long", group},
                       noise.stragglers, read_straggler));
  sources.add(declare_option(
      app, {"--hiccups", "PERCENT=FACTOR", "so many actions take FACTOR times as long", group},
      [&noise](const std::string& word) {
        const auto [share, factor] = read_pair(word, "PERCENT=FACTOR, such as 1%=3");
        noise.hiccup_share = read_deviation(share);
        noise.hiccup_factor = factor;
      }));
  sources.add(add_option(app,
                         {"--noise-factors", "FILE",
                          "measured factors, one a line, of which each action draws one", group},
                         noise.measured, read_factors));
  constexpr int kMostSamples = 10'000'000;
  sampling.add(add_option(
      app, {"--samples", "N", "steps that are simulated with noise (default: 1000)", group},
      asked.samples, count_from(1, kMostSamples)));
  sampling.add(add_option(app, {"--seed", "N", "of the noise (default: 1)", group}, asked.seed,
                          count_from<std::uint64_t>(0, std::numeric_limits<std::int64_t>::max())));
}

std::optional<NoiseOptions> NoiseCommandOptions::noise(int ranks) const {
  const auto& stragglers = asked.noise.stragglers;
  for (auto each = stragglers.begin(); each != stragglers.end(); ++each) {
    if (each->rank >= ranks)
      throw wrong_option("--straggler",
                         fmt::format("there are ranks 0 to {}, got {}", ranks - 1, each->rank));
    if (std::any_of(stragglers.begin(), each,
                    [&](const Straggler& other) { return other.rank == each->rank; }))
      throw wrong_option("--straggler", fmt::format("rank {} is given twice", each->rank));
  }
  if (asked.noise.is_given())
    return asked;
  if (sampling.is_given())
    throw UsageError(fmt::format("{} needs noise: --jitter, --rank-jitter, --straggler, --hiccups "
                                 "or --noise-factors",
                                 sampling.first_given()),
                     {sampling.first_given()});
  return std::nullopt;
}

}  // namespace bubblescope
