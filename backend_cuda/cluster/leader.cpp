#include "backend_cuda/cluster/leader.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/cluster/clock_line.h"
#include "backend_cuda/cluster/orders.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// From the order to begin until all begin: for the order to reach everyone.
constexpr milliseconds kHeadStart{2};
/// For those that are left to tell how far they came. Some launchers end all processes two seconds
/// after the first has died.
constexpr milliseconds kForPartialTimes{1'000};

/// What the leader knows of another process.
struct Other {
  bool is_ready = false;
  bool is_done = false;
  ProgressReport progress = {};
  std::vector<ClockReading> readings = {};  ///< Before and after a step.
  std::string times = {};                   ///< As they were sent.
  std::optional<Parity> parity = {};
};

class Leader final : public Executor {
 public:
  Leader(const Plan& plan, Control& control, std::unique_ptr<RankExecutor> own,
         const RankPlace& place)
      : plan_(plan),
        control_(control),
        own_(std::move(own)),
        place_(place),
        others_(static_cast<std::size_t>(control.world())) {
    for (const std::string& facts : control_.all_gather(write_facts(own_->machine())))
      facts_.push_back(read_facts(facts));
  }
  Leader(const Leader&) = delete;
  Leader& operator=(const Leader&) = delete;
  MachineFacts machine() const override;
  void end_warm_up() override { own_->end_warm_up(); }
  void start() override;
  bool wait(milliseconds patience) override;
  std::size_t ended() const override;
  void abort() noexcept override;
  RunTimes times() const override { return times_; }
  Time clock_uncertainty() const override { return clock_uncertainty_; }
  std::optional<Parity> parity() override;

 private:
  void tell_all(const std::string& what) {
    for (int process = 1; process < control_.world(); ++process)
      control_.send(process, what);
  }
  Other& other(int process) { return others_[static_cast<std::size_t>(process)]; }
  bool all_are(bool Other::*state) const {
    return std::all_of(others_.begin() + 1, others_.end(),
                       [&](const Other& each) { return each.*state; });
  }

  void advance();
  void listen(milliseconds patience);
  void take(const Mail& mail);
  void read_clocks();
  void open();
  void gather();
  std::string words_of(const Loss& loss) const;
  template <class Call>
  auto guard(Call&& call);

  const Plan& plan_;
  Control& control_;
  std::unique_ptr<RankExecutor> own_;
  const RankPlace place_;
  std::vector<MachineFacts> facts_ = {};  // [process]
  std::vector<Other> others_;             // [process], the first is not used
  bool is_open_ = false;
  bool is_done_ = false;  // the leader's own rank
  bool runs_ = false;     // a step
  bool is_aborted_ = false;
  RunTimes times_ = {};
  Time clock_uncertainty_{};
};

/// Tells the others of what fails here, and what ran in a process that is lost.
template <class Call>
auto Leader::guard(Call&& call) {
  try {
    return call();
  } catch (const PeerLost& lost) {
    throw DeviceError(words_of(lost.loss()));
  } catch (const DeviceError& error) {
    control_.fail(error.what());
    throw;
  }
}

void Leader::start() {
  for (Other& each : others_)
    each = {.readings = {}};
  is_open_ = false;
  is_done_ = false;
  runs_ = true;
  guard([&] {
    read_clocks();
    own_->start();
  });
}

bool Leader::wait(milliseconds patience) {
  const auto give_up = steady_clock::now() + patience;
  return guard([&] {
    while (runs_ && steady_clock::now() < give_up)
      advance();
    return !runs_;
  });
}

void Leader::advance() {
  if (!is_open_) {
    listen(milliseconds(0));
    if (own_->is_ready() && all_are(&Other::is_ready))
      open();
    else
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    return;
  }
  if (!is_done_)
    is_done_ = own_->wait(milliseconds(1));
  listen(milliseconds(is_done_ ? 1 : 0));
  if (!is_done_ || !all_are(&Other::is_done))
    return;
  read_clocks();
  gather();
  tell_all(write_all_times(times_));
  runs_ = false;
}

void Leader::listen(milliseconds patience) {
  while (const auto mail = control_.receive(patience)) {
    take(*mail);
    patience = milliseconds(0);
  }
}

void Leader::take(const Mail& mail) {
  Other& from = other(mail.from);
  Reader reader(mail.payload);
  switch (reader.order()) {
    case Order::Ready:
      from.is_ready = true;
      return;
    case Order::Progress:
      from.progress = read_progress(reader);
      return;
    case Order::Done:
      from.is_done = true;
      from.times = mail.payload;
      return;
    case Order::Partial:
      from.times = mail.payload;
      return;
    case Order::Compared:
      from.parity = read_parity(reader);
      return;
    default:
      throw DeviceError(fmt::format("rank {} says what the leader does not know", mail.from));
  }
}

void Leader::read_clocks() {
  for (int process = 1; process < control_.world(); ++process)
    other(process).readings.push_back(control_.read_clock(process));
}

/// All at one moment, which each is told by its own clock.
void Leader::open() {
  const Time moment = steady_clock::now().time_since_epoch() + kHeadStart;
  for (int process = 1; process < control_.world(); ++process) {
    const ClockLine clock(other(process).readings);
    const Time theirs = moment + clock.ahead_at(moment);
    control_.send(process, Writer(Order::Open).add(std::int64_t{theirs.count()}).text());
  }
  wait_until(moment);
  own_->open();
  is_open_ = true;
}

/// Of the first replica.
void Leader::gather() {
  TimesOfAll all(plan_);
  const std::string own = write_times(Order::Done, plan_, place_.rank, *own_);
  for (Rank rank = 0; rank < plan_.ranks(); ++rank) {
    const int process = place_.process_of(rank);
    const std::string& text = rank == place_.rank ? own : other(process).times;
    if (!text.empty())
      all.add(text, rank, ClockLine(other(process).readings));
  }
  times_ = all.merged();
  clock_uncertainty_ = all.uncertainty();
}

std::size_t Leader::ended() const {
  std::size_t count = own_->ended();
  for (const Other& each : others_)
    count += static_cast<std::size_t>(each.progress.ended);
  return count;
}

/// Asks the others how far they came. Those that have lost someone tell it by themselves.
void Leader::abort() noexcept {
  if (std::exchange(is_aborted_, true))
    return;
  try {
    if (!control_.loss())
      tell_all(Writer(Order::Abort).text());
  } catch (const DeviceError&) {  // they know it, too
  }
  own_->abort();
  const auto lost = control_.loss();
  const auto give_up = steady_clock::now() + kForPartialTimes;
  const auto is_missing = [&](int process) {
    return other(process).times.empty() && !(lost && lost->rank == process);
  };
  const auto some_are_missing = [&] {
    for (int process = 1; process < control_.world(); ++process)
      if (is_missing(process))
        return true;
    return false;
  };
  try {
    while (runs_ && some_are_missing() && steady_clock::now() < give_up)
      if (const auto mail = control_.receive_after_loss(milliseconds(20)))
        take(*mail);
    gather();
  } catch (const DeviceError&) {  // what is known is enough
  }
}

std::optional<Parity> Leader::parity() {
  return guard([&]() -> std::optional<Parity> {
    std::optional<Parity> all = own_->parity();
    while (std::any_of(others_.begin() + 1, others_.end(),
                       [](const Other& each) { return !each.parity; }))
      listen(milliseconds(20));
    if (!all)
      return all;
    for (std::size_t process = 1; process < others_.size(); ++process) {
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

/// "rank 2 (host gpu7, process 4711) has died while it ran 1F3"
std::string Leader::words_of(const Loss& loss) const {
  if (loss.rank <= 0 || loss.rank >= control_.world())
    return loss.what;
  const auto running = others_[static_cast<std::size_t>(loss.rank)].progress.running;
  return running ? fmt::format("{}; it was last heard in {}", loss.what,
                               to_string(plan_.action(plan_.instructions[*running])))
                 : loss.what;
}

/// Of this process, with what differs elsewhere.
MachineFacts Leader::machine() const {
  MachineFacts facts = own_->machine();
  const auto value = [](const MachineFacts& of, const std::string& name) {
    const auto found =
        std::find_if(of.begin(), of.end(), [&](const auto& each) { return each.first == name; });
    return found == of.end() ? std::string() : found->second;
  };
  std::map<std::string, int> devices;
  for (const MachineFacts& each : facts_)
    ++devices[value(each, "device")];
  std::string all;
  for (const auto& [device, count] : devices)
    all += fmt::format("{}{} × {}", all.empty() ? "" : ", ", count, device);
  facts.front().second = all;
  facts.emplace_back("processes", fmt::format("{}, {}", facts_.size(),
                                              place_.replicas == 1
                                                  ? "a pipeline rank each"
                                                  : fmt::format("{} pipelines", place_.replicas)));
  facts.emplace_back("clocks", fmt::format("aligned within ± {:.1f} µs",
                                           static_cast<double>(clock_uncertainty_.count()) / 1e3));
  return facts;
}

}  // namespace

std::unique_ptr<Executor> make_leader(const Plan& plan, Control& control,
                                      std::unique_ptr<RankExecutor> own, const RankPlace& place) {
  return std::make_unique<Leader>(plan, control, std::move(own), place);
}

}  // namespace bubblescope
