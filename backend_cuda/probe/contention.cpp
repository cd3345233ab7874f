#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/probe/measurements.h"
#include "backend_cuda/probe/probe_kernels.h"
#include "backend_cuda/probe/sm_holder.h"
#include "backend_cuda/probe/statistics.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::milliseconds;

/// A kernel that is timed while other SMs are held.
enum class Victim { OneWave, FourWaves, SmAware, Memory };

constexpr Victim kVictims[] = {Victim::OneWave, Victim::FourWaves, Victim::SmAware, Victim::Memory};

const char* name_of(Victim victim) {
  switch (victim) {
    case Victim::OneWave:
      return "compute, a block per SM";
    case Victim::FourWaves:
      return "compute, four blocks per SM in turn";
    case Victim::SmAware:
      return "compute, a block per free SM";
    case Victim::Memory:
      return "memory, small blocks";
  }
  return "";
}

/// One run of a victim.
struct Sample {
  double us;
  std::size_t on_held;  ///< Held SMs on which a block of the victim ran all the same.
};

class Bench {
 public:
  explicit Bench(const Device& device)
      : device_(device),
        copy_blocks_(static_cast<unsigned int>(kCopyBytes / kCopyBlockBytes)),
        from_(kCopyBytes),
        to_(kCopyBytes),
        sink_(1),
        stamps_(std::size_t{kLaunches} * std::max(copy_blocks_, 4 * device.sm_count)),
        stream_(make_stream()),
        holder_stream_(make_stream()) {
    BUBBLESCOPE_CHECK(
        count_fma_blocks_per_sm(more_than_half_of_shared(device), &fma_blocks_per_sm_));
    BUBBLESCOPE_CHECK(count_copy_blocks_per_sm(&copy_blocks_per_sm_));
  }

  std::vector<Sample> run(Victim victim, unsigned int held) const;

  unsigned int blocks(Victim victim, unsigned int held) const;
  /// How many rounds of blocks the kernel needs beside held SMs, and how many with none held.
  double waves_ratio(Victim victim, unsigned int held) const;

 private:
  static constexpr std::size_t kCopyBytes = std::size_t{256} << 20;
  static constexpr unsigned int kIterations = 1U << 15;  ///< Of a block, where each SM has one.
  static constexpr int kWarmUps = 2;
  static constexpr int kRepeats = 8;
  static constexpr int kLaunches = kWarmUps + kRepeats;

  void launch(Victim victim, unsigned int held, BlockStamp* stamps) const;

  const Device& device_;
  unsigned int copy_blocks_;
  int fma_blocks_per_sm_ = 0;
  int copy_blocks_per_sm_ = 0;
  DeviceBuffer<unsigned char> from_;
  DeviceBuffer<unsigned char> to_;
  DeviceBuffer<float> sink_;
  DeviceBuffer<BlockStamp> stamps_;
  Stream stream_;
  Stream holder_stream_;
};

unsigned int Bench::blocks(Victim victim, unsigned int held) const {
  switch (victim) {
    case Victim::OneWave:
      return device_.sm_count;
    case Victim::FourWaves:
      return 4 * device_.sm_count;
    case Victim::SmAware:
      return device_.sm_count - held;
    case Victim::Memory:
      return copy_blocks_;
  }
  return 0;
}

double Bench::waves_ratio(Victim victim, unsigned int held) const {
  const auto per_sm =
      static_cast<double>(victim == Victim::Memory ? copy_blocks_per_sm_ : fma_blocks_per_sm_);
  const double blocks_now = blocks(victim, held);
  const double sms = device_.sm_count;
  return std::ceil(blocks_now / (per_sm * (sms - held))) / std::ceil(blocks_now / (per_sm * sms));
}

/// The compute victims do the same arithmetic in all, however many blocks they have.
void Bench::launch(Victim victim, unsigned int held, BlockStamp* stamps) const {
  const unsigned int count = blocks(victim, held);
  if (victim == Victim::Memory) {
    BUBBLESCOPE_CHECK(
        launch_copy({.from = from_.data(), .to = to_.data(), .stamps = stamps, .blocks = count},
                    stream_.get()));
    return;
  }
  const std::uint64_t work = std::uint64_t{kIterations} * device_.sm_count;
  BUBBLESCOPE_CHECK(launch_fma({.stamps = stamps,
                                .sink = sink_.data(),
                                .iterations = static_cast<unsigned int>((work + count - 1) / count),
                                .blocks = count,
                                .shared_bytes = more_than_half_of_shared(device_)},
                               stream_.get()));
}

/// Times the victim over and over while one kernel holds the SMs.
std::vector<Sample> Bench::run(Victim victim, unsigned int held) const {
  constexpr milliseconds kLimit{500};
  const std::size_t count = blocks(victim, held);
  std::set<unsigned int> held_sms;
  {
    std::optional<SmHolder> holder;
    if (held > 0) {
      holder.emplace(device_,
                     SmHolder::Wish{.stream = holder_stream_.get(), .sms = held, .limit = kLimit});
      held_sms = holder->sms();
    }
    for (int i = 0; i < kLaunches; ++i)
      launch(victim, held, stamps_.data() + static_cast<std::size_t>(i) * count);
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream_.get()));
    if (holder && !holder->is_running())
      throw std::runtime_error("a kernel ran behind the one that held SMs, and not beside it");
  }
  const std::vector<BlockStamp> stamps = stamps_.download();
  std::vector<Sample> samples;
  for (std::size_t i = kWarmUps; i < std::size_t{kLaunches}; ++i) {
    const std::span<const BlockStamp> one(stamps.data() + i * count, count);
    std::set<unsigned int> met;
    for (const BlockStamp& stamp : one)
      if (held_sms.contains(stamp.sm))
        met.insert(stamp.sm);
    samples.push_back({to_us(interval_of(one).length()), met.size()});
  }
  return samples;
}

}  // namespace

std::vector<Table> measure_contention(const Device& device) {
  constexpr int kRounds = 3;  // over everything, so that a drifting clock touches all alike
  const Bench bench(device);
  const double clock_before = measure_sm_clock(device);
  Table table{
      .name = "contention",
      .title = "contention: kernels while another holds some SMs",
      .columns = with_spread({{"kernel"}, {"blocks"}, {"held"}, {"on_held"}}, "us", 1),
      .notes = {"on_held: the most held SMs on which a block ran all the same; sms: S/(S-held); "
                "waves: ceil(G/(S-held))/ceil(G/S), of G blocks, over what an SM takes at once"}};
  for (const char* ratio : {"slowdown", "sms", "waves"})
    table.columns.push_back({ratio, 3});
  std::map<std::pair<Victim, unsigned int>, std::vector<Sample>> samples;
  for (int round = 0; round < kRounds; ++round)
    for (const Victim victim : kVictims)
      for (const unsigned int held : {0U, 8U, 16U, 20U, 32U, 64U}) {
        if (held >= device.sm_count)
          continue;
        const std::vector<Sample> more = bench.run(victim, held);
        std::vector<Sample>& all = samples[{victim, held}];
        all.insert(all.end(), more.begin(), more.end());
      }
  table.notes.push_back("SM clock " + fixed(clock_before, 0) + " MHz before, " +
                        fixed(measure_sm_clock(device), 0) + " MHz after");
  std::map<Victim, double> undisturbed;
  for (const auto& [what, all] : samples) {
    const auto [victim, held] = what;
    std::vector<double> us;
    std::size_t on_held = 0;
    for (const Sample& sample : all) {
      us.push_back(sample.us);
      on_held = std::max(on_held, sample.on_held);
    }
    const Spread spread = spread_of(us);
    if (held == 0)
      undisturbed[victim] = spread.p50;
    const double sms = device.sm_count;
    std::vector<Cell> row = with_spread(
        {std::string(name_of(victim)), static_cast<std::int64_t>(bench.blocks(victim, held)),
         static_cast<std::int64_t>(held), static_cast<std::int64_t>(on_held)},
        spread);
    row.insert(row.end(), {spread.p50 / undisturbed[victim], sms / (sms - held)});
    row.push_back(victim == Victim::SmAware ? Cell() : Cell(bench.waves_ratio(victim, held)));
    table.rows.push_back(std::move(row));
  }
  return {table};
}

}  // namespace bubblescope::gpu
