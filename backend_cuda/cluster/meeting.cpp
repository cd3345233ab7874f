#include "backend_cuda/cluster/meeting.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <poll.h>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/cluster/hello.h"
#include "backend_cuda/cluster/token.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// For a Hello after a connection; whoever is turned away by this comes again.
constexpr std::chrono::seconds kHelloPatience{10};
/// Once the job cannot begin, those that come within this are told why, too.
constexpr std::chrono::seconds kFaultPatience{2};
/// For the leader's verdict to arrive.
constexpr std::chrono::seconds kVerdictPatience{2};
/// Before those that came are heard, too.
constexpr int kMostToAccept = 1'024;
/// Files that a process has open anyway.
constexpr std::size_t kOtherDescriptors = 256;
constexpr milliseconds kFirstPause{20};
constexpr milliseconds kLongestPause{250};

FrameBytes welcome_frame(const ProcessName& leader) {
  return frame_bytes(FrameKind::Welcome, Packer().integer(leader.pid).text(leader.host).take());
}

/// Of rank 0.
class Meeting {
 public:
  Meeting(const Seat& seat, const ControlOptions& options)
      : seat_(seat),
        options_(options),
        self_(this_process(0)),
        token_(job_token(seat.job, seat.secret)),
        deadline_(steady_clock::now() + options.meet_timeout),
        listener_(listen_at(seat.leader, seat.port)),
        guest_of_rank_(static_cast<std::size_t>(seat.world)) {
    allow_descriptors(static_cast<std::size_t>(seat.world) + kOtherDescriptors);
  }

  std::vector<Member> run() {
    while ((fault_ ? heard_ : came_) + 1 < seat_.world && steady_clock::now() < deadline_) {
      wait();
      serve_all();
      accept_all();
    }
    if (!fault_ && came_ + 1 < seat_.world)
      fault_ = who_is_missing();
    if (fault_)
      refuse_all();
    return welcome_all();
  }

 private:
  struct Guest {
    Line line;
    Moment came;
    std::optional<ProcessName> process = {};
    bool had_its_turn = false;  ///< To say something.
  };

  void wait() {
    polled_.assign(1, {listener_.fd(), POLLIN, 0});
    Moment until = deadline_;
    for (const auto& guest : guests_) {
      polled_.push_back({guest->line.fd(), POLLIN, 0});
      if (!guest->process)
        until = std::min(until, guest->came + kHelloPatience);
    }
    ::poll(polled_.data(), polled_.size(), patience_until(until));
  }

  void serve_all() {
    const Moment now = steady_clock::now();
    for (std::size_t i = 0; i < guests_.size(); ++i) {
      Guest& guest = *guests_[i];
      if (polled_[i + 1].revents != 0)
        serve(guest);
      guest.had_its_turn = true;
      if (!guest.process && now >= guest.came + kHelloPatience)
        guest.line.close();
    }
    std::erase_if(guests_, [](const auto& guest) { return !guest->line.open(); });
  }

  void accept_all() {
    for (int i = 0; i < kMostToAccept; ++i) {
      Accepted accepted = accept_at(listener_);
      if (accepted.socket) {
        guests_.push_back(std::make_unique<Guest>(
            Guest{Line(std::move(accepted.socket), kLongestHello), steady_clock::now()}));
        continue;
      }
      if (accepted.error == EMFILE || accepted.error == ENFILE) {
        if (close_a_stranger())
          continue;
        if (heard_ < static_cast<int>(guests_.size()))
          return;
        find_fault(fmt::format("rank 0 cannot take the connections of {} processes: {} (ulimit -n)",
                               seat_.world, std::generic_category().message(accepted.error)));
      }
      if (accepted.error == EINTR || accepted.error == ECONNABORTED)
        continue;
      return;
    }
  }

  /// The one that has been silent for the longest time.
  bool close_a_stranger() {
    const auto stranger = std::find_if(guests_.begin(), guests_.end(), [](const auto& guest) {
      return !guest->process && guest->had_its_turn;
    });
    if (stranger == guests_.end())
      return false;
    guests_.erase(stranger);
    return true;
  }

  void serve(Guest& guest) {
    const Line::Outcome outcome = guest.line.read();
    try {
      while (const std::optional<Frame> frame = guest.line.next())
        if (!guest.process)
          take_in(guest, read_hello(*frame));
        else
          throw BadFrame("a second hello");
    } catch (const BadFrame&) {
      guest.line.close();
    }
    if (outcome != Line::Outcome::Ended && guest.line.open())
      return;
    if (guest.process)
      leave(guest);
    guest.line.close();
  }

  void leave(const Guest& guest) {
    --heard_;
    find_fault(to_string(*guest.process) + " came and has ended before all were there");
    const auto own = std::find(guest_of_rank_.begin(), guest_of_rank_.end(), &guest);
    if (own == guest_of_rank_.end())
      return;
    *own = nullptr;
    --came_;
  }

  void take_in(Guest& guest, const Hello& hello) {
    if (!same_token(hello.token, token_)) {
      refuse(guest,
             fmt::format("{} does not belong to the job of {}, which listens at {}: another job "
                         "needs another port (--master HOST:PORT), and all processes of one need "
                         "the same BUBBLESCOPE_TOKEN",
                         to_string(hello.process), to_string(self_), address()),
             false);
      guest.line.close();
      return;
    }
    guest.process = hello.process;
    ++heard_;
    if (const std::optional<std::string> fault = fault_of(hello)) {
      find_fault(*fault);
      return;
    }
    guest_of_rank_[static_cast<std::size_t>(hello.process.rank)] = &guest;
    ++came_;
  }

  std::optional<std::string> fault_of(const Hello& hello) const {
    const std::string name = to_string(hello.process);
    const std::string self = to_string(self_);
    if (hello.protocol != kProtocol || hello.version != options_.version)
      return fmt::format("{} is {} (protocol {}), {} is {} (protocol {}): all have to be the same",
                         name, printable_name(hello.version), hello.protocol, self,
                         printable_name(options_.version), kProtocol);
    if (hello.world != seat_.world)
      return fmt::format("{} is told of {} processes, {} of {}: all have to be started as one job",
                         name, hello.world, self, seat_.world);
    if (hello.process.rank >= seat_.world)
      return fmt::format("{} is told of {} processes, which have no such rank", name, hello.world);
    const auto rank = static_cast<std::size_t>(hello.process.rank);
    if (rank != 0 && guest_of_rank_[rank] == nullptr)
      return std::nullopt;
    const ProcessName& other = rank == 0 ? self_ : *guest_of_rank_[rank]->process;
    return fmt::format(
        "rank {} has come twice: as process {} of host {} and as process {} of host {}; jobs that "
        "run at one time need a port each (--master HOST:PORT)",
        rank, other.pid, printable_name(other.host), hello.process.pid,
        printable_name(hello.process.host));
  }

  void find_fault(const std::string& what) {
    if (fault_)
      return;
    fault_ = what;
    deadline_ = std::min(deadline_, steady_clock::now() + kFaultPatience);
  }

  std::string who_is_missing() const {
    std::vector<int> missing;
    for (int rank = 1; rank < seat_.world; ++rank)
      if (guest_of_rank_[static_cast<std::size_t>(rank)] == nullptr)
        missing.push_back(rank);
    return fmt::format("{} of {} {} not come within {}; rank 0 listens at {}", rank_ranges(missing),
                       seat_.world, missing.size() == 1 ? "has" : "have",
                       seconds_text(options_.meet_timeout), address());
  }

  /// What one send takes is enough for a short text on a fresh connection.
  static void refuse(Guest& guest, const std::string& why, bool is_told) {
    guest.line.queue(
        frame_bytes(FrameKind::Refused, Packer().text(why).integer(is_told ? 1 : 0).take()));
    guest.line.flush();
    guest.line.end_sending();
  }

  [[noreturn]] void refuse_all() {
    for (auto& guest : guests_)
      if (guest->process && guest->line.open())
        refuse(*guest, *fault_, true);
    throw DeviceError(*fault_);
  }

  std::vector<Member> welcome_all() {
    std::vector<Member> members;
    for (std::size_t rank = 1; rank < guest_of_rank_.size(); ++rank) {
      Guest& guest = *guest_of_rank_[rank];
      guest.line.expect_up_to(kLongestPayload);
      guest.line.queue(welcome_frame(self_));
      members.push_back({*guest.process, std::move(guest.line)});
    }
    return members;
  }

  std::string address() const { return address_text(seat_.leader, seat_.port); }

  const Seat& seat_;
  const ControlOptions& options_;
  ProcessName self_;
  std::uint64_t token_;
  Moment deadline_;
  Socket listener_;
  std::vector<std::unique_ptr<Guest>> guests_;
  std::vector<Guest*> guest_of_rank_;  // of those that fit
  int came_ = 0;
  int heard_ = 0;  // of the job, with those that do not fit
  std::optional<std::string> fault_;
  std::vector<pollfd> polled_;
};

/// Of any other rank.
class Arrival {
 public:
  Arrival(const Seat& seat, const ControlOptions& options)
      : seat_(seat), options_(options), deadline_(steady_clock::now() + options.meet_timeout) {}

  Member run() {
    milliseconds pause = kFirstPause;
    do {
      Connected connected = connect_to(seat_.leader, seat_.port, deadline_);
      error_ = connected.error;
      if (connected.socket)
        if (std::optional<Member> leader = greet(std::move(connected.socket)))
          return std::move(*leader);
      std::this_thread::sleep_until(std::min(deadline_, steady_clock::now() + pause));
      pause = std::min(2 * pause, kLongestPause);
    } while (steady_clock::now() < deadline_);
    throw DeviceError(
        fmt::format("{} cannot reach rank 0 at {} within {}: {}; {} gave this address, "
                    "--master HOST:PORT gives another",
                    to_string(this_process(seat_.rank)), address_text(seat_.leader, seat_.port),
                    seconds_text(options_.meet_timeout), error_, seat_.told_by));
  }

 private:
  /// The leader, once it says welcome; nothing if whoever listens ends the line without a word. By
  /// then the leader has begun to wait, so that its verdict comes before this one's deadline.
  std::optional<Member> greet(Socket socket) {
    const Moment until = steady_clock::now() + options_.meet_timeout + kVerdictPatience;
    Line line(std::move(socket), kLongestHello);
    line.queue(hello_frame(seat_, options_));
    try {
      for (;;) {
        const bool gone = line.flush() == Line::Outcome::Ended;
        const bool ended = line.read() == Line::Outcome::Ended;
        if (const std::optional<Frame> frame = line.next())
          return member(*frame, std::move(line));
        error_ = "whoever listens there has closed the line without a word";
        if (gone || ended)
          return std::nullopt;
        error_ = "whoever listens there does not answer";
        const short events = line.has_unsent() ? POLLIN | POLLOUT : POLLIN;
        if (!wait_for(line.fd(), events, until))
          return std::nullopt;
      }
    } catch (const BadFrame&) {
      error_ = "another program listens there";
      return std::nullopt;
    }
  }

  static Member member(const Frame& frame, Line line) {
    Unpacker payload(frame.payload);
    if (frame.kind == FrameKind::Refused) {
      const std::string why = payload.words();
      if (payload.integer() != 0)
        throw PeerLost({0, why, true});
      throw DeviceError(why);
    }
    if (frame.kind != FrameKind::Welcome)
      throw BadFrame("neither welcome nor refused");
    const std::int64_t pid = payload.integer(0, std::numeric_limits<int>::max());
    line.expect_up_to(kLongestPayload);
    return {{0, payload.text(), pid}, std::move(line)};
  }

  const Seat& seat_;
  const ControlOptions& options_;
  Moment deadline_;
  std::string error_;
};

}  // namespace

std::vector<Member> meet_as_leader(const Seat& seat, const ControlOptions& options) {
  return Meeting(seat, options).run();
}

Member meet_as_follower(const Seat& seat, const ControlOptions& options) {
  return Arrival(seat, options).run();
}

}  // namespace bubblescope
