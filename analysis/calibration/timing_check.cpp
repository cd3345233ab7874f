#include "analysis/calibration/timing_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include "sim/base/error.h"

namespace bubblescope {
namespace {

constexpr double kMicro = 1e-6;

/// A kernel does so much, at a rate that a peak bounds: FLOP and FLOP/s, or bytes and bytes/s.
struct Work {
  double amount = 0;
  double peak = 0;
  bool is_computing = true;

  double least_microseconds() const { return amount / peak / kMicro; }
};

double peak_of(const TimingFile& file, const KernelTiming& timing, const Hardware& hardware) {
  const std::string& dtype = timing.words[0];
  if (!dtype.starts_with("fp8"))
    return hardware.bf16_flops;
  if (hardware.fp8_flops == 0)
    throw Error(fmt::format("{}: dtype is '{}', and {} has no fp8", place_of(file, timing), dtype,
                            hardware.name));
  return hardware.fp8_flops;
}

Work product_work(const TimingFile& file, const KernelTiming& timing, const Hardware& hardware) {
  const auto& numbers = timing.numbers;
  return {2 * numbers[0] * numbers[1] * numbers[2], peak_of(file, timing, hardware)};
}

/// Attention's backward has 5 products, its forward 2.
double passes(const KernelTiming& timing) {
  return timing.is_backward ? 2.5 : 1;
}

/// Causal: half of the square.
Work attention_work(const TimingFile& file, const KernelTiming& timing, const Hardware& hardware) {
  const auto& [batch, sequence, heads, key_heads, head_dim, unused, none] = timing.numbers;
  if (key_heads > heads)
    throw Error(
        fmt::format("{}: num_key_value_heads: expected up to {:g}, as there are num_heads, "
                    "got {:g}",
                    place_of(file, timing), heads, key_heads));
  return {passes(timing) * 2 * batch * heads * sequence * sequence * head_dim, hardware.bf16_flops};
}

Work latent_work(const KernelTiming& timing, const Hardware& hardware) {
  constexpr double kWidths = 192 + 128;  // of keys and of values
  const auto& numbers = timing.numbers;
  return {passes(timing) * numbers[0] * numbers[1] * numbers[2] * numbers[2] * kWidths,
          hardware.bf16_flops};
}

/// Where loads are unequal a GPU may have little to do.
std::optional<Work> expert_work(const TimingFile& file, const KernelTiming& timing,
                                const Hardware& hardware) {
  constexpr double kFlops = 6;  // gate, up and down
  const auto& [tokens, hidden, width, per_token, experts, tensor, groups] = timing.numbers;
  const double peak = peak_of(file, timing, hardware);
  if (timing.words[1] != "balanced" && groups > 1)
    return std::nullopt;
  return Work{kFlops * tokens * per_token / groups * hidden * width / tensor, peak};
}

Work collective_work(const KernelTiming& timing, const Hardware& hardware) {
  const double element = timing.words[1] == "half" ? 2 : 1;
  const double gpus = timing.numbers[0];
  return {timing.numbers[1] * element * (gpus - 1) / gpus, hardware.nvlink_bandwidth, false};
}

std::optional<Work> work_of(const TimingFile& file, const KernelTiming& timing,
                            const Hardware& hardware) {
  switch (file.kind) {
    case TimingKind::Products:
      return product_work(file, timing, hardware);
    case TimingKind::Attention:
      return attention_work(file, timing, hardware);
    case TimingKind::LatentAttention:
      return latent_work(timing, hardware);
    case TimingKind::Experts:
      return expert_work(file, timing, hardware);
    case TimingKind::Collectives:
      return collective_work(timing, hardware);
  }
  return std::nullopt;
}

std::string shown_rate(const Work& work, double per_second) {
  return work.is_computing ? fmt::format("{:.4g} TFLOP/s", per_second / 1e12)
                           : fmt::format("{:.4g} GB/s", per_second / 1e9);
}

void check_timing(const TimingFile& file, const KernelTiming& timing, const Work& work,
                  const Hardware& hardware) {
  constexpr double kTooFast = 2;      // times the peak
  constexpr double kTooSlow = 100;    // times as long as at the peak
  constexpr double kAnyKernel = 1e5;  // µs that are not yet absurd
  const double least = work.least_microseconds();
  if (timing.microseconds * kTooFast < least)
    throw Error(fmt::format(
        "{}: {:g} µs are {}, where {} has {}: expected {:.4g} µs or more; is it of another GPU?",
        place_of(file, timing), timing.microseconds,
        shown_rate(work, work.amount / (timing.microseconds * kMicro)), hardware.name,
        shown_rate(work, work.peak), least / kTooFast));
  const double most = kAnyKernel + kTooSlow * least;
  if (timing.microseconds > most)
    throw Error(fmt::format(
        "{}: {:g} µs are absurd for a kernel that takes {:.3g} µs at the peak of {}: expected "
        "{:.4g} µs at most",
        place_of(file, timing), timing.microseconds, least, hardware.name, most));
}

/// The best part of its peak that products of a dtype reach, of those large enough to tell.
struct Best {
  double part = 0;
  Work work = {};
  const TimingFile* file = nullptr;
};

std::optional<std::string> judge(const std::string& dtype, const Best& best,
                                 const Hardware& hardware) {
  constexpr double kSurelyWrong = 0.05;
  constexpr double kLittle = 0.5;
  constexpr double kMuch = 1.05;
  const std::string words =
      fmt::format("{}: products in {} reach {:.3g} % of the {} of {}{}", best.file->path, dtype,
                  best.part * 100, shown_rate(best.work, best.work.peak), hardware.name,
                  best.part < 1 ? " at most" : "");
  if (best.part < kSurelyWrong)
    throw Error(words + ": are they of another GPU, or not in µs?");
  if (best.part < kLittle || best.part > kMuch)
    return words + ": are they of another GPU?";
  return std::nullopt;
}

}  // namespace

std::vector<std::string> check_timings(const std::vector<TimingFile>& files,
                                       const Hardware& hardware) {
  constexpr double kTelling = 50;  // µs at the peak; shorter kernels are bound by their launch
  std::map<std::string, Best> best;
  for (const TimingFile& file : files)
    for (const KernelTiming& timing : file.timings) {
      const std::optional<Work> work = work_of(file, timing, hardware);
      if (!work)
        continue;
      check_timing(file, timing, *work, hardware);
      const double least = work->least_microseconds();
      if (file.kind != TimingKind::Products || least < kTelling)
        continue;
      Best& mine = best[timing.words[0]];
      if (least / timing.microseconds > mine.part)
        mine = {least / timing.microseconds, *work, &file};
    }
  std::vector<std::string> notes;
  for (const auto& [dtype, each] : best)
    if (auto note = judge(dtype, each, hardware))
      notes.push_back(*note);
  return notes;
}

}  // namespace bubblescope
