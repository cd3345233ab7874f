#include "analysis/calibration/timing_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/traces/unpacked_file.h"
#include "sim/base/error.h"
#include "sim/base/nearest.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr std::size_t kMostTimingBytes = std::size_t{256} << 20;
constexpr std::string_view kTimeColumn = "us";
constexpr const char* kPassColumn = "pass";
constexpr const char* kPowerLaw = "power_law_";

/// A column of words, and those that it may have.
struct WordColumn {
  const char* name;
  std::vector<std::string> words;
  const char* beginning = nullptr;  ///< Words that begin so are taken too.
};

struct KindColumns {
  TimingKind kind;
  const char* name;
  std::vector<const char*> numbers;
  std::vector<WordColumn> words;
  std::vector<const char*> spare = {};  ///< Columns that a file may have; no table needs them.
};

const std::vector<KindColumns>& kinds() {
  static const WordColumn dtype = {"dtype", {"bfloat16", "fp8", "fp8_block"}};
  static const std::vector<KindColumns> all = {
      {TimingKind::Products, "gemm", {"m", "n", "k"}, {dtype}},
      {TimingKind::Attention,
       "attention",
       {"batch_size", "isl", "num_heads", "num_key_value_heads", "head_dim"},
       {},
       {kPassColumn}},
      {TimingKind::LatentAttention,
       "mla",
       {"num_heads", "batch_size", "isl"},
       {},
       {"mla_dtype", "tp_size", kPassColumn}},
      {TimingKind::Experts,
       "moe",
       {"num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size",
        "moe_ep_size"},
       {dtype, {"distribution", {"balanced", "power_law_1.01", "power_law_1.2"}, kPowerLaw}}},
      {TimingKind::Collectives,
       "nccl",
       {"num_gpus", "message_size"},
       {{"op_name", {"all_gather", "reduce_scatter", "all_reduce", "alltoall"}},
        {"nccl_dtype", {"half", "int8"}}}}};
  return all;
}

const KindColumns& columns_of(TimingKind kind) {
  return kinds()[static_cast<std::size_t>(kind)];
}

/// The names that a header of the kind needs.
std::vector<std::string> needed(const KindColumns& columns) {
  std::vector<std::string> names;
  for (const WordColumn& column : columns.words)
    names.emplace_back(column.name);
  names.insert(names.end(), columns.numbers.begin(), columns.numbers.end());
  names.emplace_back(kTimeColumn);
  return names;
}

std::vector<std::string> allowed(const KindColumns& columns) {
  std::vector<std::string> names = needed(columns);
  names.insert(names.end(), columns.spare.begin(), columns.spare.end());
  return names;
}

/// Takes the next line off `text`, without its end.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r'))
    line.remove_suffix(1);
  return line;
}

std::string_view trimmed(std::string_view cell) {
  while (cell.starts_with(' '))
    cell.remove_prefix(1);
  while (cell.ends_with(' '))
    cell.remove_suffix(1);
  if (cell.size() >= 2 && cell.front() == '"' && cell.back() == '"')
    cell = cell.substr(1, cell.size() - 2);
  return cell;
}

void split(std::string_view line, std::vector<std::string_view>& cells) {
  cells.clear();
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(',', begin), line.size());
    cells.push_back(trimmed(line.substr(begin, end - begin)));
    begin = end + 1;
  }
}

std::string shown_cell(std::string_view cell) {
  return cell.empty() ? "nothing" : fmt::format("'{}'", printable(cell.substr(0, 40)));
}

/// Reads the lines of a file below its header.
class TimingReader {
 public:
  TimingReader(std::string_view text, const std::string& path) : text_(text), path_(path) {}

  TimingFile read() {
    if (text_.starts_with("\xEF\xBB\xBF"))
      text_.remove_prefix(3);
    next();
    TimingFile file{path_, recognised().kind, {}};
    find_places(columns_of(file.kind));
    while (!text_.empty()) {
      next();
      if (cells_.size() == 1 && cells_[0].empty())
        continue;
      file.timings.push_back(timing(columns_of(file.kind)));
    }
    if (file.timings.empty())
      throw Error(fmt::format("{}: has a header and no timings", path_));
    return file;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{}: line {}: {}", path_, line_, what));
  }

  void next() {
    split(take_line(text_), cells_);
    ++line_;
  }

  bool has(std::string_view name) const {
    return std::find(cells_.begin(), cells_.end(), name) != cells_.end();
  }

  /// The kind most of whose columns the header has. Every kind has "us", which tells nothing.
  const KindColumns& recognised() const {
    const KindColumns* best = nullptr;
    double most = 0;
    for (const KindColumns& each : kinds()) {
      const std::vector<std::string> names = needed(each);
      const auto found = std::count_if(names.begin(), names.end() - 1,
                                       [&](const std::string& name) { return has(name); });
      const double share = static_cast<double>(found) / static_cast<double>(names.size() - 1);
      const bool is_more = share > most;
      best = is_more ? &each : best;
      most = is_more ? share : most;
    }
    if (best != nullptr && most > 0.5)
      return *best;
    std::string forms;
    for (const KindColumns& each : kinds())
      forms += fmt::format("\n  {}: {}", each.name, fmt::join(needed(each), ","));
    fail(fmt::format("the header is of no kind of timings, which are{}", forms));
  }

  void find_places(const KindColumns& columns) {
    const std::vector<std::string> known = allowed(columns);
    for (const std::string_view name : cells_) {
      if (std::find(known.begin(), known.end(), name) == known.end())
        fail(fmt::format("timings of {} have no column {}{}", columns.name, shown_cell(name),
                         did_you_mean(name, known)));
      if (std::count(cells_.begin(), cells_.end(), name) > 1)
        fail(fmt::format("has column '{}' twice", name));
    }
    for (const std::string& name : needed(columns))
      if (!has(name))
        fail(fmt::format("has no column '{}', which timings of {} need", name, columns.name));
    const auto place = [&](std::string_view name) {
      return static_cast<std::size_t>(std::find(cells_.begin(), cells_.end(), name) -
                                      cells_.begin());
    };
    for (const char* name : columns.numbers)
      numbers_.push_back(place(name));
    for (const WordColumn& column : columns.words)
      words_.push_back(place(column.name));
    for (const char* name : columns.spare)
      if (has(name))
        spare_.push_back(place(name));
    if (has(kPassColumn))
      pass_ = place(kPassColumn);
    time_ = place(kTimeColumn);
    count_ = cells_.size();
  }

  double number(std::size_t place, std::string_view name, const char* expected) const {
    const std::string_view cell = cells_[place];
    double value = 0;
    const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    if (error != std::errc() || end != cell.data() + cell.size() || !std::isfinite(value))
      fail(fmt::format("{}: expected {}, got {}", name, expected, shown_cell(cell)));
    return value;
  }

  KernelTiming timing(const KindColumns& columns) const {
    if (cells_.size() != count_)
      fail(fmt::format("expected {} cells, as the header has, got {}", count_, cells_.size()));
    KernelTiming result;
    result.line = line_;
    for (std::size_t i = 0; i < numbers_.size(); ++i) {
      constexpr const char* kExpected = "a whole number from 1 on";
      constexpr double kMost = 1e15;
      const double value = number(numbers_[i], columns.numbers[i], kExpected);
      if (!(value >= 1 && value <= kMost && value == std::floor(value)))
        fail(fmt::format("{}: expected {}, got {}", columns.numbers[i], kExpected,
                         shown_cell(cells_[numbers_[i]])));
      result.numbers[i] = value;
    }
    for (std::size_t i = 0; i < words_.size(); ++i)
      result.words[i] = word(columns.words[i], cells_[words_[i]]);
    for (const std::size_t place : spare_)  // which tell one shape from another
      result.words.back().append(cells_[place]).append(" ");
    if (pass_)
      result.is_backward =
          word({kPassColumn, {"forward", "backward"}}, cells_[*pass_]) == "backward";
    constexpr const char* kTime = "a time above 0, in µs";
    result.microseconds = number(time_, kTimeColumn, kTime);
    if (!(result.microseconds > 0))
      fail(fmt::format("us: expected {}, got {}", kTime, shown_cell(cells_[time_])));
    return result;
  }

  std::string word(const WordColumn& column, std::string_view cell) const {
    const bool is_listed =
        std::find(column.words.begin(), column.words.end(), cell) != column.words.end();
    if (!is_listed && (column.beginning == nullptr || !cell.starts_with(column.beginning)))
      fail(fmt::format("{}: expected {}, got {}{}", column.name, fmt::join(column.words, ", "),
                       shown_cell(cell), did_you_mean(cell, column.words)));
    return std::string(cell);
  }

  std::string_view text_;
  const std::string& path_;
  std::size_t line_ = 0;
  std::vector<std::string_view> cells_;
  std::vector<std::size_t> numbers_;
  std::vector<std::size_t> words_;
  std::vector<std::size_t> spare_;
  std::optional<std::size_t> pass_;
  std::size_t time_ = 0;
  std::size_t count_ = 0;
};

}  // namespace

std::string_view to_string(TimingKind kind) {
  return columns_of(kind).name;
}

std::vector<std::string> number_columns(TimingKind kind) {
  return {columns_of(kind).numbers.begin(), columns_of(kind).numbers.end()};
}

std::vector<std::string> word_columns(TimingKind kind) {
  std::vector<std::string> names;
  for (const WordColumn& column : columns_of(kind).words)
    names.emplace_back(column.name);
  return names;
}

TimingFile parse_timings(std::string_view text, const std::string& path) {
  return TimingReader(text, path).read();
}

TimingFile read_timings(const std::string& path) {
  return parse_timings(read_unpacked(path, kMostTimingBytes), path);
}

std::string place_of(const TimingFile& file, const KernelTiming& timing) {
  return fmt::format("{}: line {}", file.path, timing.line);
}

void refuse_shapes_twice(const std::vector<TimingFile>& files) {
  using Shape = std::tuple<TimingKind, std::array<double, KernelTiming::kMostNumbers>,
                           std::array<std::string, 2>>;
  std::map<Shape, std::pair<const TimingFile*, const KernelTiming*>> seen;
  for (const TimingFile& file : files)
    for (const KernelTiming& each : file.timings) {
      const auto [found, is_new] =
          seen.try_emplace({file.kind, each.numbers, each.words}, &file, &each);
      if (!is_new)
        throw Error(fmt::format(
            "{}: has the shape of {}: give each shape once, with the median of its times",
            place_of(file, each),
            found->second.first == &file ? fmt::format("line {}", found->second.second->line)
                                         : place_of(*found->second.first, *found->second.second)));
    }
}

}  // namespace bubblescope
