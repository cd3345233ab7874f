#include "backend_cuda/cuda/machine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/cuda/spin_kernels.h"
#include "backend_cuda/cuda/tensor_work.h"
#include "backend_cuda/cuda/timed_work.h"

namespace bubblescope::gpu {
namespace {

/// The gate opens by itself then, should a launch wait for what it holds back.
constexpr std::chrono::nanoseconds kGateLimit = std::chrono::seconds(1);

/// A launch waits where a stream has about a thousand operations in its queue.
constexpr std::size_t kMostHeldBack = 500;

std::shared_ptr<const Partitions> none(std::string why) {
  return std::make_shared<const Partitions>(Partitions{.notice = "none" + std::move(why)});
}

std::shared_ptr<const Partitions> partitions_for(const ExecutorOptions& options,
                                                 const std::vector<Gpu>& gpus,
                                                 const std::vector<std::size_t>& place) {
  if (options.workload == Workload::Timed)
    return none(": an action takes one SM");
  return options.partitions ? share_partitions(gpus, place) : none(": ranks share all SMs");
}

/// "driver 13.0, runtime 13.0"
std::string versions() {
  int driver = 0;
  int runtime = 0;
  BUBBLESCOPE_CHECK(cudaDriverGetVersion(&driver));
  BUBBLESCOPE_CHECK(cudaRuntimeGetVersion(&runtime));
  return fmt::format("driver {}, runtime {}", version_text(driver), version_text(runtime));
}

}  // namespace

Machine::Machine(const Plan& plan, const ExecutorOptions& options)
    : plan_(plan),
      options_(options),
      cupti_(options.cross_check ? std::make_unique<Cupti>() : nullptr),
      gpus_(find_gpus(plan.ranks())),
      versions_(versions()),
      place_(spread(plan.ranks(), gpus_.size())),
      clocks_(gpus_),
      flags_(3),
      stamps_(plan.instructions.size() + plan.messages.size(), "stamps"),
      clock_ahead_(place_.size()),
      partitions_(partitions_for(options, gpus_, place_)) {
  try {
    prepare();
  } catch (const std::runtime_error& error) {  // not every driver runs all in green contexts
    if (partitions_->of_rank.empty())
      throw;
    step_.reset();
    work_.reset();
    partitions_ = none(std::string(", ranks share all SMs: ") + error.what());
    prepare();
  }
}

void Machine::prepare() {
  layout_ = make_layout();
  work_ = make_work();
  step_.emplace(Step::Parts{.plan = plan_,
                            .work = *work_,
                            .stamps = stamps_.on_device(),
                            .layout = layout_,
                            .partitions = partitions_->of_rank,
                            .injection = options_.injection});
  BUBBLESCOPE_CHECK(cudaSetDevice(layout_.gpu_of_rank.front()));
  done_ = make_event();
  if (options_.launch == Launch::Streams)
    return;
  graph_ = capture(step_->root(), [&] { step_->enqueue(); });
  BUBBLESCOPE_CHECK(cudaSetDevice(layout_.gpu_of_rank.front()));
  BUBBLESCOPE_CHECK(cudaGraphUpload(graph_.get(), step_->root()));
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(step_->root()));
}

Layout Machine::make_layout() const {
  Layout layout{.gpu_of_rank = {},
                .sms_of_rank = {},
                .partitions = {},
                .tick_ns = 1,
                .stop = flags_.on_device() + kStop,
                .clock_ahead = clock_ahead_.on_device()};
  for (std::size_t rank = 0; rank < place_.size(); ++rank) {
    const Gpu& gpu = gpus_[place_[rank]];
    layout.gpu_of_rank.push_back(gpu.ordinal);
    layout.sms_of_rank.push_back(
        partitions_->of_rank.empty() ? gpu.sm_count : partitions_->of_rank[rank].sm_count());
    if (!partitions_->of_rank.empty())
      layout.partitions.push_back(partitions_->of_rank[rank].stream());
    layout.tick_ns = std::max(layout.tick_ns, gpu.timer.tick_ns);
  }
  return layout;
}

std::unique_ptr<Work> Machine::make_work() const {
  if (options_.workload == Workload::Tensors)
    return make_tensor_work(plan_, options_.shape, layout_);
  return make_timed_work(plan_, layout_);
}

MachineFacts Machine::facts() const {
  const Gpu& first = gpus_.front();
  const std::string count = gpus_.size() > 1 ? fmt::format("{} × ", gpus_.size()) : "";
  std::string launch =
      graph_ ? "one CUDA graph"
             : fmt::format("streams, held back until all is launched, or {} operations in one",
                           kMostHeldBack);
  if (const unsigned int expired = std::atomic_ref(flags_[kExpired]).load(); expired > 0)
    launch += fmt::format("; launching took too long in {} of the steps", expired);
  MachineFacts facts = {
      {"device", count + first.name},
      {"CUDA", versions_},
      {"SMs", fmt::format("{}", first.sm_count)},
      {"SM clock", fmt::format("{:.0f} MHz before the run", first.timer.sm_clock_mhz)},
      {"timer", fmt::format("%globaltimer, {} ns", layout_.tick_ns)},
      {"launch", launch},
      {"streams", fmt::format("{}", step_->lanes())},
      {"partitions", partitions_->notice}};
  if (gpus_.size() > 1)
    facts.emplace_back("clocks", fmt::format("aligned by exchanges within {:.1f} µs",
                                             static_cast<double>(clocks_.bracket().count()) / 1e3));
  if (cupti_)
    facts.emplace_back("CUPTI", cross_check_);
  return facts;
}

void Machine::cross_check(const std::vector<Span>& actions) {
  if (cupti_)
    cross_check_ = compare_actions(actions, actions_seen(cupti_->take()));
}

void Machine::reset() {
  for (std::size_t i = 0; i < stamps_.size(); ++i)
    stamps_[i] = {};
  clocks_.align();
  if (cupti_)
    cupti_->take();  // of what is no step
  for (std::size_t rank = 0; rank < place_.size(); ++rank)
    clock_ahead_[rank] = clocks_.ahead(place_[rank]);
  set(kStop, 0);
  set(kOpen, 0);
}

void Machine::launch() {
  BUBBLESCOPE_CHECK(cudaSetDevice(layout_.gpu_of_rank.front()));
  BUBBLESCOPE_CHECK(launch_gate({.open = flags_.on_device() + kOpen,
                                 .expired = flags_.on_device() + kExpired,
                                 .limit_ns = static_cast<unsigned long long>(kGateLimit.count())},
                                step_->root()));
  if (graph_)
    BUBBLESCOPE_CHECK(cudaGraphLaunch(graph_.get(), step_->root()));
  else
    step_->enqueue(kMostHeldBack, [this] { set(kOpen, 1); });
  BUBBLESCOPE_CHECK(cudaSetDevice(layout_.gpu_of_rank.front()));
  BUBBLESCOPE_CHECK(cudaEventRecord(done_.get(), step_->root()));
  set(kOpen, 1);
}

void Machine::stop() noexcept {
  set(kStop, 1);
  set(kOpen, 1);
}

bool Machine::is_idle() const {
  return BUBBLESCOPE_IS_DONE(cudaEventQuery(done_.get()));
}

Stamp Machine::stamp(std::size_t index) const {
  Stamp& shared = stamps_[index];
  return {std::atomic_ref(shared.start).load(std::memory_order_relaxed),
          std::atomic_ref(shared.end).load(std::memory_order_relaxed)};
}

}  // namespace bubblescope::gpu
