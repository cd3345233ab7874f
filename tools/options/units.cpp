#include "tools/options/units.h"

#include <charconv>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/costs/cost_file.h"
#include "sim/costs/cost_model.h"
#include "tools/errors.h"

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

[[noreturn]] void fail(Quantity quantity, std::string_view expected) {
  throw UsageError(fmt::format("{}: expected {}, got '{}'", quantity.option, expected,
                               quantity.text.substr(0, 40)));
}

/// The number in front of a known unit and `after` it, times the unit's factor; "0" needs no unit.
double parse(Quantity quantity, std::span<const Unit> units, std::string_view expected,
             std::string_view after = "") {
  if (!quantity.text.ends_with(after))
    fail(quantity, expected);
  double number = 0;
  const char* const begin = quantity.text.data();
  const char* const end = begin + quantity.text.size() - after.size();
  const auto [rest, error] = std::from_chars(begin, end, number);
  const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
  if (error != std::errc() || !(number >= 0) || std::isinf(number))
    fail(quantity, expected);
  if (suffix.empty() && number == 0)
    return 0;
  for (const Unit& unit : units)
    if (suffix == unit.name)
      return number * unit.factor;
  fail(quantity, expected);
}

}  // namespace

std::int64_t parse_count(Quantity quantity, Range range) {
  std::int64_t number = 0;
  const char* const end = quantity.text.data() + quantity.text.size();
  const auto [rest, error] = std::from_chars(quantity.text.data(), end, number);
  if (error != std::errc() || rest != end || number < range.least || number > range.most)
    fail(quantity, fmt::format("a whole number from {} to {}", range.least, range.most));
  return number;
}

Time parse_time(Quantity quantity) {
  const double microseconds =
      parse(quantity, kTimes, "a time with its unit, such as 601us or 1.5ms");
  try {
    const Time time = time_from_us(microseconds);
    if (microseconds > 0 && time == Time::zero())
      fail(quantity, "0, or a time of 1ns or more");
    return time;
  } catch (const Error& error) {
    throw UsageError(fmt::format("{}: {}", quantity.option, error.what()));
  }
}

double parse_percent(Quantity quantity) {
  constexpr Unit kPercents[] = {{"", 0.01}, {"%", 0.01}};
  const double share = parse(quantity, kPercents, "a percentage, such as 2 or 0.5%");
  if (share > 0 && share < 0.01 && !quantity.text.ends_with('%'))
    throw UsageError(fmt::format("{}: '{}' may mean {}% or {:g}%: add the % sign", quantity.option,
                                 quantity.text, quantity.text, share * 1e4));
  return share;
}

Bytes parse_size(Quantity quantity) {
  constexpr double kLargest = 9e18;
  const double bytes = parse(quantity, kSizes, "a size with its unit, such as 64MiB or 80GB");
  if (bytes > kLargest)
    fail(quantity, "a size below 9e18 bytes");
  const Bytes size = std::llround(bytes);
  if (bytes > 0 && size == 0)
    fail(quantity, "0, or a size of 1B or more");
  return size;
}

double parse_rate(Quantity quantity) {
  constexpr std::string_view kExpected = "a rate above zero with its unit, such as 50GB/s";
  const double rate = parse(quantity, kSizes, kExpected, "/s");
  if (rate <= 0)
    fail(quantity, kExpected);
  constexpr double kLeastRate = 1e-3;  // what a cost file tells in GB/s is above zero, too
  if (rate < kLeastRate || rate > kMostRate)
    fail(quantity, fmt::format("a rate from {:g} to {:g} bytes a second", kLeastRate, kMostRate));
  return rate;
}

}  // namespace bubblescope
