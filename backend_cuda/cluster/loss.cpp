#include "backend_cuda/cluster/loss.h"

#include <utility>

namespace bubblescope {
namespace {

/// Exit codes that a failing process may tell: 2 usage, 3 input, 4 device; 0 tells none.
constexpr int kLeastCode = 2;
constexpr int kMostCode = 4;

}  // namespace

FrameBytes loss_frame(const Loss& loss) {
  return frame_bytes(FrameKind::Loss,
                     Packer().integer(loss.rank).text(loss.what).integer(loss.code).take());
}

Loss read_loss(Unpacker& payload, int world) {
  const auto rank = static_cast<int>(payload.integer(0, world - 1));
  std::string what = payload.words(kLongestReason);
  const auto code = static_cast<int>(payload.integer(0, kMostCode));
  payload.end();
  if (code != 0 && code < kLeastCode)
    throw BadFrame("no code of a failure");
  return {.rank = rank, .what = std::move(what), .is_told = true, .code = code};
}

}  // namespace bubblescope
