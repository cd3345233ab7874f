// The lines of a process, and the thread that serves them: it sends and receives, gives signs of
// life, answers for the clock, and notices who is lost.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <poll.h>
#include <string>
#include <thread>
#include <vector>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/meeting.h"

namespace bubblescope {

/// Another process, as this one sees it.
struct Peer {
  ProcessName process;
  Line line;                             ///< Closed once it has left or died.
  Moment heard;                          ///< When its last byte came, or the first one could.
  Moment moved;                          ///< When it last took bytes.
  bool left = false;                     ///< It has said goodbye.
  bool silent = false;                   ///< It is lost, though its line is open.
  std::optional<Moment> told_all = {};   ///< When our goodbye went out.
  std::deque<std::string> gathers = {};  ///< Given to all, and not yet taken.
  std::size_t unread = 0;                ///< Bytes of its mails that wait here.
};
/// Bytes that a mail takes while it waits.
inline std::size_t size_of(const Mail& mail) {
  return sizeof mail + mail.payload.size();
}

/// Pings until enough pongs have come.
struct ClockExchange {
  int rank;
  int left;
  bool begun = false;
  Moment sent = {};
  std::optional<ClockReading> best = {};
};

/// All but constructor, destructor, `lock` and `is_lost` need the lock. The thread holds it but
/// while it waits.
class Links {
 public:
  using Lock = std::unique_lock<std::mutex>;

  Links(int rank, int world, ControlOptions options, std::vector<Member> members);
  Links(const Links&) = delete;
  Links& operator=(const Links&) = delete;
  /// Sends what is queued and says goodbye.
  ~Links();

  Lock lock() const { return Lock(mutex_); }
  /// Notified of mails, gathered payloads, readings and losses.
  std::condition_variable& changed() { return changed_; }

  Peer& peer(int rank);
  std::vector<Peer>& peers() { return peers_; }
  void queue(Peer& to, const FrameBytes& frame);
  void queue_to_all(const FrameBytes& frame);
  bool has_unsent() const;

  const std::optional<Loss>& loss() const { return loss_; }
  const std::atomic<bool>& is_lost() const { return is_lost_; }  ///< Needs no lock.
  /// All learn it from the leader. Nothing if one is known.
  void lose(int rank, const std::string& what, int code = 0);
  /// Loses a process that broke the protocol.
  void refuse(Peer& peer);
  /// This process fails.
  void fail(const std::string& what, int code);

  std::deque<Mail>& mails() { return mails_; }
  std::deque<std::vector<std::string>>& gathered() { return gathered_; }
  void begin(const ClockExchange& exchange);
  const std::optional<ClockExchange>& exchange() const { return exchange_; }

 private:
  bool leads() const { return rank_ == 0; }
  void wake();
  void run();
  void wait(Lock& lock);
  Moment next_deadline() const;
  void receive(Peer& peer);
  void handle(Peer& peer, Frame frame, Moment at);
  void take_gathered(Unpacker& payload);
  void take_loss(const Peer& peer, Unpacker& payload);
  void learn(Loss loss);
  void answer_ping(Peer& peer, Moment at);
  void take_pong(Peer& peer, const Frame& frame, Moment at);
  void ping();
  void send(Peer& peer);
  void end(Peer& peer);
  void give_signs_of_life(Moment now);
  void notice_silence(Moment now);
  void leave_step(Moment now);
  void end_process_after_grace(Moment now) const;

  const int rank_;
  const int world_;
  const ControlOptions options_;
  const ProcessName self_;
  Socket wake_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Peer> peers_;  // the leader: [rank − 1]; another: the leader
  std::deque<Mail> mails_;
  std::deque<std::vector<std::string>> gathered_;
  std::optional<ClockExchange> exchange_;
  std::optional<Loss> loss_;
  std::atomic<bool> is_lost_ = false;
  Moment lost_at_;
  Moment woke_;
  bool leaving_ = false;

  Moment next_life_;
  std::vector<pollfd> polled_;
  std::vector<std::size_t> polled_peers_;
  std::thread thread_;
};

}  // namespace bubblescope
