#include "backend_cuda/cluster/leader.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/cluster/orders.h"
#include "backend_cuda/cluster/other.h"
#include "backend_cuda/cluster/process_name.h"
#include "backend_cuda/replay/clock_line.h"
#include "backend_cuda/replay/replay.h"
#include "backend_cuda/replay/watch.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// From the order to begin until all begin: for the order to reach everyone.
constexpr milliseconds kHeadStart{2};
/// For those that are left to tell how far they came. Some launchers end all processes two seconds
/// after the first has died.
constexpr milliseconds kForPartialTimes{1'000};
/// For what others said while this process was stopped to be read.
constexpr milliseconds kForOldNews{300};
/// Beyond --timeout: for the silence of a process that hangs as a whole to be noticed, which tells
/// more; and for clocks to be read on busy hosts, of which no progress tells.
constexpr milliseconds kForOtherNews{1'500};
constexpr milliseconds kNap{20};

/// The step was ended, and the message tells why.
class StepEnded : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

class Leader final : public Executor {
 public:
  Leader(const Plan& plan, Control& control, std::unique_ptr<RankExecutor> own,
         const RankPlace& place, milliseconds timeout)
      : plan_(plan),
        control_(control),
        own_(std::move(own)),
        place_(place),
        others_(plan, place, control.world()),
        timeout_(timeout),
        between_reports_(between_reports(plan, control)) {
    for (const std::string& facts : control_.all_gather(write_facts(facts_of(*own_))))
      refuse_bad(static_cast<int>(facts_.size()), [&] { facts_.push_back(read_facts(facts)); });
  }
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;
  MachineFacts machine() const override;
  void end_warm_up() override { own_->end_warm_up(); }
  void start() override;
  bool wait(milliseconds patience) override;
  /// More each time: the leader watches by itself whether a step goes on.
  std::size_t ended() const override { return ++asked_; }
  void abort() noexcept override;
  RunTimes times() const override { return times_.times; }
  Time clock_uncertainty() const override { return times_.uncertainty; }
  std::optional<Parity> parity() override;

 private:
  void tell_all(const std::string& what) {
    for (int process = 1; process < control_.world(); ++process)
      control_.send(process, what);
  }
  /// Reads what a process sent.
  template <class Call>
  void refuse_bad(int process, Call&& call) {
    try {
      call();
    } catch (const BadFrame&) {
      control_.refuse(process);
    }
  }

  void advance();
  void listen(milliseconds patience);
  void listen_for(milliseconds time);
  void take(const Mail& mail);
  void take_after_loss(const Mail& mail);
  void read_clocks();
  void open();
  void report();
  void watch();
  std::size_t ended_everywhere() const { return own_->ended() + others_.ended(); }
  std::string stall() const;
  std::string name(int process) const { return control_.name(process); }
  std::string whereabouts(int process, const std::string& said = {}) const {
    return others_.whereabouts(process, own_->running(), said);
  }
  std::string words_of(const Loss& loss) const {
    return loss.what + whereabouts(loss.rank, loss.what);
  }
  template <class Call>
  auto guard(Call&& call);

  const Plan& plan_;
  Control& control_;
  std::unique_ptr<RankExecutor> own_;
  const RankPlace place_;
  std::vector<MachineFacts> facts_ = {};  // [process]
  Others others_;
  const milliseconds timeout_;
  const std::chrono::microseconds between_reports_;
  Watch watch_ = {};
  mutable std::size_t asked_ = 0;
  steady_clock::time_point reported_ = {};
  bool runs_ = false;      // a step
  bool is_ready_ = false;  // the leader's own rank
  bool is_open_ = false;
  bool is_done_ = false;  // the leader's own rank
  bool is_aborted_ = false;
  std::optional<RankTimes> own_times_ = {};
  PipelineTimes times_ = {};
};

/// Tells the others of what fails here, before they see what comes of it, and what ran in a process
/// that is lost.
template <class Call>
auto Leader::guard(Call&& call) {
  try {
    return call();
  } catch (const StepEnded&) {
    throw;
  } catch (const PeerLost& lost) {
    throw DeviceError(words_of(lost.loss()));
  } catch (const DeviceError& error) {
    control_.fail(with_action(error.what(), plan_, *own_));
    throw DeviceError(words_of(*control_.loss()));
  }
}

void Leader::start() {
  others_.forget();
  runs_ = true;
  is_ready_ = false;
  is_open_ = false;
  is_done_ = false;
  guard([&] {
    read_clocks();
    own_->start();
  });
  watch_.restart();
}

bool Leader::wait(milliseconds patience) {
  const auto give_up = steady_clock::now() + patience;
  return guard([&] {
    while (runs_ && steady_clock::now() < give_up)
      advance();
    if (runs_)
      watch();
    return !runs_;
  });
}

void Leader::advance() {
  if (!is_open_) {
    listen(milliseconds(0));
    is_ready_ = is_ready_ || own_->is_ready();
    if (is_ready_ && others_.all_are(&Other::is_ready))
      open();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    return;
  }
  if (!is_done_) {
    report();
    is_done_ = own_->wait(milliseconds(1));
  }
  listen(milliseconds(is_done_ ? 1 : 0));
  if (!is_done_ || !others_.all_are(&Other::is_done))
    return;
  read_clocks();
  own_times_ = times_of(plan_, place_.rank, *own_);
  times_ = others_.gather(0, own_times_);
  tell_all(write_all_times(times_.times));
  runs_ = false;
}

void Leader::listen(milliseconds patience) {
  while (const auto mail = control_.receive(patience)) {
    take(*mail);
    patience = milliseconds(0);
  }
}

void Leader::listen_for(milliseconds time) {
  for (const auto end = steady_clock::now() + time; steady_clock::now() < end; watch_.look())
    listen(kNap);
}

void Leader::take(const Mail& mail) {
  const Turn turn = is_aborted_ ? Turn::Lost
                    : !runs_    ? Turn::Compare
                    : is_open_  ? Turn::Run
                                : Turn::Launch;
  refuse_bad(mail.from, [&] {
    others_[mail.from].take(mail.payload, plan_, mail.from / place_.replicas, turn);
  });
}

/// One that sends nonsense is awaited no longer.
void Leader::take_after_loss(const Mail& mail) {
  try {
    take(mail);
  } catch (const PeerLost&) {  // which is known
  }
}

/// Processes of this host have its clock.
void Leader::read_clocks() {
  for (int process = 1; process < control_.world(); ++process) {
    const bool is_here = value_of(facts_[static_cast<std::size_t>(process)], kHostFact) ==
                         value_of(facts_.front(), kHostFact);
    others_[process].readings.push_back(is_here ? ClockReading{steady_clock::now(), {}, {}}
                                                : control_.read_clock(process));
  }
}

/// All at one moment, which each is told by its own clock.
void Leader::open() {
  const Time moment = steady_clock::now().time_since_epoch() + kHeadStart;
  for (int process = 1; process < control_.world(); ++process) {
    const ClockLine clock(others_[process].readings);
    const Time theirs = moment + clock.ahead_at(moment);
    control_.send(process, begin(Order::Open).integer(theirs.count()).take());
  }
  wait_until(moment);
  own_->open();
  is_open_ = true;
  watch_.restart();
}

void Leader::report() {
  const auto now = steady_clock::now();
  if (now - reported_ < between_reports_ || control_.world() == 1)
    return;
  reported_ = now;
  control_.send(1, write_progress({.running = own_->running()}));
}

/// Throws StepEnded if the step does not go on.
void Leader::watch() {
  if (watch_.look())
    listen_for(kForOldNews);
  const milliseconds timeout = is_open_ ? timeout_ : std::max(timeout_, control_.patience());
  if (!watch_.is_over(ended_everywhere(), timeout))
    return;
  listen_for(kForOtherNews);
  if (!watch_.is_over(ended_everywhere(), timeout))
    return;
  const std::size_t all = plan_.instructions.size() * static_cast<std::size_t>(place_.replicas);
  const std::string why = fmt::format("for {} nothing went on, after {} of {} instructions",
                                      seconds_text(timeout), watch_.ended(), all);
  control_.fail(why + whereabouts(others_.first_that_runs()));
  abort();
  throw StepEnded(why + stall());
}

/// Why a step that was aborted did not go on, as far as the processes tell it.
std::string Leader::stall() const {
  for (int process = 0; process < control_.world() && !is_open_; ++process)
    if (!(process == control_.rank() ? is_ready_ : others_[process].is_ready))
      return fmt::format(": {} has not launched the step", name(process));
  for (int process = 1; process < control_.world(); ++process)
    if (!others_[process].times)
      return fmt::format(": {} does not say how far it came{}", name(process),
                         whereabouts(process));
  return fmt::format("{}:\n{}",
                     place_.replicas > 1 ? fmt::format(", in pipeline {}", times_.replica) : "",
                     describe_stall(plan_, times_.times));
}

/// Tells the others that the step ends, unless they know, and hears how far they came.
void Leader::abort() noexcept {
  if (std::exchange(is_aborted_, true))
    return;
  control_.fail("interrupted");
  if (!std::exchange(runs_, false))
    return own_->abort();
  try {
    own_times_ = times_of(plan_, place_.rank, *own_);
    const auto give_up = steady_clock::now() + kForPartialTimes;
    const auto is_awaited = [&](int process) {
      return !others_[process].times && control_.presence(process) == Control::Presence::There;
    };
    const auto some_are_awaited = [&] {
      for (int process = 1; process < control_.world(); ++process)
        if (is_awaited(process))
          return true;
      return false;
    };
    while (some_are_awaited() && steady_clock::now() < give_up)
      if (const auto mail = control_.receive_after_loss(kNap))
        take_after_loss(*mail);
    const auto loss = control_.loss();
    times_ = others_.gather_what_is_known(loss ? loss->rank : 0, own_times_);
  } catch (const std::exception&) {  // what is known is enough
  }
  own_->abort();
}

std::optional<Parity> Leader::parity() {
  return guard([&]() -> std::optional<Parity> {
    std::optional<Parity> all = own_->parity();
    const auto give_up = steady_clock::now() + control_.patience();
    for (int process = 1; process < control_.world(); ++process)
      while (!others_[process].parity) {
        if (steady_clock::now() >= give_up)
          throw DeviceError(name(process) + " takes no part in comparing gradients");
        listen(kNap);
      }
    if (!all)
      return all;
    for (int process = 1; process < control_.world(); ++process) {
      const Parity& part = *others_[process].parity;
      all->loss += part.loss;
      if (part.gradient_error <= all->gradient_error)
        continue;
      all->gradient_error = part.gradient_error;
      all->worst_tensor = part.worst_tensor;
    }
    all->loss_error = std::abs(all->loss - all->reference_loss) / std::abs(all->reference_loss);
    return all;
  });
}

/// Of this process, with what differs elsewhere.
MachineFacts Leader::machine() const {
  MachineFacts facts = own_->machine();
  std::map<std::string, int> devices;
  for (const MachineFacts& each : facts_)
    ++devices[value_of(each, "device")];
  std::string all;
  for (const auto& [device, count] : devices)
    all += fmt::format("{}{} × {}", all.empty() ? "" : ", ", count, device);
  facts.front().second = all;
  facts.emplace_back("processes", fmt::format("{}, {}", facts_.size(),
                                              place_.replicas == 1
                                                  ? "a pipeline rank each"
                                                  : fmt::format("{} pipelines", place_.replicas)));
  return facts;
}

}  // namespace

std::unique_ptr<Executor> make_leader(const Plan& plan, Control& control,
                                      std::unique_ptr<RankExecutor> own, const RankPlace& place,
                                      milliseconds timeout) {
  return std::make_unique<Leader>(plan, control, std::move(own), place, timeout);
}

}  // namespace bubblescope
