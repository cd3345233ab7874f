// Kernels beside one that holds some of the SMs.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "tests/gpu/probe/device.h"

namespace bubblescope::gpu {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{256} << 20;

/// A kernel that is timed while other SMs are held.
struct Victim {
  const char* name;
  unsigned int blocks_per_sm;  ///< 0: it copies kCopyBytes.
  bool avoids_held = false;    ///< It has no blocks for held SMs.

  unsigned int blocks(unsigned int sms, unsigned int held) const {
    return blocks_per_sm == 0 ? static_cast<unsigned int>(kCopyBytes / kCopyBlockBytes)
                              : blocks_per_sm * (avoids_held ? sms - held : sms);
  }
};

constexpr Victim kVictims[] = {{"compute, a block per SM", 1},
                               {"compute, four blocks per SM in turn", 4},
                               {"compute, a block per free SM", 1, true},
                               {"memory, small blocks", 0}};

struct Samples {
  std::vector<double> us = {};
  std::size_t on_held = 0;  ///< The most held SMs on which a block of the victim ran all the same.
};

class Bench {
 public:
  explicit Bench(const Device& device)
      : device_(device),
        stamps_(kLaunches * std::max(kVictims[3].blocks(device.sm_count, 0),
                                     kVictims[1].blocks(device.sm_count, 0))) {}

  void run(const Victim& victim, unsigned int held, Samples& samples) const;

 private:
  static constexpr std::size_t kWarmUps = 2;
  static constexpr std::size_t kLaunches = kWarmUps + 8;

  void launch(const Victim& victim, unsigned int blocks, BlockStamp* stamps) const;

  const Device& device_;
  DeviceBuffer<unsigned char> from_{kCopyBytes};
  DeviceBuffer<unsigned char> to_{kCopyBytes};
  DeviceBuffer<BlockStamp> stamps_;
  Stream stream_ = make_stream();
  Stream holder_stream_ = make_stream();
};

/// The compute victims do the same arithmetic in all, however many blocks they have.
void Bench::launch(const Victim& victim, unsigned int blocks, BlockStamp* stamps) const {
  constexpr std::uint64_t kIterations = 1U << 15;  // of a block, where each SM has one
  if (victim.blocks_per_sm == 0)
    return BUBBLESCOPE_CHECK(launch_copy(from_.data(), to_.data(), stamps, blocks, stream_.get()));
  const std::uint64_t iterations = (kIterations * device_.sm_count + blocks - 1) / blocks;
  BUBBLESCOPE_CHECK(launch_fma(stamps, static_cast<unsigned int>(iterations), blocks,
                               more_than_half_of_shared(device_), stream_.get()));
}

/// Times the victim over and over while one kernel holds the SMs.
void Bench::run(const Victim& victim, unsigned int held, Samples& samples) const {
  constexpr std::chrono::milliseconds kLimit{500};
  const unsigned int blocks = victim.blocks(device_.sm_count, held);
  std::set<unsigned int> held_sms;
  {
    std::optional<SmHolder> holder;
    if (held > 0) {
      holder.emplace(device_, SmHolder::Wish{holder_stream_.get(), held, kLimit});
      held_sms = holder->sms();
    }
    for (std::size_t i = 0; i < kLaunches; ++i)
      launch(victim, blocks, stamps_.data() + i * blocks);
    BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream_.get()));
    if (holder && !holder->is_running())
      throw std::runtime_error("a kernel ran behind the one that held SMs, and not beside it");
  }
  const std::vector<BlockStamp> stamps = stamps_.download();
  for (std::size_t i = kWarmUps; i < kLaunches; ++i) {
    const std::span<const BlockStamp> one(stamps.data() + i * blocks, blocks);
    std::set<unsigned int> met;
    for (const BlockStamp& stamp : one)
      if (held_sms.contains(stamp.sm))
        met.insert(stamp.sm);
    samples.us.push_back(to_us(span_of(one).length()));
    samples.on_held = std::max(samples.on_held, met.size());
  }
}

/// In how many rounds an SM takes the blocks of a kernel.
double waves(const Device& device, const Victim& victim, unsigned int held, unsigned int sms) {
  int per_sm = 0;
  BUBBLESCOPE_CHECK(victim.blocks_per_sm == 0
                        ? count_copy_blocks_per_sm(&per_sm)
                        : count_fma_blocks_per_sm(more_than_half_of_shared(device), &per_sm));
  return std::ceil(victim.blocks(device.sm_count, held) / (static_cast<double>(per_sm) * sms));
}

}  // namespace

std::vector<Table> measure_contention(const Device& device) {
  constexpr int kRounds = 3;  // over everything, so that a drifting clock touches all alike
  const unsigned int sms = device.sm_count;
  const double clock_before = measure_sm_clock(device);
  const Bench bench(device);
  std::map<std::pair<const Victim*, unsigned int>, Samples> samples;
  for (int round = 0; round < kRounds; ++round)
    for (const Victim& victim : kVictims)
      for (const unsigned int held : {0U, 8U, 16U, 20U, 32U, 64U})
        if (held < sms)
          bench.run(victim, held, samples[{&victim, held}]);
  Table table{
      .name = "contention",
      .title = "contention: kernels while another holds some SMs",
      .notes = {"on_held: the most held SMs on which a block ran all the same; sms: S/(S-held); "
                "waves: ceil(G/(S-held))/ceil(G/S), of G blocks, over what an SM takes at once",
                fmt::format("SM clock {:.0f} MHz before, {:.0f} MHz after", clock_before,
                            measure_sm_clock(device))}};
  double undisturbed = 0;
  for (const auto& [what, all] : samples) {
    const auto& [victim, held] = what;
    ordered_json row = {{"kernel", victim->name},
                        {"blocks", victim->blocks(sms, held)},
                        {"held", held},
                        {"on_held", all.on_held}};
    const double median = add_spread(row, "us", all.us);
    if (held == 0)
      undisturbed = median;
    row["slowdown"] = rounded(median / undisturbed);
    row["sms"] = rounded(sms / static_cast<double>(sms - held));
    row["waves"] = nullptr;
    if (!victim->avoids_held)
      row["waves"] =
          rounded(waves(device, *victim, held, sms - held) / waves(device, *victim, held, sms));
    table.rows.push_back(std::move(row));
  }
  return {table};
}

}  // namespace bubblescope::gpu
