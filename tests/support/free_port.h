// Ports for jobs that tests start.
#pragma once

#include <cstdint>

namespace bubblescope {

/// One that nobody has now, below those that systems give to clients. Throws std::system_error.
std::uint16_t free_port();

}  // namespace bubblescope
