#include "tests/cluster/by_hand.h"

#include <cerrno>
#include <chrono>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

#include <doctest/doctest.h>

#include "backend_cuda/cluster/hello.h"
#include "tests/cluster/job.h"

namespace bubblescope {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kPatience{10};

}  // namespace

Socket come_by_hand(const Seat& seat, const ControlOptions& options) {
  Socket socket;
  comes_true(
      [&] {
        socket = connect_to(seat.leader, seat.port, steady_clock::now() + seconds(1)).socket;
        return static_cast<bool>(socket);
      },
      kPatience);
  const std::string hello = *hello_frame(with_rank(seat, 1), options);
  ::send(socket.fd(), hello.data(), hello.size(), MSG_NOSIGNAL);
  CHECK(wait_for(socket.fd(), POLLIN, steady_clock::now() + kPatience));
  return socket;
}

ByHand ByHand::follower(const Seat& seat, const ControlOptions& options) {
  return ByHand(come_by_hand(seat, options));
}

ByHand ByHand::leader(const Socket& listener) {
  CHECK(wait_for(listener.fd(), POLLIN, steady_clock::now() + kPatience));
  ByHand leader(accept_at(listener).socket);
  leader.send(FrameKind::Welcome, Packer().integer(4711).text("a test").take());
  return leader;
}

void ByHand::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::send(line_.fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count < 0 &&
        (errno != EAGAIN || !wait_for(line_.fd(), POLLOUT, steady_clock::now() + kPatience)))
      return;
    bytes.remove_prefix(count > 0 ? static_cast<std::size_t>(count) : 0);
  }
}

std::optional<std::string> ByHand::next(FrameKind kind) {
  const auto give_up = steady_clock::now() + kPatience;
  while (steady_clock::now() < give_up) {
    while (std::optional<Frame> frame = line_.next())
      if (frame->kind == kind)
        return std::move(frame->payload);
    wait_for(line_.fd(), POLLIN, give_up);
    if (line_.read() == Line::Outcome::Ended)
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace bubblescope
