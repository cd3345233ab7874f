// A process of a job of two that a test plays frame by frame: it may lie.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/line.h"
#include "backend_cuda/cluster/seat.h"

namespace bubblescope {

/// Comes as rank 1 of a job of two, and is welcome.
Socket come_by_hand(const Seat& seat, const ControlOptions& options);

class ByHand {
 public:
  /// Rank 1.
  static ByHand follower(const Seat& seat, const ControlOptions& options);
  /// Rank 0, where a process comes to `listener`.
  static ByHand leader(const Socket& listener);

  void send(std::string_view bytes);
  void send(FrameKind kind, std::string_view payload) { send(*frame_bytes(kind, payload)); }
  /// The payload of the next frame of this kind; nothing where none comes.
  std::optional<std::string> next(FrameKind kind);
  /// The other end sees that this process has died.
  void die() { line_.close(); }

 private:
  explicit ByHand(Socket socket) : line_(std::move(socket), kLongestPayload) {}

  Line line_;
};

}  // namespace bubblescope
