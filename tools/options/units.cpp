#include "tools/options/units.h"

#include <charconv>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/costs/cost_file.h"
#include "sim/costs/cost_model.h"
#include "tools/options/option.h"

namespace bubblescope {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

constexpr Unit kTimes[] = {{"ns", 1e-3}, {"us", 1}, {"µs", 1}, {"ms", 1e3}, {"s", 1e6}};
constexpr Unit kSizes[] = {{"B", 1},           {"KB", 1e3},           {"MB", 1e6},
                           {"GB", 1e9},        {"TB", 1e12},          {"KiB", 1024.0},
                           {"MiB", 1048576.0}, {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}};
constexpr Unit kRates[] = {
    {"B/s", 1},           {"KB/s", 1e3},           {"MB/s", 1e6},
    {"GB/s", 1e9},        {"TB/s", 1e12},          {"KiB/s", 1024.0},
    {"MiB/s", 1048576.0}, {"GiB/s", 1073741824.0}, {"TiB/s", 1099511627776.0},
    {"Mb/s", 1.25e5},     {"Gb/s", 1.25e8},        {"Tb/s", 1.25e11},
    {"Mbps", 1.25e5},     {"Gbps", 1.25e8},        {"Tbps", 1.25e11}};
constexpr Unit kPercents[] = {{"", 0.01}, {"%", 0.01}};

/// The number in front of a known unit times the unit's factor; "0" needs no unit.
double read(std::string_view word, std::span<const Unit> units, std::string_view expected) {
  double number = 0;
  const char* const end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, number);
  const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
  if (error != std::errc() || !(number >= 0) || std::isinf(number))
    refuse_word(expected, word);
  if (suffix.empty() && number == 0)
    return 0;
  for (const Unit& unit : units)
    if (suffix == unit.name)
      return number * unit.factor;
  refuse_word(expected, word);
}

}  // namespace

double read_factor(std::string_view word, double least, double most) {
  double factor = 0;
  const auto [rest, error] = std::from_chars(word.data(), word.data() + word.size(), factor);
  if (error != std::errc() || rest != word.data() + word.size() ||
      !(factor >= least && factor <= most))
    refuse_word(fmt::format("a number from {:g} to {:g}", least, most), word);
  return factor;
}

std::int64_t read_count(std::string_view word, std::int64_t least, std::int64_t most) {
  constexpr std::int64_t kThousand = 1024;
  const std::int64_t factor = word.ends_with('k') || word.ends_with('K') ? kThousand : 1;
  std::int64_t number = 0;
  const char* const end = word.data() + word.size() - (factor > 1 ? 1 : 0);
  const auto [rest, error] = std::from_chars(word.data(), end, number);
  if (error != std::errc() || rest != end || number > most / factor || number * factor < least)
    refuse_word(fmt::format("a whole number from {} to {}", least, most), word);
  return number * factor;
}

Time read_time(std::string_view word) {
  const double microseconds = read(word, kTimes, "a time with its unit, such as 601us or 1.5ms");
  try {
    const Time time = time_from_us(microseconds);
    if (microseconds > 0 && time == Time::zero())
      refuse_word("0, or a time of 1ns or more", word);
    return time;
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
}

double read_percent(std::string_view word) {
  const double share = read(word, kPercents, "a percentage, such as 2 or 0.5%");
  if (share > 0 && share < 0.01 && !word.ends_with('%'))
    throw UsageError(
        fmt::format("'{}' may mean {}% or {:g}%: add the % sign", word, word, share * 1e4));
  return share;
}

Bytes read_size(std::string_view word) {
  constexpr double kLargest = 9e18;
  const double bytes = read(word, kSizes, "a size with its unit, such as 64MiB or 80GB");
  if (bytes > kLargest)
    refuse_word("a size below 9e18 bytes", word);
  const Bytes size = std::llround(bytes);
  if (bytes > 0 && size == 0)
    refuse_word("0, or a size of 1B or more", word);
  return size;
}

double read_rate(std::string_view word) {
  constexpr std::string_view kExpected =
      "a rate above zero with its unit, such as 50GB/s or 400Gb/s";
  const double rate = read(word, kRates, kExpected);
  if (rate <= 0)
    refuse_word(kExpected, word);
  constexpr double kLeastRate = 1e-3;  // a cost file's GB/s are above zero, too
  if (rate < kLeastRate || rate > kMostRate)
    refuse_word(fmt::format("a rate from {:g} to {:g} bytes a second", kLeastRate, kMostRate),
                word);
  return rate;
}

}  // namespace bubblescope
