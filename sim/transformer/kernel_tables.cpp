#include "sim/transformer/kernel_tables.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/json_input.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr std::string_view kKernelFormat = "bubblescope-kernels/1";
constexpr double kMicrosecond = 1e-6;

/// An axis of a table, and its powers beyond the nodes.
struct AxisName {
  const char* key;
  double below = 0;
  double above = 1;
};

std::vector<double> numbers(ObjectReader& object, const std::string& key) {
  const auto values = object.optional_numbers(key, object.size_of(key));
  if (!values || values->empty())
    object.fail(key, "expected an array of numbers");
  for (const double value : *values)
    if (!(value > 0))
      object.fail(key, fmt::format("expected numbers above 0, got {}", value));
  return *values;
}

std::vector<double> rising(ObjectReader& object, const std::string& key) {
  std::vector<double> values = numbers(object, key);
  if (std::adjacent_find(values.begin(), values.end(), std::greater_equal<>()) != values.end())
    object.fail(key, "expected rising numbers");
  return values;
}

KernelGrid read_grid(ObjectReader object, std::initializer_list<AxisName> names) {
  std::vector<KernelGrid::Axis> axes;
  std::size_t times = 1;
  for (const AxisName& name : names) {
    axes.push_back({rising(object, name.key), name.below, name.above});
    times *= axes.back().nodes.size();
  }
  std::vector<double> microseconds = numbers(object, "us");
  if (microseconds.size() != times)
    object.fail("us", fmt::format("expected {} times, got {}", times, microseconds.size()));
  object.finish();
  return {std::move(axes), std::move(microseconds)};
}

CollectiveTable read_collective(ObjectReader object) {
  const std::vector<double> gpus = rising(object, "gpus");
  const std::vector<double> bytes = rising(object, "bytes");
  const std::vector<double> all = numbers(object, "us");
  if (all.size() != gpus.size() * bytes.size())
    object.fail("us",
                fmt::format("expected {} times, got {}", gpus.size() * bytes.size(), all.size()));
  object.finish();
  std::vector<KernelGrid> grids;
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(i * bytes.size());
    grids.emplace_back(
        std::vector<KernelGrid::Axis>{{bytes, 0, 1}},
        std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(bytes.size())));
  }
  return {gpus, std::move(grids)};
}

/// A simulation takes experts by products; what is wrong is told all the same.
void check_experts(ObjectReader object) {
  object.number("combine_us");
  read_grid(std::move(object), {{"rows"}, {"experts", 1}, {"width"}, {"hidden"}});
}

void check_experts_tables(ObjectReader grouped) {
  for (const char* dtype : {"bf16", "fp8", "fp8_block"})
    if (auto part = grouped.optional_object(dtype))
      check_experts(std::move(*part));
  grouped.finish();
}

template <typename Table, typename Read>
void read_optional(ObjectReader& object, const std::string& key, std::optional<Table>& table,
                   const Read& read) {
  if (auto part = object.optional_object(key))
    table = read(std::move(*part));
}

}  // namespace

KernelGrid::KernelGrid(std::vector<Axis> axes, std::vector<double> microseconds)
    : axes_(std::move(axes)), log_microseconds_(std::move(microseconds)) {
  for (double& time : log_microseconds_)
    time = std::log(time);
}

double KernelGrid::seconds(const Point& point) const {
  struct Step {
    double part;  // of the way from a node to the next
    std::size_t stride;
  };
  std::array<Step, kMostAxes> steps;
  std::size_t step_count = 0;
  std::size_t base = 0;
  std::size_t stride = 1;
  double outside = 0;
  for (std::size_t axis = axes_.size(); axis-- > 0;) {
    const std::vector<double>& nodes = axes_[axis].nodes;
    const double at = std::clamp(point[axis], nodes.front(), nodes.back());
    outside +=
        (point[axis] < at ? axes_[axis].below : axes_[axis].above) * std::log(point[axis] / at);
    if (nodes.size() > 1) {
      const auto next = std::min(std::upper_bound(nodes.begin(), nodes.end(), at), nodes.end() - 1);
      base += static_cast<std::size_t>(next - nodes.begin() - 1) * stride;
      steps[step_count++] = {std::log(at / next[-1]) / std::log(next[0] / next[-1]), stride};
    }
    stride *= nodes.size();
  }
  double sum = 0;
  for (std::size_t corner = 0; corner < std::size_t{1} << step_count; ++corner) {
    double weight = 1;
    std::size_t place = base;
    for (std::size_t i = 0; i < step_count; ++i) {
      const bool is_next = (corner >> i & 1) != 0;
      weight *= is_next ? steps[i].part : 1 - steps[i].part;
      place += is_next ? steps[i].stride : 0;
    }
    sum += weight * log_microseconds_[place];
  }
  return std::exp(outside + sum) * kMicrosecond;
}

CollectiveTable::CollectiveTable(std::vector<double> gpus, std::vector<KernelGrid> grids)
    : gpus_(std::move(gpus)), grids_(std::move(grids)) {}

double CollectiveTable::seconds(double gpus, double bytes) const {
  if (gpus <= 1 || bytes <= 0)
    return 0;
  const KernelGrid::Point point = {bytes};
  const auto above = std::upper_bound(gpus_.begin(), gpus_.end(), gpus);
  if (above == gpus_.begin())
    return grids_.front().seconds(point);
  const auto below = static_cast<std::size_t>(above - gpus_.begin()) - 1;
  const double time = grids_[below].seconds(point);
  if (above == gpus_.end())  // each GPU sends (n − 1)/n of the buffer
    return time * (1 - 1 / gpus) / (1 - 1 / gpus_[below]);
  const double part = std::log(gpus / gpus_[below]) / std::log(gpus_[below + 1] / gpus_[below]);
  return time * std::pow(grids_[below + 1].seconds(point) / time, part);
}

KernelTables kernel_tables_of(ObjectReader object) {
  if (const std::string format = object.text("format"); format != kKernelFormat)
    object.fail("format", fmt::format("expected \"{}\", got \"{}\"", kKernelFormat, format));
  KernelTables tables;
  tables.name = printable_name(object.text("name"));
  object.text("source");
  ObjectReader products = object.object("products");
  const auto read_product = [](ObjectReader part) {
    return read_grid(std::move(part), {{"m"}, {"n"}, {"k"}});
  };
  read_optional(products, "bf16", tables.bf16, read_product);
  read_optional(products, "fp8", tables.fp8_tensor, read_product);
  read_optional(products, "fp8_block", tables.fp8_block, read_product);
  products.finish();
  const auto read_attention = [](ObjectReader part) {
    constexpr double kHeadPower = 0.75;
    return read_grid(std::move(part),
                     {{"head_dim", kHeadPower}, {"group", 0, 0}, {"heads"}, {"sequence", 0, 2}});
  };
  const auto read_latent = [](ObjectReader part) {
    return read_grid(std::move(part), {{"heads"}, {"sequence", 0, 2}});
  };
  read_optional(object, "attention", tables.attention, read_attention);
  read_optional(object, "attention_backward", tables.attention_backward, read_attention);
  read_optional(object, "mla", tables.latent_attention, read_latent);
  read_optional(object, "mla_backward", tables.latent_attention_backward, read_latent);
  ObjectReader collectives = object.object("collectives");
  read_optional(collectives, "all_gather", tables.all_gather, read_collective);
  read_optional(collectives, "reduce_scatter", tables.reduce_scatter, read_collective);
  read_optional(collectives, "all_to_all", tables.all_to_all, read_collective);
  if (auto all_reduce = collectives.optional_object("all_reduce"))
    read_collective(std::move(*all_reduce));  // which no simulation asks for
  collectives.finish();
  if (auto grouped = object.optional_object("grouped"))
    check_experts_tables(std::move(*grouped));
  object.finish();
  return tables;
}

KernelTables parse_kernel_tables(std::string_view text, const std::string& file) {
  const nlohmann::json json = parse_json(text, file);
  return kernel_tables_of(ObjectReader(json, {file, ""}));
}

KernelTables read_kernel_tables(const std::string& path) {
  constexpr std::size_t kMostBytes = std::size_t{1} << 20;
  return parse_kernel_tables(read_file(path, kMostBytes), path);
}

}  // namespace bubblescope
