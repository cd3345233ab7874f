// One end of a TCP connection between two processes: frames go out and come in as far as they do
// without waiting.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "backend_cuda/cluster/frame.h"
#include "backend_cuda/cluster/socket.h"

namespace bubblescope {

class Line {
 public:
  Line(Socket socket, std::size_t longest) : socket_(std::move(socket)), reader_(longest) {}

  int fd() const { return socket_.fd(); }
  bool open() const { return static_cast<bool>(socket_); }
  void close() { socket_.close(); }
  void expect_up_to(std::size_t longest) { reader_.expect_up_to(longest); }

  void queue(FrameBytes frame) { unsent_.push_back(std::move(frame)); }
  bool has_unsent() const { return !unsent_.empty(); }

  enum class Outcome : std::uint8_t {
    Nothing,  ///< The socket would have to wait.
    Some,
    Ended,  ///< The other end has closed it, or is gone.
  };
  /// Sends what is queued, but no more than a few MiB at once.
  Outcome flush();
  /// Takes what has come, but no more than a few hundred KiB at once.
  Outcome read();
  /// The next frame of what was read. Throws BadFrame.
  std::optional<Frame> next() { return reader_.next(); }
  /// Tells the other end that nothing follows.
  void end_sending();

 private:
  Socket socket_;
  FrameReader reader_;
  std::deque<FrameBytes> unsent_;
  std::size_t sent_of_first_ = 0;
};

}  // namespace bubblescope
