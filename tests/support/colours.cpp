#include "tests/support/colours.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace bubblescope {
namespace {

using Triple = std::array<double, 3>;

/// Linear red, green and blue of sRGB.
Triple linear(std::string_view colour) {
  Triple out{};
  for (std::size_t i = 0; i < 3; ++i) {
    const double c = std::stoi(std::string(colour.substr(1 + 2 * i, 2)), nullptr, 16) / 255.0;
    out[i] = c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  }
  return out;
}

double luminance(const Triple& c) {
  return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2];
}

Triple seen(const Triple& colour, Vision vision) {
  static constexpr std::array<std::array<Triple, 3>, 4> kMatrix = {{
      {{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}}},
      {{{0.152286, 1.052583, -0.204868},
        {0.114503, 0.786281, 0.099216},
        {-0.003882, -0.048116, 1.051998}}},
      {{{0.367322, 0.860646, -0.227968},
        {0.280085, 0.672501, 0.047413},
        {-0.011820, 0.042940, 0.968881}}},
      {{{1.255528, -0.076749, -0.178779},
        {-0.078411, 0.930809, 0.147602},
        {0.004733, 0.691367, 0.303900}}},
  }};
  Triple out{};
  for (std::size_t row = 0; row < 3; ++row) {
    const Triple& m = kMatrix[static_cast<std::size_t>(vision)][row];
    out[row] = std::clamp(m[0] * colour[0] + m[1] * colour[1] + m[2] * colour[2], 0.0, 1.0);
  }
  return out;
}

/// CIE L*a*b* under D65.
Triple lab(const Triple& c) {
  const auto f = [](double t) {
    return t > 216.0 / 24389 ? std::cbrt(t) : (24389.0 / 27 * t + 16) / 116;
  };
  const double x = f((0.4124564 * c[0] + 0.3575761 * c[1] + 0.1804375 * c[2]) / 0.95047);
  const double y = f(0.2126729 * c[0] + 0.7151522 * c[1] + 0.0721750 * c[2]);
  const double z = f((0.0193339 * c[0] + 0.1191920 * c[1] + 0.9503041 * c[2]) / 1.08883);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

}  // namespace

double contrast(std::string_view first, std::string_view second) {
  const double a = luminance(linear(first));
  const double b = luminance(linear(second));
  return (std::max(a, b) + 0.05) / (std::min(a, b) + 0.05);
}

double colour_difference(std::string_view first, std::string_view second, Vision vision) {
  const Triple a = lab(seen(linear(first), vision));
  const Triple b = lab(seen(linear(second), vision));
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
}

}  // namespace bubblescope
