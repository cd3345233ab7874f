// How well two colours, "#rrggbb", are told apart, by standards.
#pragma once

#include <cstdint>
#include <string_view>

namespace bubblescope {

/// Contrast ratio of WCAG 2.2, 1 … 21.
double contrast(std::string_view first, std::string_view second);

/// As those see who lack one kind of cone.
enum class Vision : std::uint8_t { Normal, Protanopia, Deuteranopia, Tritanopia };

/// CIE 1976 ΔE, of the colours as seen: by the matrices of Machado, Oliveira and Fernandes (2009)
/// at severity 1. About 2 is just noticeable.
double colour_difference(std::string_view first, std::string_view second, Vision vision);

}  // namespace bubblescope
