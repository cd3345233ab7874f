// The lines on which the processes of a job talk: rank 0, the leader, has one to each other.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend_cuda/cluster/seat.h"
#include "backend_cuda/replay/clock_line.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope {

struct ControlOptions {
  /// For all to come together.
  std::chrono::milliseconds meet_timeout{60'000};
  /// Every process gives a sign of life five times in this; one that does not is lost.
  std::chrono::milliseconds silence{5'000};
  /// After a loss the process has to end within this, or is ended with exit code 4.
  std::chrono::milliseconds grace{8'000};
  /// Bytes of one process's mails that may wait here: a process that sends more is lost.
  std::size_t most_unread = std::size_t{1} << 30;
  /// What has to be equal in all processes, such as "bubblescope 0.1.0": a difference is told.
  std::string version = {};
  /// What clock readings read; others than the steady clock are for tests.
  std::function<std::chrono::steady_clock::time_point()> clock = &std::chrono::steady_clock::now;
};

/// A process that has died, hangs or failed; the first one of a job, and the same in all processes,
/// but where they lose the leader.
struct Loss {
  int rank;
  std::string what;      ///< "rank 2 (host gpu7, process 4711) has died"
  bool is_told = false;  ///< By another process, which also tells the user.
  int code = 0;          ///< That process's word for what kind it is; 0 where it has died or hangs.
};

/// Thrown in every process once one is lost.
class PeerLost : public DeviceError {
 public:
  explicit PeerLost(Loss loss) : DeviceError(loss.what), loss_(std::move(loss)) {}
  const Loss& loss() const { return loss_; }

 private:
  Loss loss_;
};

/// A fault of the job, which all processes find at once: the message names those at fault.
class JobError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// A message from another process.
struct Mail {
  int from;
  std::string payload;
};

/// Made and used by one thread of each process, but for `loss` and `fail`. A thread of its own
/// gives signs of life, answers for the clock, and notices who does not.
class Control {
 public:
  /// Returns once all processes have come. Throws DeviceError that tells which ranks are missing,
  /// come twice, are of another version, of another world's size, or of another job.
  static std::unique_ptr<Control> meet(const Seat& seat, const ControlOptions& options);

  Control() = default;
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;
  virtual ~Control() = default;  ///< Says goodbye: to leave is no loss.

  virtual int rank() const = 0;
  virtual int world() const = 0;
  /// How long processes may take to come to where others wait for them.
  virtual std::chrono::milliseconds patience() const = 0;
  bool leads() const { return rank() == 0; }

  /// [rank] What each process gives; all have to call it. Throws PeerLost, in the end also where
  /// one lives and does not come.
  virtual std::vector<std::string> all_gather(const std::string& mine) = 0;
  /// From the leader to any other, or from another to the leader. Does not wait.
  /// Where the other has gone, it goes nowhere.
  virtual void send(int to, const std::string& payload) = 0;
  /// The next message, if one comes in time. Throws PeerLost, also where the leader has left and
  /// nothing of it remains.
  virtual std::optional<Mail> receive(std::chrono::milliseconds patience) = 0;

  /// Tells all others that this process fails, and why: they lose it. Does not throw. Waits, but
  /// at most half a second, until the words are on their way.
  virtual void fail(const std::string& what, int code = 0) noexcept = 0;
  /// The first loss that this process knows of.
  virtual std::optional<Loss> loss() const = 0;
  /// Whether there is one: for handlers of signals, which may not take locks.
  virtual const std::atomic<bool>& is_lost() const = 0;
  /// After a loss: the message if it comes in time, while others may still have something to tell.
  virtual std::optional<Mail> receive_after_loss(std::chrono::milliseconds patience) = 0;
  /// Of a process to which this one has a line.
  enum class Presence : std::uint8_t { There, Left, Lost };
  virtual Presence presence(int rank) = 0;

  /// "rank 2 (host gpu7, process 4711)": this process, or one to which it has a line.
  virtual std::string name(int rank) = 0;
  /// Ends the job because process `rank` broke the protocol. Throws PeerLost.
  [[noreturn]] virtual void refuse(int rank) = 0;

  /// Only the leader asks: the fastest of so many exchanges. Throws PeerLost.
  virtual ClockReading read_clock(int rank, int rounds = 64) = 0;
};

}  // namespace bubblescope
