#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bubblescope {

/// With small letters.
std::string lower(std::string_view text);

/// The candidate that a mistyped `name` most likely means, whatever the case of its letters: one
/// that has the name in it, else the nearest by edit distance (an insertion, a deletion, a
/// substitution or a swap of neighbours each count one); none if all are too far.
std::optional<std::string> nearest_name(std::string_view name,
                                        std::span<const std::string> candidates);

/// "; did you mean 'zb-h1'?", or nothing: the end of an error message about an unknown name.
std::string did_you_mean(std::string_view name, std::span<const std::string> candidates);

}  // namespace bubblescope
