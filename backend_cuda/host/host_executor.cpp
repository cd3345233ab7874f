#include "backend_cuda/host/host_executor.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/host/host_work.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// Something that other threads wait for.
class Progress {
 public:
  enum State : int { NotYet, Begun, Ended };

  void reset() { state_.store(NotYet, std::memory_order_relaxed); }
  void reach(State state) {
    state_.store(state, std::memory_order_release);
    state_.notify_all();
  }
  /// Throws Aborted if the step is.
  void wait_for(State state, const AbortFlag& aborted) const {
    for (int now = state_.load(std::memory_order_acquire); now < state || now == kWoken;
         now = state_.load(std::memory_order_acquire)) {
      if (aborted)
        throw Aborted();
      state_.wait(now, std::memory_order_acquire);
    }
  }
  /// Lets those that wait see that the step is aborted.
  void wake() {
    int not_yet = NotYet;
    state_.compare_exchange_strong(not_yet, kWoken);
    int begun = Begun;
    state_.compare_exchange_strong(begun, kWoken);
    state_.notify_all();
  }

 private:
  static constexpr int kWoken = 3;
  std::atomic<int> state_ = NotYet;
};

class HostExecutor final : public Executor {
 public:
  HostExecutor(const Plan& plan, const ExecutorOptions& options)
      : plan_(plan),
        options_(options),
        work_(options.workload == Workload::Tensors
                  ? make_tensor_work(plan, options.shape, aborted_)
                  : make_token_work(plan)),
        progress_(plan.instructions.size()),
        ends_there_(plan.messages.size()),
        arrived_(plan.messages.size()) {}

  ~HostExecutor() override { abort(); }
  HostExecutor(const HostExecutor&) = delete;
  HostExecutor& operator=(const HostExecutor&) = delete;

  MachineFacts machine() const override {
    return {{"device", options_.real_time ? "host threads" : "host threads on a virtual clock"},
            {"cores", std::to_string(std::thread::hardware_concurrency())}};
  }

  void start() override {
    reset();
    epoch_ = steady_clock::now();
    running_ = plan_.streams();
    try {
      for (StreamId stream = 0; stream < plan_.streams(); ++stream)
        threads_.emplace_back([this, stream] { run_stream(stream); });
    } catch (const std::system_error& error) {
      throw DeviceError(
          fmt::format("no thread could be started for stream {} of {}, one for each stream of each "
                      "rank: {}",
                      threads_.size() + 1, plan_.streams(), error.code().message()));
    }
  }

  bool wait(milliseconds patience) override {
    {
      std::unique_lock lock(mutex_);
      if (!changed_.wait_for(lock, patience, [&] { return running_ == 0 || fault_; }))
        return false;
    }
    if (fault_)
      abort();
    join();
    if (fault_)
      throw DeviceError(*fault_);
    return true;
  }

  std::size_t ended() const override { return ended_; }

  void abort() noexcept override {
    aborted_ = true;
    aborted_.notify_all();
    for (Progress& each : progress_)
      each.wake();
    for (Progress& each : arrived_)
      each.wake();
    join();
  }

  RunTimes times() const override { return times_; }
  std::optional<Parity> parity() override { return work_->parity(); }

 private:
  void reset() {
    for (Progress& each : progress_)
      each.reset();
    for (Progress& each : arrived_)
      each.reset();
    for (std::atomic<int>& each : ends_there_)
      each = 0;
    times_.instructions.assign(plan_.instructions.size(), {kNever, kNever});
    times_.messages.assign(plan_.messages.size(), {kNever, kNever});
    aborted_ = false;
    ended_ = 0;
    fault_.reset();
    work_->reset();
  }

  void join() {
    for (std::thread& thread : threads_)
      thread.join();
    threads_.clear();
  }

  void run_stream(StreamId stream) {
    InstructionId id = plan_.first_of_stream[stream];
    std::optional<std::string> fault;
    try {
      for (Time now{}; id < plan_.first_of_stream[stream + 1]; ++id)
        now = run(id, now);
    } catch (const Aborted&) {  // what has ended stays told
    } catch (const DeviceError& error) {
      fault = error.what();
    } catch (const std::exception& error) {
      fault = fmt::format("rank {}: {}", plan_.rank_of(id), error.what());
    }
    const std::lock_guard lock(mutex_);
    if (!fault_)
      fault_ = fault;
    --running_;
    changed_.notify_all();
  }

  /// Runs an instruction whose stream is free since `now`; returns its end.
  Time run(InstructionId id, Time now) {
    for (const Wait& wait : plan_.waits_of(id)) {
      const bool for_start = wait.moment == Wait::For::Start;
      progress_[wait.instruction].wait_for(for_start ? Progress::Begun : Progress::Ended, aborted_);
      const Span& span = times_.instructions[wait.instruction];
      now = std::max(now, for_start ? span.start : span.end);
    }
    const Instruction& instruction = plan_.instructions[id];
    Span& span = times_.instructions[id];
    span.start = options_.real_time ? real_now() : now;
    progress_[id].reach(Progress::Begun);
    const Time end = instruction.kind == Instruction::Kind::Action
                         ? execute(id, span.start)
                         : transfer(instruction, span.start);
    span.end = end;
    progress_[id].reach(Progress::Ended);
    ++ended_;
    return end;
  }

  Time execute(InstructionId id, Time start) {
    const Instruction& instruction = plan_.instructions[id];
    if (options_.injection && options_.injection->action == instruction.first)
      inject(id);
    work_->execute(plan_.action(instruction));
    const Time end = start + plan_.duration(instruction);
    if (!options_.real_time)
      return end;
    if (options_.workload == Workload::Timed)
      sleep_until(end);
    return real_now();
  }

  void inject(InstructionId id) {
    if (options_.injection->kind == Injection::Kind::Fail)
      throw DeviceError(fmt::format("rank {}: {} failed, as it was asked to", plan_.rank_of(id),
                                    to_string(plan_.action(id))));
    aborted_.wait(false);
    throw Aborted();
  }

  /// Begins all transfers, then waits for their messages.
  Time transfer(const Instruction& instruction, Time start) {
    for (const TransferEnd& each : plan_.transfers_of(instruction))
      post(each);
    Time end = start;
    for (const TransferEnd& each : plan_.transfers_of(instruction)) {
      if (plan_.is_eager && each.is_send)
        continue;
      arrived_[each.message].wait_for(Progress::Ended, aborted_);
      end = std::max(end, times_.messages[each.message].end);
    }
    if (!options_.real_time)
      return end;
    sleep_until(end);
    return real_now();
  }

  /// Whoever comes second moves the message; an eager one is moved by its sender.
  void post(const TransferEnd& transfer) {
    const PlanMessage& message = plan_.messages[transfer.message];
    if (plan_.is_eager ? !transfer.is_send : ends_there_[transfer.message].fetch_add(1) == 0)
      return;
    Time start = times_.instructions[message.send].start;
    if (!plan_.is_eager)
      start = std::max(start, times_.instructions[message.receive].start);
    work_->deliver(message);
    Time end = start + message.duration;
    if (options_.real_time)
      end = std::max(end, real_now());
    times_.messages[transfer.message] = {start, end};
    arrived_[transfer.message].reach(Progress::Ended);
  }

  Time real_now() const { return steady_clock::now() - epoch_; }

  /// In pieces, so that an abort does not have to wait for it.
  void sleep_until(Time moment) const {
    constexpr milliseconds kPiece{50};
    while (real_now() < moment) {
      if (aborted_)
        throw Aborted();
      std::this_thread::sleep_for(std::min<Time>(moment - real_now(), kPiece));
    }
  }

  const Plan& plan_;
  ExecutorOptions options_;
  AbortFlag aborted_ = false;
  std::unique_ptr<HostWork> work_;
  std::vector<Progress> progress_;            // [instruction]
  std::vector<std::atomic<int>> ends_there_;  // [message] how many of its ends have begun
  std::vector<Progress> arrived_;             // [message]
  RunTimes times_ = {};
  steady_clock::time_point epoch_ = {};
  std::atomic<std::size_t> ended_ = 0;
  std::mutex mutex_ = {};
  std::condition_variable changed_ = {};
  std::size_t running_ = 0;                // guarded by mutex_: threads
  std::optional<std::string> fault_ = {};  // guarded by mutex_: the first
  std::vector<std::thread> threads_ = {};
};

}  // namespace

std::unique_ptr<Executor> make_host_executor(const Plan& plan, const ExecutorOptions& options) {
  return std::make_unique<HostExecutor>(plan, options);
}

}  // namespace bubblescope
