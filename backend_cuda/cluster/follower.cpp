#include "backend_cuda/cluster/follower.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/cluster/orders.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kLeader = 0;
/// For all others to tell how far they came: what a rank is freed from by its abort goes on, and so
/// may those that wait for it.
constexpr milliseconds kBeforeAbort{100};
/// A moment to begin that lies further ahead is none: a process was stopped, or a clock misread.
constexpr milliseconds kLongestHeadStart{200};

class Follower final : public Executor {
 public:
  Follower(const Plan& plan, Control& control, std::unique_ptr<RankExecutor> own,
           const RankPlace& place)
      : plan_(plan),
        control_(control),
        own_(std::move(own)),
        place_(place),
        between_reports_(between_reports(plan, control)) {
    control_.all_gather(write_facts(facts_of(*own_)));
  }
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;

  MachineFacts machine() const override { return own_->machine(); }
  void end_warm_up() override { own_->end_warm_up(); }
  void start() override {
    guard([&] { own_->start(); });
    state_ = State::Launching;
  }
  bool wait(milliseconds patience) override {
    const auto give_up = steady_clock::now() + patience;
    while (state_ != State::Idle && steady_clock::now() < give_up)
      guard([&] { advance(); });
    return state_ == State::Idle;
  }
  /// More each time: not this process watches whether a step goes on.
  std::size_t ended() const override { return ++asked_; }
  void abort() noexcept override;
  RunTimes times() const override { return times_; }
  std::optional<Parity> parity() override {
    control_.send(kLeader, write_parity(own_->parity().value_or(Parity{})));
    return std::nullopt;
  }

 private:
  enum class State : std::uint8_t {
    Idle,
    Launching,
    Ready,  ///< To be opened.
    Running,
    Done,  ///< Here; elsewhere perhaps not.
  };

  template <class Call>
  void guard(Call&& call);
  void advance();
  void obey(const std::string& payload);
  void require_state(State state) const {
    if (state_ != state)
      throw BadFrame("out of turn");
  }
  void report();

  const Plan& plan_;
  Control& control_;
  std::unique_ptr<RankExecutor> own_;
  const RankPlace place_;
  const std::chrono::microseconds between_reports_;
  State state_ = State::Idle;
  RunTimes times_ = {};
  std::optional<InstructionId> leader_runs_ = {};  // where the leader was heard last
  mutable std::size_t asked_ = 0;
  steady_clock::time_point reported_ = {};
};

/// Tells what fails here, before others see what comes of it.
template <class Call>
void Follower::guard(Call&& call) {
  try {
    call();
  } catch (const PeerLost& lost) {
    if (lost.loss().rank != kLeader || !leader_runs_)
      throw;
    throw DeviceError(fmt::format("{}; it was last heard in {}", lost.what(),
                                  to_string(plan_.action(plan_.instructions[*leader_runs_]))));
  } catch (const DeviceError& error) {
    const std::string what = with_action(error.what(), plan_, *own_);
    control_.fail(what);
    throw DeviceError(what);
  }
}

void Follower::advance() {
  const bool is_busy = state_ == State::Launching || state_ == State::Running;
  if (const auto mail = control_.receive(milliseconds(is_busy ? 0 : 1)))
    try {
      obey(mail->payload);
    } catch (const BadFrame&) {
      control_.refuse(kLeader);
    }
  if (state_ == State::Launching && own_->is_ready()) {
    control_.send(kLeader, begin(Order::Ready).take());
    state_ = State::Ready;
  } else if (state_ == State::Launching) {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  } else if (state_ == State::Running && own_->wait(milliseconds(1))) {
    control_.send(kLeader, write_times(Order::Done, times_of(plan_, place_.rank, *own_)));
    state_ = State::Done;
  }
  report();
}

/// Throws BadFrame, also where it comes out of turn.
void Follower::obey(const std::string& payload) {
  Unpacker message(payload);
  switch (order_of(message)) {
    case Order::Open:
      require_state(State::Ready);
      wait_until(std::min(Time(message.integer()),
                          steady_clock::now().time_since_epoch() + Time(kLongestHeadStart)));
      message.end();
      own_->open();
      state_ = State::Running;
      return;
    case Order::Progress:
      if (const auto running = read_progress(message, plan_, kLeader).running)
        leader_runs_ = running;
      return;
    case Order::Times:
      require_state(State::Done);
      times_ = read_all_times(message, plan_);
      state_ = State::Idle;
      leader_runs_.reset();
      return;
    default:
      throw BadFrame("no order to a follower");
  }
}

void Follower::report() {
  const auto now = steady_clock::now();
  if (state_ != State::Running || now - reported_ < between_reports_)
    return;
  reported_ = now;
  control_.send(kLeader, write_progress({.ended = static_cast<std::int64_t>(own_->ended()),
                                         .running = own_->running()}));
}

/// Tells the leader how far this rank came. Nothing is lost yet where a signal ends the step.
void Follower::abort() noexcept {
  control_.fail("interrupted");
  if (std::exchange(state_, State::Idle) != State::Idle)
    try {
      control_.send(kLeader, write_times(Order::Partial, times_of(plan_, place_.rank, *own_)));
      std::this_thread::sleep_for(kBeforeAbort);
    } catch (const std::exception&) {  // nobody is left to be told, or there is no memory for it
    }
  own_->abort();
}

}  // namespace

std::unique_ptr<Executor> make_follower(const Plan& plan, Control& control,
                                        std::unique_ptr<RankExecutor> own, const RankPlace& place) {
  return std::make_unique<Follower>(plan, control, std::move(own), place);
}

}  // namespace bubblescope
