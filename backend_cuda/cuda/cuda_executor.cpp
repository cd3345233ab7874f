#include "backend_cuda/cuda/cuda_executor.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <string>
#include <thread>

namespace bubblescope::gpu {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

class CudaExecutor : public RankExecutor {
 public:
  CudaExecutor(const Plan& plan, const ExecutorOptions& options, const Here* here)
      : plan_(plan), machine_(std::make_unique<Machine>(plan, options, here)) {}
  ~CudaExecutor() override;

  MachineFacts machine() const override { return machine_->facts(); }
  void end_warm_up() override { machine_->end_warm_up(); }
  void start() override;
  bool wait(milliseconds patience) override;
  std::size_t ended() const override;
  void abort() noexcept override;
  RunTimes times() const override;
  std::optional<Parity> parity() override;

  bool is_ready() override;
  void open() override { machine_->open(); }
  std::optional<InstructionId> running() const override;
  Time clock_uncertainty() const override { return machine_->clock_uncertainty(); }

 private:
  /// Waits for the launch. Throws what it threw.
  bool is_launched(milliseconds patience);
  template <class Call>
  auto guard(Call&& call) const;
  std::string what_runs() const;

  Stamp stamp(std::size_t index) const {
    return at_abort_.empty() ? machine_->stamp(index) : at_abort_[index];
  }
  bool is_here(InstructionId id) const { return machine_->is_here(plan_.rank_of(id)); }
  bool is_action(InstructionId id) const {
    return plan_.instructions[id].kind == Instruction::Kind::Action;
  }
  bool has_ended(InstructionId id) const;
  Span span_of(std::size_t index, Rank rank) const;
  Span span_of_message(MessageId id) const;
  Span span_of_transfers(InstructionId id, const std::vector<Span>& messages) const;

  const Plan& plan_;
  std::unique_ptr<Machine> machine_;
  std::vector<Stamp> at_abort_;  // as they were then, or none
  bool runs_ = false;
  std::future<void> launch_ = {};  // of streams: it waits where one of them is full
};

CudaExecutor::~CudaExecutor() {
  abort();
  if (!runs_)
    return;
  // To destroy them would wait for what runs; the end of the process does not.
  static_cast<void>(machine_.release());
  static_cast<void>(std::make_unique<std::future<void>>(std::move(launch_)).release());
}

/// Makes DeviceErrors, which tell what ran, of what CUDA says.
template <class Call>
auto CudaExecutor::guard(Call&& call) const {
  try {
    return call();
  } catch (const DeviceError&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw DeviceError(what_runs() + error.what());
  }
}

void CudaExecutor::start() {
  at_abort_.clear();
  runs_ = true;
  guard([&] {
    machine_->reset();
    if (machine_->launches_at_once())
      machine_->launch();
    else
      launch_ = std::async(std::launch::async, [machine = machine_.get()] { machine->launch(); });
  });
}

bool CudaExecutor::is_ready() {
  return guard([&] { return is_launched(milliseconds(0)) || machine_->is_deep(); });
}

bool CudaExecutor::is_launched(milliseconds patience) {
  if (launch_.valid() && launch_.wait_for(patience) != std::future_status::ready)
    return false;
  if (launch_.valid())
    launch_.get();
  return true;
}

bool CudaExecutor::wait(milliseconds patience) {
  constexpr microseconds kNap{50};
  const auto give_up = steady_clock::now() + patience;
  return guard([&] {
    if (!is_launched(patience))
      return false;
    while (!machine_->is_idle() || !plan_.can_run()) {
      if (steady_clock::now() >= give_up)
        return false;
      std::this_thread::sleep_for(kNap);
    }
    runs_ = false;
    machine_->end_step();
    machine_->work().check();
    std::vector<Span> actions;
    for (const InstructionId id : plan_.instruction_of_action)
      actions.push_back(span_of(id, plan_.rank_of(id)));
    machine_->cross_check(actions);
    return true;
  });
}

std::size_t CudaExecutor::ended() const {
  std::size_t count = 0;
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id)
    count += is_here(id) && has_ended(id) ? 1U : 0U;
  return count;
}

std::optional<InstructionId> CudaExecutor::running() const {
  for (const InstructionId id : plan_.instruction_of_action)
    if (is_here(id) && stamp(id).start != 0 && stamp(id).end == 0)
      return id;
  return std::nullopt;
}

/// Keeps the stamps as they are: what waits behind a kernel that is stopped begins then.
void CudaExecutor::abort() noexcept {
  constexpr seconds kPatience{5};
  constexpr milliseconds kNap{1};
  if (!runs_ || !at_abort_.empty())
    return;
  std::vector<Stamp> stamps;
  for (std::size_t i = 0; i < machine_->stamps(); ++i)
    stamps.push_back(stamp(i));
  at_abort_ = std::move(stamps);
  machine_->stop();
  const auto give_up = steady_clock::now() + kPatience;
  try {
    while (runs_ && steady_clock::now() < give_up) {
      runs_ = !is_launched(kNap) || !machine_->is_idle();
      std::this_thread::sleep_for(kNap);
    }
  } catch (const std::runtime_error&) {
    runs_ = false;  // nothing runs in a context that has failed
  }
}

bool CudaExecutor::has_ended(InstructionId id) const {
  if (is_action(id))
    return stamp(id).end != 0;
  const auto transfers = plan_.transfers_of(plan_.instructions[id]);
  return std::all_of(transfers.begin(), transfers.end(), [&](const TransferEnd& transfer) {
    return stamp(machine_->step().stamp_of_message(transfer.message)).end != 0;
  });
}

RunTimes CudaExecutor::times() const {
  RunTimes times;
  for (MessageId id = 0; id < plan_.messages.size(); ++id)
    times.messages.push_back(span_of_message(id));
  Time origin = Time::max();
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id) {
    times.instructions.push_back(!is_here(id)    ? Span{kNever, kNever}
                                 : is_action(id) ? span_of(id, plan_.rank_of(id))
                                                 : span_of_transfers(id, times.messages));
    if (const Time start = times.instructions.back().start; is_action(id) && start != kNever)
      origin = std::min(origin, start);
  }
  if (origin != Time::max() && !machine_->has_wire())
    times.count_from(origin);
  return times;
}

/// By the clock that all ranks share.
Span CudaExecutor::span_of(std::size_t index, Rank rank) const {
  const auto time = [&](unsigned long long reading) {
    return reading == 0 ? kNever : machine_->common_time(rank, reading);
  };
  const Stamp taken = stamp(index);
  return {time(taken.start), time(taken.end)};
}

/// An eager one begins when it is made, and arrives when it has lasted and its copy is there.
Span CudaExecutor::span_of_message(MessageId id) const {
  const PlanMessage& message = plan_.messages[id];
  Span span = span_of(machine_->step().stamp_of_message(id), message.from);
  const auto maker = machine_->step().maker(id);
  if (!plan_.is_eager || machine_->has_wire() || span.end == kNever || !maker)
    return span;
  span.start = std::min(span.start, span_of(*maker, message.from).end);
  span.end = std::max(span.end, span.start + message.duration);
  return span;
}

/// From the first message's start to the last one's end; eager sends end at once.
Span CudaExecutor::span_of_transfers(InstructionId id, const std::vector<Span>& messages) const {
  Span all{kNever, kNever};
  bool has_end = true;
  for (const TransferEnd& transfer : plan_.transfers_of(plan_.instructions[id])) {
    const Span& span = messages[transfer.message];
    const Time end = plan_.is_eager && transfer.is_send ? span.start : span.end;
    if (span.start != kNever)
      all.start = all.start == kNever ? span.start : std::min(all.start, span.start);
    all.end = std::max(all.end, end);
    has_end = has_end && end != kNever;
  }
  return {all.start, has_end ? all.end : kNever};
}

std::optional<Parity> CudaExecutor::parity() {
  return guard([&] { return machine_->work().parity(); });
}

/// "while rank 0 ran 0F1, rank 1 ran 1F0: ". Which of them broke its GPU, CUDA does not tell.
std::string CudaExecutor::what_runs() const {
  std::string text;
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id) {
    const Stamp taken = stamp(id);
    if (!is_here(id) || !is_action(id) || taken.start == 0 || taken.end != 0)
      continue;
    text += (text.empty() ? "while rank " : ", rank ") + std::to_string(plan_.rank_of(id)) +
            " ran " + to_string(plan_.action(id));
  }
  return text.empty() ? text : text + ": ";
}

std::unique_ptr<CudaExecutor> make(const Plan& plan, const ExecutorOptions& options,
                                   const Here* here) {
  // With CUDA's default of 8 hardware queues, kernels of unrelated streams would wait for each
  // other. A value of the user's own stays, but beside NCCL, where Megatron's 1 may be set for all.
  setenv("CUDA_DEVICE_MAX_CONNECTIONS", "32", here == nullptr ? 0 : 1);
  try {
    return std::make_unique<CudaExecutor>(plan, options, here);
  } catch (const DeviceError&) {
    throw;
  } catch (const std::runtime_error& error) {
    throw DeviceError(error.what());
  }
}

}  // namespace

std::unique_ptr<Executor> make_cuda_executor(const Plan& plan, const ExecutorOptions& options) {
  return make(plan, options, nullptr);
}

std::unique_ptr<RankExecutor> make_cuda_rank_executor(const Plan& plan,
                                                      const ExecutorOptions& options,
                                                      const Here& here) {
  return make(plan, options, &here);
}

}  // namespace bubblescope::gpu
