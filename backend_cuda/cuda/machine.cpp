#include "backend_cuda/cuda/machine.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/cuda/spin_kernels.h"

namespace bubblescope::gpu {
namespace {

/// The gate opens by itself then, should a launch wait for what it holds back, here or elsewhere.
constexpr std::chrono::nanoseconds kGateLimit = std::chrono::seconds(1);
constexpr std::chrono::nanoseconds kGateLimitAmongProcesses = std::chrono::seconds(10);

/// A launch waits where a stream has about a thousand operations in its queue.
constexpr std::size_t kMostHeldBack = 500;

std::shared_ptr<const Partitions> none(std::string why) {
  return std::make_shared<const Partitions>(Partitions{.notice = "none" + std::move(why)});
}

ExecutorOptions options_for(ExecutorOptions options, const Here* here) {
  if (here != nullptr)
    options.launch = Launch::Streams;
  return options;
}

std::vector<Gpu> gpus_for(const Plan& plan, const Here* here) {
  return here == nullptr ? find_gpus(plan.ranks()) : std::vector<Gpu>{find_gpu(here->gpu)};
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

Machine::Machine(const Plan& plan, const ExecutorOptions& options, const Here* here)
    : plan_(plan),
      options_(options_for(options, here)),
      cupti_(options.cross_check ? std::make_unique<Cupti>() : nullptr),
      gpus_(gpus_for(plan, here)),
      versions_(versions()),
      place_(spread(plan.ranks(), gpus_.size())),
      clocks_(gpus_),
      flags_(3),
      stamps_(Step::stamps(plan), "stamps"),
      clock_ahead_(place_.size()),
      partitions_(here == nullptr ? partitions_for(options, gpus_, place_)
                                  : none(": a rank has its GPU to itself")) {
  try {
    prepare(here);
  } catch (const std::runtime_error& error) {  // not every driver runs all in green contexts
    if (partitions_->of_rank.empty())
      throw;
    step_.reset();
    work_.reset();
    partitions_ = none(std::string(", ranks share all SMs: ") + error.what());
    prepare(here);
  }
}

void Machine::prepare(const Here* here) {
  layout_ = make_layout(here);
  work_ = make_work();
  if (here != nullptr) {
    host_clock_.emplace(gpus_.front().ordinal, layout_.tick_ns);
    wire_ = here->connect(layout_, *work_);
    work_->exchange_through(*wire_);
  }
  step_.emplace(Step::Parts{.plan = plan_,
                            .work = *work_,
                            .stamps = stamps_.on_device(),
                            .layout = layout_,
                            .partitions = partitions_->of_rank,
                            .injection = options_.injection,
                            .wire = wire_.get()});
  if (options_.launch == Launch::Streams)
    return;
  graph_ = capture(step_->root(), [&] { step_->enqueue(); });
  BUBBLESCOPE_CHECK(cudaSetDevice(gpus_.front().ordinal));
  BUBBLESCOPE_CHECK(cudaGraphUpload(graph_.get(), step_->root()));
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(step_->root()));
}

Layout Machine::make_layout(const Here* here) const {
  Layout layout{.gpu_of_rank = {},
                .sms_of_rank = {},
                .partitions = {},
                .tick_ns = 1,
                .stop = flags_.on_device() + kStop,
                .clock_ahead = clock_ahead_.on_device(),
                .replica = here == nullptr ? 0 : here->replica,
                .replicas = here == nullptr ? 1 : here->replicas};
  for (std::size_t rank = 0; rank < place_.size(); ++rank) {
    const Gpu& gpu = gpus_[place_[rank]];
    const bool is_here = here == nullptr || rank == static_cast<std::size_t>(here->rank);
    layout.gpu_of_rank.push_back(is_here ? gpu.ordinal : kElsewhere);
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

std::string Machine::launch_words() const {
  std::string words =
      graph_ ? "one CUDA graph"
             : fmt::format("streams, held back until all is launched, or {} operations in one",
                           kMostHeldBack);
  if (const unsigned int expired = std::atomic_ref(flags_[kExpired]).load(); expired > 0)
    words += fmt::format("; launching took too long in {} of the steps", expired);
  return words;
}

MachineFacts Machine::facts() const {
  const Gpu& first = gpus_.front();
  const std::string count = gpus_.size() > 1 ? fmt::format("{} × ", gpus_.size()) : "";
  MachineFacts facts = {
      {"device", count + first.name},
      {"CUDA", versions_},
      {"SMs", fmt::format("{}", first.sm_count)},
      {"SM clock", fmt::format("{:.0f} MHz before the run", first.timer.sm_clock_mhz)},
      {"timer", fmt::format("%globaltimer, {} ns", layout_.tick_ns)},
      {"launch", launch_words()},
      {"streams", fmt::format("{}", step_->lanes())},
      {"partitions", partitions_->notice}};
  if (gpus_.size() > 1)
    facts.emplace_back("clocks", fmt::format("aligned by exchanges within {:.1f} µs",
                                             static_cast<double>(clocks_.bracket().count()) / 1e3));
  if (wire_)
    for (auto& fact : wire_->facts())
      facts.push_back(std::move(fact));
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
  if (host_clock_)
    host_clock_->read_before();
  if (cupti_)
    cupti_->take();  // of what is no step
  for (std::size_t rank = 0; rank < place_.size(); ++rank)
    clock_ahead_[rank] = clocks_.ahead(place_[rank]);
  set(kStop, 0);
  set(kOpen, 0);
  is_deep_ = false;
}

void Machine::launch() {
  const auto limit = wire_ ? kGateLimitAmongProcesses : kGateLimit;
  BUBBLESCOPE_CHECK(cudaSetDevice(gpus_.front().ordinal));
  BUBBLESCOPE_CHECK(launch_gate({.open = flags_.on_device() + kOpen,
                                 .expired = flags_.on_device() + kExpired,
                                 .limit_ns = static_cast<unsigned long long>(limit.count())},
                                step_->root()));
  if (graph_)
    BUBBLESCOPE_CHECK(cudaGraphLaunch(graph_.get(), step_->root()));
  else
    step_->enqueue(kMostHeldBack, [this] { wire_ ? is_deep_.store(true) : open(); });
  if (!wire_)
    open();
}

void Machine::stop() noexcept {
  set(kStop, 1);
  open();
  if (wire_)
    wire_->abort();
}

void Machine::end_step() {
  if (host_clock_)
    host_clock_->read_after();
}

Time Machine::common_time(Rank rank, unsigned long long reading) const {
  const Time time(static_cast<std::int64_t>(reading));
  return host_clock_ ? host_clock_->host_time(time)
                     : time - Time(clocks_.ahead(place_[static_cast<std::size_t>(rank)]));
}

bool Machine::is_idle() const {
  if (wire_)
    wire_->check();
  return step_->is_idle() && work_->is_idle();
}

Stamp Machine::stamp(std::size_t index) const {
  Stamp& shared = stamps_[index];
  return {std::atomic_ref(shared.start).load(std::memory_order_relaxed),
          std::atomic_ref(shared.end).load(std::memory_order_relaxed)};
}

}  // namespace bubblescope::gpu
