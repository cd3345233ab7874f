// How the threads of a step learn that it is aborted.
#pragma once

#include <atomic>

namespace bubblescope {

using AbortFlag = std::atomic<bool>;

/// Ends the thread that has seen it.
struct Aborted {};

}  // namespace bubblescope
