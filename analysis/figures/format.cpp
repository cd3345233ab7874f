#include "analysis/figures/format.h"

#include <cmath>

#include <fmt/format.h>

#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr std::string_view kStrong = "\x1b[1;32m";
constexpr std::string_view kFaint = "\x1b[2m";
constexpr std::string_view kPlain = "\x1b[0m";

}  // namespace

std::string emphasize(std::string_view text, Emphasis emphasis, Color color) {
  if (color == Color::Off || emphasis == Emphasis::None)
    return std::string(text);
  return fmt::format("{}{}{}", emphasis == Emphasis::Strong ? kStrong : kFaint, text, kPlain);
}

std::string on_terminal(std::string_view text) {
  return printable(text, [](std::string_view rest) {
    for (const std::string_view kept :
         {std::string_view("\n"), std::string_view("\r\n"), kStrong, kFaint, kPlain})
      if (rest.starts_with(kept))
        return kept.size();
    return std::size_t{0};
  });
}

TimeUnit TimeUnit::fit(Time longest) {
  const auto nanoseconds = longest.count();
  if (nanoseconds >= 10'000'000'000)
    return {1e9, "s"};
  if (nanoseconds >= 10'000'000)
    return {1e6, "ms"};
  if (nanoseconds >= 10'000)
    return {1e3, "µs"};
  return {1, "ns"};
}

std::string TimeUnit::format(Time time) const {
  const double value = static_cast<double>(time.count()) / nanoseconds_;
  return nanoseconds_ == 1 ? fmt::format("{} {}", time.count(), name_)
                           : fmt::format("{:.3f} {}", value, name_);
}

double ratio(Time part, Time whole) {
  return whole > Time::zero()
             ? static_cast<double>(part.count()) / static_cast<double>(whole.count())
             : 0.0;
}

std::string format_percent(double fraction) {
  return fmt::format("{:.2f} %", fraction * 100);
}

std::string short_percent(double fraction) {
  const double percent = std::abs(fraction * 100);
  return fmt::format("{:.{}f} %", percent, percent >= 9.95 ? 0 : percent >= 0.995 ? 1 : 2);
}

std::string format_bytes(Bytes bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; std::abs(value) >= 1023.95 && unit + 1 < std::size(kUnits); ++unit)
    value /= 1024;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

}  // namespace bubblescope
