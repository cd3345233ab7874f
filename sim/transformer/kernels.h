// The kernels of one phase of a layer, one after another, and how long they take by a roofline:
// each takes the longer of FLOPs / (peak × efficiency) and bytes / (bandwidth × efficiency), and a
// gap follows it (Williams et al., Roofline, 2009).
#pragma once

#include "sim/transformer/layer_setting.h"
#include "sim/transformer/phase_cost.h"

namespace bubblescope {

class Kernels {
 public:
  Kernels(const LayerSetting& setting, const LayerKind& kind) : setting_(setting), kind_(kind) {}

  PhaseCost take() const { return cost_; }

  /// A kernel that reads and writes so many bytes and computes next to nothing.
  void moves(double bytes);
  /// A norm, forward: reads and writes each value. Backward it reads the gradient too.
  void norm(double values);
  void norm_gradient(double values);
  /// So many of all hidden states, each a kernel.
  void norms(std::int64_t count);
  void norm_gradients(std::int64_t count);
  /// a + b
  void sum(double values);
  /// Into fp8: reads bf16, writes fp8; where the product is in bf16 there is nothing to do.
  void cast(double values);

  void forward(const Linear& linear);
  void input_gradient(const Linear& linear);
  /// Both factors are scaled along the other dimension than before, so that they are transposed and
  /// quantized again (DeepSeek-V3, section 3.3.2).
  void weight_gradient(const Linear& linear);
  /// In bf16 whatever the precision: router, head. With gradients that it accumulates.
  void half_weight_gradient(double rows, double in, double out);
  void half_product(double rows, double in, double out, double bytes);
  /// A kernel whose time is known.
  void takes(double seconds, double flops, double bytes);
  /// A kernel that is none of the above, at a part of the peak in bf16.
  void computes(double flops, double efficiency, double bytes);

  /// `bytes` that this GPU sends over NVLink and over its NIC, at once.
  struct Sent {
    double nvlink;
    double network;
  };
  void send(Sent sent, double latency);
  /// NCCL's, of so many bytes that this GPU has for all of a group of GPUs beside one another.
  void all_to_all(double bytes, std::int64_t gpus);
  /// `count` all-gathers or reduce-scatters of so many bytes over the tensor group.
  void tensor_collectives(int count, double bytes);

  double rows(const Linear& linear) const { return setting_.rows(linear.tokens, kind_); }
  const LayerSetting& setting() const { return setting_; }

 private:
  struct Kernel {
    double flops;
    double flops_per_second;
    double bytes;
  };

  bool is_fp8() const { return setting_.training.precision == Precision::Fp8; }
  /// Gradients of weights in fp32 are read and written when a block has its product, with nothing
  /// left to run beside it; those in bf16 are written by the product anyway, and read.
  void accumulate(double gradients);
  void product(const Linear& linear, double bytes);
  /// The table of products in the precision; none where there is none.
  const KernelGrid* table() const;
  /// A product of m × k with k × n, or several, as the table has it.
  struct Shape {
    double m, n, k;
  };
  /// `copies` divide the rows, m, which for gradients of weights are k.
  void timed_product(const KernelGrid& grid, const Shape& shape, double copies, double bytes);
  void timed_weight_gradient(const KernelGrid& grid, const Shape& shape, double copies,
                             double bytes);
  double sustained_rate() const;
  void add(const Kernel& kernel);

  const LayerSetting& setting_;
  const LayerKind& kind_;
  PhaseCost cost_ = {};
};

}  // namespace bubblescope
