#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/links.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kFailPatience{500};
/// For what the leader has found to arrive.
constexpr milliseconds kToTell{500};
/// So that moments in the future stay within what counts them.
constexpr std::chrono::hours kLongestPatience{10'000};

class LineControl final : public Control {
 public:
  LineControl(const Seat& seat, const ControlOptions& options, std::vector<Member> members)
      : rank_(seat.rank),
        world_(seat.world),
        patience_(options.meet_timeout),
        clock_(options.clock),
        links_(seat.rank, seat.world, options, std::move(members)) {}

  int rank() const override { return rank_; }
  int world() const override { return world_; }
  milliseconds patience() const override { return patience_; }

  std::vector<std::string> all_gather(const std::string& mine) override {
    Links::Lock lock = links_.lock();
    return leads() ? gather_as_leader(lock, mine) : gather_as_follower(lock, mine);
  }

  void send(int to, const std::string& payload) override {
    const FrameBytes frame = frame_bytes(FrameKind::Mail, payload);
    const Links::Lock lock = links_.lock();
    links_.queue(links_.peer(to), frame);
  }

  std::optional<Mail> receive(milliseconds patience) override {
    Links::Lock lock = links_.lock();
    // Nobody else writes to those that are not the leader.
    const auto all_has_come = [&] { return !leads() && links_.peer(0).left; };
    links_.changed().wait_for(
        lock, patience, [&] { return links_.loss() || !links_.mails().empty() || all_has_come(); });
    throw_if_lost();
    if (links_.mails().empty() && all_has_come())
      throw_left(links_.peer(0));
    return take_mail();
  }

  void fail(const std::string& what, int code) noexcept override {
    try {
      Links::Lock lock = links_.lock();
      links_.fail(what, code);
      links_.changed().wait_for(lock, kFailPatience, [&] { return !links_.has_unsent(); });
    } catch (...) {  // without memory for the words, the others notice by the end of this process
    }
  }

  std::optional<Loss> loss() const override {
    const Links::Lock lock = links_.lock();
    return links_.loss();
  }
  const std::atomic<bool>& is_lost() const override { return links_.is_lost(); }

  std::optional<Mail> receive_after_loss(milliseconds patience) override {
    Links::Lock lock = links_.lock();
    links_.changed().wait_for(lock, patience, [&] {
      const auto& peers = links_.peers();
      return !links_.mails().empty() ||
             std::none_of(peers.begin(), peers.end(),
                          [](const Peer& each) { return each.line.open() && !each.silent; });
    });
    return take_mail();
  }

  Presence presence(int rank) override {
    const Links::Lock lock = links_.lock();
    const Peer& peer = links_.peer(rank);
    return peer.left                          ? Presence::Left
           : peer.line.open() && !peer.silent ? Presence::There
                                              : Presence::Lost;
  }

  std::string name(int rank) override {
    const Links::Lock lock = links_.lock();
    return to_string(rank == rank_ ? this_process(rank) : links_.peer(rank).process);
  }

  [[noreturn]] void refuse(int rank) override {
    const Links::Lock lock = links_.lock();
    links_.refuse(links_.peer(rank));
    throw PeerLost(*links_.loss());
  }

  ClockReading read_clock(int rank, int rounds) override {
    if (rank == rank_)
      return {clock_(), {}, {}};
    Links::Lock lock = links_.lock();
    Peer& peer = links_.peer(rank);
    links_.begin({rank, std::max(rounds, 1)});
    links_.changed().wait(
        lock, [&] { return links_.loss() || !peer.line.open() || links_.exchange()->left == 0; });
    throw_if_lost();
    if (links_.exchange()->left > 0)
      throw_left(peer);
    return *links_.exchange()->best;
  }

 private:
  std::vector<std::string> gather_as_leader(Links::Lock& lock, const std::string& mine) {
    const auto has_left = [](const Peer& each) { return each.gathers.empty() && each.left; };
    const auto has_given = [](const Peer& each) { return !each.gathers.empty(); };
    std::vector<Peer>& peers = links_.peers();
    const bool is_over = links_.changed().wait_for(lock, patience_, [&] {
      return links_.loss() || std::any_of(peers.begin(), peers.end(), has_left) ||
             std::all_of(peers.begin(), peers.end(), has_given);
    });
    throw_if_lost();
    if (!is_over)
      throw_late(*std::find_if_not(peers.begin(), peers.end(), has_given));
    if (const auto gone = std::find_if(peers.begin(), peers.end(), has_left); gone != peers.end())
      throw_left(*gone);
    std::vector<std::string> all = {mine};
    for (Peer& each : peers) {
      all.push_back(std::move(each.gathers.front()));
      each.gathers.pop_front();
    }
    lock.unlock();  // signs of life do not wait for large payloads
    Packer payload;
    payload.integer(world_);
    for (const std::string& each : all)
      payload.text(each);
    const FrameBytes frame = frame_bytes(FrameKind::Gathered, payload.take());
    lock.lock();
    links_.queue_to_all(frame);
    return all;
  }

  std::vector<std::string> gather_as_follower(Links::Lock& lock, const std::string& mine) {
    throw_if_lost();
    Peer& leader = links_.peer(0);
    links_.queue(leader, frame_bytes(FrameKind::Gather, mine));
    // The leader may come as late as any other, and then waits for the last.
    const bool is_over = links_.changed().wait_for(lock, 2 * patience_ + kToTell, [&] {
      return links_.loss() || leader.left || !links_.gathered().empty();
    });
    throw_if_lost();
    if (!is_over)
      throw_late(leader);
    if (links_.gathered().empty())
      throw_left(leader);
    std::vector<std::string> all = std::move(links_.gathered().front());
    links_.gathered().pop_front();
    return all;
  }

  void throw_if_lost() const {
    if (links_.loss())
      throw PeerLost(*links_.loss());
  }

  /// To leave is a loss to those who wait.
  [[noreturn]] void throw_left(const Peer& peer) {
    links_.lose(peer.process.rank, to_string(peer.process) + " has left, while others wait for it");
    throw PeerLost(*links_.loss());
  }

  [[noreturn]] void throw_late(const Peer& peer) {
    links_.lose(peer.process.rank,
                fmt::format("{} lives, but has not come within {} to where others wait for it",
                            to_string(peer.process), seconds_text(patience_)));
    throw PeerLost(*links_.loss());
  }

  std::optional<Mail> take_mail() {
    if (links_.mails().empty())
      return std::nullopt;
    Mail mail = std::move(links_.mails().front());
    links_.mails().pop_front();
    links_.peer(mail.from).unread -= size_of(mail);
    return mail;
  }

  int rank_;
  int world_;
  milliseconds patience_;
  std::function<Moment()> clock_;
  Links links_;
};

}  // namespace

std::unique_ptr<Control> Control::meet(const Seat& seat, const ControlOptions& options) {
  ControlOptions bounded = options;
  bounded.meet_timeout = std::min<milliseconds>(options.meet_timeout, kLongestPatience);
  std::vector<Member> members;
  if (seat.world > 1 && seat.rank == 0)
    members = meet_as_leader(seat, bounded);
  else if (seat.world > 1)
    members.push_back(meet_as_follower(seat, bounded));
  return std::make_unique<LineControl>(seat, bounded, std::move(members));
}

}  // namespace bubblescope
