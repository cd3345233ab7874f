#include "backend_cuda/cluster/links.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <string>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/cluster/loss.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr int kDeviceExit = 4;
constexpr int kSignsInSilence = 5;
/// The farthest moment from a clock's epoch, 36 years: differences stay far from an overflow.
constexpr std::int64_t kFarthestMoment = std::int64_t{1} << 60;
/// At the end: for those that take nothing after a loss, and for an answer to the goodbye.
constexpr std::chrono::seconds kLastPatience{1};

/// Signals are for the threads that the program has made itself.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

std::int64_t as_integer(Moment moment) {
  return nanoseconds(moment.time_since_epoch()).count();
}

}  // namespace

Links::Links(int rank, int world, ControlOptions options, std::vector<Member> members)
    : rank_(rank), world_(world), options_(std::move(options)), self_(this_process(rank)) {
  const Moment now = steady_clock::now();
  next_life_ = now;
  woke_ = now;
  for (Member& member : members)
    peers_.push_back({std::move(member.process), std::move(member.line), now, now});
  if (peers_.empty())
    return;
  wake_ = Socket(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake_)
    throw DeviceError("no eventfd: " + std::generic_category().message(errno));
  try {
    const SignalsBlocked blocked;
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw DeviceError("no thread for the lines between processes: " + error.code().message());
  }
}

Links::~Links() {
  if (!thread_.joinable())
    return;
  {
    const Lock held = lock();
    leaving_ = true;
    const FrameBytes goodbye = frame_bytes(FrameKind::Goodbye, "");
    const Moment now = steady_clock::now();
    for (Peer& each : peers_) {
      each.moved = now;
      queue(each, goodbye);
    }
    wake();
  }
  thread_.join();
}

Peer& Links::peer(int rank) {
  const auto found = std::find_if(peers_.begin(), peers_.end(),
                                  [&](const Peer& each) { return each.process.rank == rank; });
  assert(found != peers_.end());  // only the leader has lines to all
  return *found;
}

void Links::queue(Peer& to, const FrameBytes& frame) {
  if (!to.line.open())
    return;
  to.line.queue(frame);
  wake();
}

void Links::queue_to_all(const FrameBytes& frame) {
  for (Peer& each : peers_)
    queue(each, frame);
}

bool Links::has_unsent() const {
  return std::any_of(peers_.begin(), peers_.end(), [](const Peer& each) {
    return each.line.open() && !each.silent && each.line.has_unsent();
  });
}

void Links::wake() {
  const std::uint64_t one = 1;
  static_cast<void>(::write(wake_.fd(), &one, sizeof one));  // full is awake, too
}

void Links::lose(int rank, const std::string& what, int code) {
  if (loss_)
    return;
  learn({.rank = rank, .what = what, .code = code});
  queue_to_all(loss_frame(*loss_));
}

void Links::learn(Loss loss) {
  if (!loss_)
    lost_at_ = steady_clock::now();
  loss_ = std::move(loss);
  is_lost_ = true;
  changed_.notify_all();
}

/// Nobody waits for its last words.
void Links::refuse(Peer& peer) {
  peer.silent = true;
  lose(peer.process.rank, fmt::format("{} {}", to_string(peer.process), kBrokeProtocol));
}

void Links::fail(const std::string& what, int code) {
  lose(rank_, fmt::format("{}: {}", to_string(self_), what.substr(0, kLongestReason)), code);
}

void Links::begin(const ClockExchange& exchange) {
  exchange_ = exchange;
  wake();
}

void Links::run() {
  Lock held = lock();
  for (Peer& each : peers_)
    receive(each);  // what came in one piece with the welcome
  const auto open = [](const Peer& each) { return each.line.open(); };
  while (!leaving_ || std::any_of(peers_.begin(), peers_.end(), open)) {
    wait(held);
    for (std::size_t i = 0; i < polled_peers_.size(); ++i)
      if (polled_[i + 1].revents != 0)
        receive(peers_[polled_peers_[i]]);
    if (exchange_ && !exchange_->begun)
      ping();
    const Moment now = steady_clock::now();
    if (leaving_) {
      leave_step(now);
    } else {
      notice_silence(woke_);
      give_signs_of_life(now);
      end_process_after_grace(now);
    }
    for (Peer& each : peers_)
      send(each);
  }
}

/// For something to do. Time in which this process was stopped or busy, here or anywhere since it
/// last woke, is no silence of others.
void Links::wait(Lock& held) {
  polled_.assign(1, {wake_.fd(), POLLIN, 0});
  polled_peers_.clear();
  for (std::size_t i = 0; i < peers_.size(); ++i)
    if (const Line& line = peers_[i].line; line.open()) {
      const int events = line.has_unsent() ? POLLIN | POLLOUT : POLLIN;
      polled_.push_back({line.fd(), static_cast<short>(events), 0});
      polled_peers_.push_back(i);
    }
  const Moment before = steady_clock::now();
  const Moment planned = std::max(next_deadline(), before);
  held.unlock();
  ::poll(polled_.data(), polled_.size(), patience_until(planned));
  held.lock();
  std::uint64_t count = 0;
  static_cast<void>(::read(wake_.fd(), &count, sizeof count));  // nothing to read is fine
  const Moment now = steady_clock::now();
  const auto late = before - woke_ + std::max(now - planned, Moment::duration::zero());
  woke_ = now;
  if (late > options_.silence / kSignsInSilence)
    for (Peer& each : peers_)
      each.heard = std::min(each.heard + late, now);
}

Moment Links::next_deadline() const {
  if (leaving_)
    return steady_clock::now() + milliseconds(20);
  return loss_ ? std::min(next_life_, lost_at_ + options_.grace) : next_life_;
}

void Links::receive(Peer& peer) {
  if (!peer.line.open())
    return;
  const Line::Outcome outcome = peer.line.read();
  const Moment at = options_.clock();
  if (outcome != Line::Outcome::Nothing)
    peer.heard = steady_clock::now();
  try {
    while (std::optional<Frame> frame = peer.line.next())
      if (!leaving_)
        handle(peer, std::move(*frame), at);
  } catch (const BadFrame&) {
    refuse(peer);
    send(peer);  // as far as it goes at once: it is told why
    peer.line.close();
  }
  if (outcome == Line::Outcome::Ended)
    end(peer);
}

void Links::handle(Peer& peer, Frame frame, Moment at) {
  Unpacker payload(frame.payload);
  switch (frame.kind) {
    case FrameKind::Life:
      return;
    case FrameKind::Goodbye:
      peer.left = true;
      peer.line.close();
      break;
    case FrameKind::Gather:
      if (!leads() || !peer.gathers.empty())
        throw BadFrame("it gives one at a time, and to the leader");
      peer.gathers.push_back(std::move(frame.payload));
      break;
    case FrameKind::Gathered:
      take_gathered(payload);
      break;
    case FrameKind::Mail:
      if (peer.silent)
        return;
      if (peer.unread > options_.most_unread)
        throw BadFrame("more than may wait");
      mails_.push_back({peer.process.rank, std::move(frame.payload)});
      peer.unread += size_of(mails_.back());
      break;
    case FrameKind::Loss:
      take_loss(peer, payload);
      break;
    case FrameKind::Ping:
      return answer_ping(peer, at);
    case FrameKind::Pong:
      return take_pong(peer, frame, at);
    default:
      throw BadFrame("a frame of the meeting");
  }
  changed_.notify_all();
}

void Links::take_gathered(Unpacker& payload) {
  if (leads() || !gathered_.empty())
    throw BadFrame("nobody waits for it");
  std::vector<std::string> all;
  for (std::int64_t left = payload.integer(world_, world_); left > 0; --left)
    all.push_back(payload.text());
  payload.end();
  gathered_.push_back(std::move(all));
}

/// A process knows of its own loss and of the leader's, the leader of all.
void Links::take_loss(const Peer& peer, Unpacker& payload) {
  Loss loss = read_loss(payload, world_);
  if (leads() && loss.rank != rank_ && loss.rank != peer.process.rank)
    throw BadFrame("a loss that it cannot know of");
  // The leader's word goes before what this process has found itself. And a leader that
  // was stopped is told that it is lost, which others have told the user.
  if (!leads() || loss.rank == rank_)
    learn(std::move(loss));
  else
    lose(loss.rank, loss.what, loss.code);
}

void Links::answer_ping(Peer& peer, Moment at) {
  // What comes before the second stamp is not part of the round trip.
  peer.line.queue(
      frame_bytes(FrameKind::Pong,
                  Packer().integer(as_integer(at)).integer(as_integer(options_.clock())).take()));
  send(peer);
}

void Links::ping() {
  Peer& to = peer(exchange_->rank);
  if (!to.line.open())
    return;
  exchange_->begun = true;
  const FrameBytes frame = frame_bytes(FrameKind::Ping, "");
  exchange_->sent = options_.clock();
  to.line.queue(frame);
  send(to);
}

void Links::take_pong(Peer& peer, const Frame& frame, Moment at) {
  if (!exchange_ || exchange_->rank != peer.process.rank || exchange_->left == 0)
    return;
  Unpacker payload(frame.payload);
  const Moment came(nanoseconds{payload.integer(-kFarthestMoment, kFarthestMoment)});
  const Moment went(nanoseconds{payload.integer(as_integer(came), kFarthestMoment)});
  payload.end();
  const Moment sent = exchange_->sent;
  const nanoseconds under_way = std::max((at - sent) - (went - came), nanoseconds(0));
  const ClockReading reading = {sent + (at - sent) / 2, ((came - sent) + (went - at)) / 2,
                                (under_way + nanoseconds(1)) / 2};
  if (!exchange_->best || reading.uncertainty < exchange_->best->uncertainty)
    exchange_->best = reading;
  if (--exchange_->left > 0)
    return ping();
  changed_.notify_all();
}

void Links::send(Peer& peer) {
  if (!peer.line.open() || !peer.line.has_unsent())
    return;
  const Line::Outcome outcome = peer.line.flush();
  if (outcome == Line::Outcome::Some)
    peer.moved = steady_clock::now();
  if (outcome == Line::Outcome::Ended)
    end(peer);
  else if (!peer.line.has_unsent())
    changed_.notify_all();
}

void Links::end(Peer& peer) {
  peer.line.close();
  if (!peer.left && !leaving_)
    lose(peer.process.rank, to_string(peer.process) + " has died");
  changed_.notify_all();
}

void Links::give_signs_of_life(Moment now) {
  if (now < next_life_)
    return;
  static const FrameBytes life = frame_bytes(FrameKind::Life, "");
  for (Peer& each : peers_)
    if (each.line.open() && !each.line.has_unsent())
      each.line.queue(life);
  next_life_ = now + options_.silence / kSignsInSilence;
}

void Links::notice_silence(Moment now) {
  for (Peer& each : peers_)
    if (each.line.open() && !each.silent && now - each.heard > options_.silence) {
      each.silent = true;
      lose(each.process.rank,
           fmt::format("{} has given no sign of life for {}: it hangs, is stopped, or its network "
                       "stalls",
                       to_string(each.process), seconds_text(options_.silence)));
    }
}

/// Lines end once all is sent and the other end has seen it: a socket that is closed with bytes
/// unread would take back what is still under way.
void Links::leave_step(Moment now) {
  const auto patience =
      loss_ ? std::min<milliseconds>(kLastPatience, options_.silence) : options_.silence;
  for (Peer& each : peers_) {
    if (!each.line.open())
      continue;
    if (each.told_all) {
      if (now - *each.told_all > kLastPatience)
        each.line.close();
    } else if (!each.line.has_unsent()) {
      each.line.end_sending();
      each.told_all = now;
    } else if (now - each.moved > patience) {
      each.line.close();
    }
  }
}

void Links::end_process_after_grace(Moment now) const {
  if (!loss_ || now - lost_at_ < options_.grace)
    return;
  if (leads() || (rank_ == 1 && loss_->rank == 0 && !loss_->is_told)) {
    const std::string line =
        fmt::format("bubblescope: {}; this process did not end by itself within {}\n", loss_->what,
                    seconds_text(options_.grace));
    static_cast<void>(::write(STDERR_FILENO, line.data(), line.size()));
  }
  ::_exit(kDeviceExit);
}

}  // namespace bubblescope
