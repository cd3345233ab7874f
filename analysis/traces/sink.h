#pragma once

#include <functional>
#include <string_view>

namespace bubblescope {

/// Takes the next piece of an output.
using Sink = std::function<void(std::string_view)>;

}  // namespace bubblescope
