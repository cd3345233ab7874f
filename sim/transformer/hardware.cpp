#include "sim/transformer/hardware.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/base/printable.h"
#include "sim/costs/cost_model.h"

namespace bubblescope {
namespace {

constexpr std::string_view kHardwareFormat = "bubblescope-hardware/1";
constexpr std::size_t kMostHardwareBytes = std::size_t{1} << 20;

/// A rate or a size, of which there must be some.
double positive(ObjectReader& object, const std::string& key, double unit) {
  constexpr double kMost = 1e9;
  const double value = object.number(key);
  if (!(value > 0 && value <= kMost))
    object.fail(key, fmt::format("expected a number above 0, up to {:g}, got {}", kMost, value));
  return value * unit;
}

int count(ObjectReader& object, const std::string& key, int least) {
  const std::int64_t value = object.integer(key);
  constexpr int kMost = 1'000'000;
  if (value < least || value > kMost)
    object.fail(key, fmt::format("expected {} to {}, got {}", least, kMost, value));
  return static_cast<int>(value);
}

Time duration(ObjectReader& object, const std::string& key) {
  const double microseconds = object.number(key);
  try {
    return time_from_us(microseconds);
  } catch (const Error& error) {
    object.fail(key, error.what());
  }
}

double fraction(ObjectReader& object, const std::string& key) {
  const double value = object.number(key);
  if (!(value > 0 && value <= 1))
    object.fail(key,
                fmt::format("expected a part of the peak, above 0 and up to 1, got {}", value));
  return value;
}

Hardware::Efficiency read_efficiency(ObjectReader object, bool has_fp8) {
  Hardware::Efficiency result{.gemm_bf16 = fraction(object, "gemm_bf16"),
                              .attention_forward = fraction(object, "attention_forward"),
                              .attention_backward = fraction(object, "attention_backward"),
                              .memory = fraction(object, "memory"),
                              .nvlink = fraction(object, "nvlink"),
                              .network = fraction(object, "network")};
  if (has_fp8)
    result.gemm_fp8 = fraction(object, "gemm_fp8");
  else if (object.has("gemm_fp8"))
    object.fail("gemm_fp8",
                "needs fp8_TFLOPs beside \"efficiency\", the peak that it is a part of");
  object.finish();
  return result;
}

double factor(ObjectReader& object, const std::string& key) {
  const double value = object.number(key);
  if (!(value > 0 && value <= 100))
    object.fail(key, fmt::format("expected a factor above 0, up to 100, got {}", value));
  return value;
}

Hardware::Sustained read_sustained(ObjectReader object) {
  Hardware::Sustained result{.bf16 = factor(object, "bf16"),
                             .weight_gradients = factor(object, "weight_gradients"),
                             .collectives = factor(object, "collectives"),
                             .attention_backward = factor(object, "attention_backward")};
  if (object.has("fp8"))
    result.fp8 = factor(object, "fp8");
  object.finish();
  return result;
}

Hardware::Host read_host(ObjectReader object) {
  const Hardware::Host result = {.layer_forward = duration(object, "layer_forward_us"),
                                 .layer_backward = duration(object, "layer_backward_us"),
                                 .experts = duration(object, "experts_us"),
                                 .action = duration(object, "action_us"),
                                 .step = duration(object, "step_us")};
  object.finish();
  return result;
}

/// The name of tables of kernels, or the tables themselves.
void read_kernels(ObjectReader& object, const nlohmann::json& kernels, Hardware& hardware) {
  if (kernels.is_object()) {
    hardware.kernels =
        std::make_shared<const KernelTables>(kernel_tables_of(object.object("kernels")));
    hardware.kernels_name = hardware.kernels->name;
  } else if (kernels.is_string()) {
    hardware.kernels_name = object.text("kernels");
  } else {
    object.fail("kernels", fmt::format("expected the name of tables, or tables themselves "
                                       "(bubblescope-kernels/1), got {}",
                                       quoted(kernels)));
  }
}

}  // namespace

Hardware parse_hardware(std::string_view text, const std::string& file) {
  const nlohmann::json json = parse_json(text, file);
  ObjectReader object(json, {file, ""});
  if (const std::string format = object.text("format"); format != kHardwareFormat)
    object.fail("format", fmt::format("expected \"{}\", got \"{}\"", kHardwareFormat, format));
  constexpr double kTera = 1e12;
  constexpr double kGiga = 1e9;
  Hardware hardware;
  hardware.name = printable_name(object.text("name"));
  hardware.description = object.text("source");
  hardware.bf16_flops = positive(object, "bf16_TFLOPs", kTera);
  if (object.has("fp8_TFLOPs"))
    hardware.fp8_flops = positive(object, "fp8_TFLOPs", kTera);
  hardware.memory = std::llround(positive(object, "memory_GB", kGiga));
  hardware.memory_bandwidth = positive(object, "memory_GBps", kGiga);
  hardware.nvlink_bandwidth = positive(object, "nvlink_GBps", kGiga);
  hardware.nic_bandwidth = positive(object, "nic_GBps", kGiga);
  hardware.nvlink_latency = duration(object, "nvlink_latency_us");
  hardware.nic_latency = duration(object, "nic_latency_us");
  hardware.kernel_gap = duration(object, "kernel_gap_us");
  hardware.sms = count(object, "sms", 1);
  hardware.communication_sms = count(object, "communication_sms", 0);
  if (hardware.communication_sms >= hardware.sms)
    object.fail("communication_sms", fmt::format("is {} of {} SMs, which leaves none to compute",
                                                 hardware.communication_sms, hardware.sms));
  hardware.gpus_per_node = count(object, "gpus_per_node", 1);
  hardware.efficiency = read_efficiency(object.object("efficiency"), hardware.fp8_flops > 0);
  if (object.has("sustained") && !object.has("kernels"))
    object.fail("sustained", "needs \"kernels\" beside it, the tables that it corrects");
  if (object.has("kernels")) {
    read_kernels(object, json["kernels"], hardware);
    hardware.sustained = read_sustained(object.object("sustained"));
  }
  if (auto host = object.optional_object("host"))
    hardware.host = read_host(std::move(*host));
  object.finish();
  return hardware;
}

Hardware read_hardware(const std::string& path) {
  return parse_hardware(read_file(path, kMostHardwareBytes), path);
}

}  // namespace bubblescope
