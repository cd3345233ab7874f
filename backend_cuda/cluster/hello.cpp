#include "backend_cuda/cluster/hello.h"

#include <limits>

#include "backend_cuda/cluster/token.h"

namespace bubblescope {
namespace {

constexpr std::int64_t kMagic = 0x0a'65'6c'62'62'75'62'89;  // "\x89bubble\n", little end first

}  // namespace

FrameBytes hello_frame(const Seat& seat, const ControlOptions& options) {
  const ProcessName self = this_process(seat.rank);
  return frame_bytes(FrameKind::Hello,
                     Packer()
                         .integer(kMagic)
                         .integer(kProtocol)
                         .integer(static_cast<std::int64_t>(job_token(seat.job, seat.secret)))
                         .integer(seat.rank)
                         .integer(seat.world)
                         .integer(self.pid)
                         .text(self.host)
                         .text(options.version)
                         .take());
}

Hello read_hello(const Frame& frame) {
  Unpacker payload(frame.payload);
  if (frame.kind != FrameKind::Hello || payload.integer() != kMagic)
    throw BadFrame("no hello");
  constexpr int kMost = std::numeric_limits<int>::max();
  Hello hello{};
  hello.protocol = payload.integer();
  hello.token = static_cast<std::uint64_t>(payload.integer());
  hello.process.rank = static_cast<int>(payload.integer(0, kMost));
  hello.world = static_cast<int>(payload.integer(0, kMost));
  hello.process.pid = payload.integer(0, kMost);
  hello.process.host = payload.text();
  hello.version = payload.text();
  return hello;
}

}  // namespace bubblescope
