// Timings of kernels in CSV, as benchmarks of kernels write them (docs/kernels.md has the columns).
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace bubblescope {

/// A kind of kernels; a file has timings of one, which its header tells.
enum class TimingKind : std::uint8_t { Products, Attention, LatentAttention, Experts, Collectives };
constexpr std::size_t kTimingKinds = 5;

/// "gemm", "attention", "mla", "moe" or "nccl".
std::string_view to_string(TimingKind kind);

/// One kernel, and how long it took. The numbers and words stand in the order of `number_columns`
/// and `word_columns`, whatever the file's.
struct KernelTiming {
  static constexpr std::size_t kMostNumbers = 7;
  std::size_t line = 0;
  std::array<double, kMostNumbers> numbers = {};
  std::array<std::string, 2> words = {};
  double microseconds = 0;
  bool is_backward = false;
};

/// The columns with whole numbers from 1 on, and those with words, beside "us".
std::vector<std::string> number_columns(TimingKind kind);
std::vector<std::string> word_columns(TimingKind kind);

struct TimingFile {
  std::string path;
  TimingKind kind = TimingKind::Products;
  std::vector<KernelTiming> timings;
};

/// Reads a file, plain or .gz. Throws Error with file and line for a header of no kind, a cell that
/// is empty, no number or no word of its column, and a shape that is given twice.
TimingFile read_timings(const std::string& path);

/// Reads its text; `path` names it in errors.
TimingFile parse_timings(std::string_view text, const std::string& path);

/// "gemm.csv: line 7", a place for messages.
std::string place_of(const TimingFile& file, const KernelTiming& timing);

/// Throws Error where a shape is in two files of one kind.
void refuse_shapes_twice(const std::vector<TimingFile>& files);

}  // namespace bubblescope
