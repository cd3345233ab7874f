#include "backend_cuda/cluster/line.h"

#include <array>
#include <cerrno>
#include <string_view>
#include <sys/socket.h>

namespace bubblescope {
namespace {

constexpr std::size_t kChunk = 65'536;
constexpr int kChunksAtOnce = 4;
constexpr std::size_t kMostToSend = std::size_t{4} << 20;  // so that others are served, too

bool has_to_wait(int error) {
  return error == EAGAIN || error == EWOULDBLOCK;
}

}  // namespace

Line::Outcome Line::flush() {
  Outcome outcome = Outcome::Nothing;
  for (std::size_t sent = 0; !unsent_.empty() && sent < kMostToSend;) {
    const std::string_view rest =
        std::string_view(*unsent_.front()).substr(sent_of_first_, kMostToSend);
    const ssize_t count = ::send(fd(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return has_to_wait(errno) ? outcome : Outcome::Ended;
    outcome = Outcome::Some;
    sent += static_cast<std::size_t>(count);
    sent_of_first_ += static_cast<std::size_t>(count);
    if (sent_of_first_ == unsent_.front()->size()) {
      unsent_.pop_front();
      sent_of_first_ = 0;
    }
  }
  return outcome;
}

Line::Outcome Line::read() {
  std::array<char, kChunk> chunk;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled below
  Outcome outcome = Outcome::Nothing;
  for (int i = 0; i < kChunksAtOnce;) {
    const ssize_t count = ::recv(fd(), chunk.data(), chunk.size(), 0);
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return has_to_wait(errno) ? outcome : Outcome::Ended;
    if (count == 0)
      return Outcome::Ended;
    outcome = Outcome::Some;
    reader_.feed({chunk.data(), static_cast<std::size_t>(count)});
    if (static_cast<std::size_t>(count) < chunk.size())
      break;
    ++i;
  }
  return outcome;
}

void Line::end_sending() {
  static_cast<void>(::shutdown(fd(), SHUT_WR));  // it may have ended by itself
}

}  // namespace bubblescope
