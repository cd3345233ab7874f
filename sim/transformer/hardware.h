// A GPU, the node it is in and the network between nodes, as a roofline sees them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sim/base/types.h"
#include "sim/transformer/kernel_tables.h"

namespace bubblescope {

/// What the large matrix products of a layer are computed in.
enum class Precision : std::uint8_t { Bf16, Fp8 };

/// Rates are of one GPU and, between GPUs, of one direction; nothing is reduced yet.
struct Hardware {
  /// Parts of a peak that real kernels reach, each in (0, 1].
  struct Efficiency {
    double gemm_bf16 = 1;
    double gemm_fp8 = 1;
    double attention_forward = 1;   ///< Of the bf16 peak.
    double attention_backward = 1;  ///< Of the bf16 peak.
    double memory = 1;
    double nvlink = 1;
    double network = 1;
  };

  /// Factors from kernels that were timed alone, in bursts, to training. They are fitted to runs
  /// (docs/analytic-costs.md).
  struct Sustained {
    double bf16 = 1;                ///< Rate of products, as a part of the tables'.
    double fp8 = 1;                 ///< Likewise.
    double weight_gradients = 1;    ///< How much longer their products take.
    double collectives = 1;         ///< How much longer these take.
    double attention_backward = 1;  ///< How much longer than its forward.
  };

  /// Costs of the host that launches kernels, where no graph replays them. They are fitted to runs
  /// (docs/accuracy.md).
  struct Host {
    Time layer_forward{};   ///< The least that a layer's forward takes.
    Time layer_backward{};  ///< Likewise its backward.
    Time experts{};  ///< NCCL's all-to-all takes it more, each way: it waits until the host knows
                     ///< how many tokens go to each expert.
    Time action{};   ///< Each action of a stage takes it more.
    Time step{};     ///< Each step takes it more.
  };

  std::string name = {};
  std::string description = {};  ///< Where the numbers come from.
  double bf16_flops = 0;         ///< A second, dense.
  double fp8_flops = 0;          ///< 0: has none.
  Bytes memory = 0;
  double memory_bandwidth = 0;  ///< Bytes a second, as all that follow.
  double nvlink_bandwidth = 0;
  double nic_bandwidth = 0;  ///< The share of one GPU.
  Time nvlink_latency{};
  Time nic_latency{};
  Time kernel_gap{};  ///< Between two kernels of a stream.
  int sms = 0;
  int communication_sms = 0;  ///< Those that all-to-all kernels hold.
  int gpus_per_node = 0;
  Efficiency efficiency = {};
  std::string kernels_name = {};  ///< Names tables of kernels; empty: there are none.
  Sustained sustained = {};
  Host host = {};
  std::shared_ptr<const KernelTables> kernels = nullptr;  ///< None unless they were read, or are
                                                          ///< the file's own.
  double compute_scale = 1;  ///< How much longer kernels take than all of this says.
};

/// Reads a hardware's text, format "bubblescope-hardware/1" (data/schema/hardware.schema.json);
/// `file` names it in errors. Throws Error with the JSON path.
Hardware parse_hardware(std::string_view text, const std::string& file);

/// Reads a hardware's file. Throws Error.
Hardware read_hardware(const std::string& path);

}  // namespace bubblescope
