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
#include "tools/options/options.h"
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
std::pair<std::string_view, double> parse_pair(const char* option, std::string_view text,
                                               const char* expected) {
  const std::size_t middle = text.find('=');
  const auto factor = middle == text.npos ? std::nullopt : parse_factor(text.substr(middle + 1));
  if (!factor)
    throw UsageError(fmt::format("{}: expected {}, with a factor above 0, at most {:g}, got '{}'",
                                 option, expected, kLargestFactor, text.substr(0, 40)));
  return {text.substr(0, middle), *factor};
}

double parse_deviation(const char* option, const std::string& text) {
  if (text.empty())
    return 0;
  const double deviation = parse_percent({option, text});
  if (deviation > 1)
    throw UsageError(fmt::format("{}: expected at most 100 %, got '{}'", option, text));
  return deviation;
}

std::vector<Straggler> parse_stragglers(std::string_view list, int ranks) {
  std::vector<Straggler> stragglers;
  for (std::size_t begin = 0; !list.empty() && begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    const auto [rank, factor] =
        parse_pair("--straggler", list.substr(begin, end - begin), "RANK=FACTOR, such as 3=1.2");
    const auto number = static_cast<Rank>(parse_count({"--straggler", rank}, {0, ranks - 1}));
    if (std::any_of(stragglers.begin(), stragglers.end(),
                    [&](const Straggler& other) { return other.rank == number; }))
      throw UsageError(fmt::format("--straggler: rank {} is given twice", number));
    stragglers.push_back({number, factor});
    begin = end + 1;
  }
  return stragglers;
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
  const auto add = [&](const char* name, const char* word, const char* help, std::string& value) {
    add_option(app, {name, word, help, "Noise"}, value);
  };
  add("--jitter", "PERCENT", "standard deviation of each action's duration", jitter);
  add("--rank-jitter", "PERCENT", "of each rank's speed, drawn once a step", rank_jitter);
  add("--straggler", "R=FACTOR,...", "rank R takes FACTOR times as long", straggler);
  add("--hiccups", "PERCENT=FACTOR", "so many actions take FACTOR times as long", hiccups);
  add("--noise-factors", "FILE", "measured factors, one a line, of which each action draws one",
      factors);
  add("--samples", "N", "steps that are simulated with noise (default: 1000)", samples);
  add("--seed", "N", "of the noise (default: 1)", seed);
}

bool NoiseCommandOptions::are_given() const {
  const std::string* all[] = {&jitter,  &rank_jitter, &straggler, &hiccups,
                              &factors, &samples,     &seed};
  return std::any_of(std::begin(all), std::end(all),
                     [](const std::string* value) { return !value->empty(); });
}

std::optional<NoiseOptions> NoiseCommandOptions::parsed(int ranks) const {
  NoiseOptions options;
  Noise& noise = options.noise;
  noise.jitter = parse_deviation("--jitter", jitter);
  noise.rank_jitter = parse_deviation("--rank-jitter", rank_jitter);
  noise.stragglers = parse_stragglers(straggler, ranks);
  if (!hiccups.empty()) {
    const auto [share, factor] = parse_pair("--hiccups", hiccups, "PERCENT=FACTOR, such as 1%=3");
    noise.hiccup_share = parse_deviation("--hiccups", std::string(share));
    noise.hiccup_factor = factor;
  }
  if (!factors.empty())
    noise.measured = read_factors(factors);
  if (!noise.is_given()) {
    if (!samples.empty() || !seed.empty())
      throw UsageError(
          fmt::format("{} needs noise: --jitter, --rank-jitter, --straggler, --hiccups "
                      "or --noise-factors",
                      samples.empty() ? "--seed" : "--samples"));
    return std::nullopt;
  }
  if (!samples.empty())
    options.samples = static_cast<int>(parse_count({"--samples", samples}, {1, 10'000'000}));
  if (!seed.empty())
    options.seed = static_cast<std::uint64_t>(
        parse_count({"--seed", seed}, {0, std::numeric_limits<std::int64_t>::max()}));
  return options;
}

}  // namespace bubblescope
