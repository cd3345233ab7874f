#include "sim/transformer/kernels.h"

#include <algorithm>

#include "sim/transformer/analytic_units.h"
#include "sim/transformer/collectives.h"

namespace bubblescope {

void Kernels::moves(double bytes) {
  add({0, 1, bytes});
}

void Kernels::norm(double values) {
  constexpr double kUnfused = 66;
  moves((setting_.training.fused_norms ? 2 * kHalf : kUnfused) * values);
}

void Kernels::norm_gradient(double values) {
  constexpr double kUnfused = 120;
  moves((setting_.training.fused_norms ? 3 * kHalf : kUnfused) * values);
}

void Kernels::norms(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    norm(setting_.divided_tokens() * real(setting_.model.hidden));
}

void Kernels::norm_gradients(std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i)
    norm_gradient(setting_.divided_tokens() * real(setting_.model.hidden));
}

void Kernels::sum(double values) {
  moves(3 * kHalf * values);
}

void Kernels::cast(double values) {
  if (is_fp8())
    moves((kHalf + 1) * values);
}

void Kernels::forward(const Linear& linear) {
  const double tokens = rows(linear);
  const double bytes = kHalf * tokens * linear.out +
                       setting_.element_bytes() * (tokens * linear.in + linear.weights());
  if (const KernelGrid* grid = table())
    return timed_product(*grid, {tokens, linear.out, linear.in}, linear.copies, bytes);
  if (linear.casts_input)
    cast(tokens * linear.in);
  product(linear, bytes);
}

void Kernels::input_gradient(const Linear& linear) {
  const double tokens = rows(linear);
  const double bytes = kHalf * tokens * linear.in +
                       setting_.element_bytes() * (tokens * linear.out + linear.weights());
  if (const KernelGrid* grid = table())
    return timed_product(*grid, {tokens, linear.in, linear.out}, linear.copies, bytes);
  if (linear.casts_gradient)
    cast(tokens * linear.out);
  product(linear, bytes);
}

void Kernels::weight_gradient(const Linear& linear) {
  const double tokens = rows(linear);
  if (is_fp8() && setting_.training.fp8_recipe == Fp8Recipe::Block) {
    moves(2 * tokens * linear.in);
    moves((linear.casts_gradient ? kHalf + 1 : 2) * tokens * linear.out);
  }
  const double bytes = setting_.element_bytes() * tokens * (linear.in + linear.out);
  if (const KernelGrid* grid = table())
    timed_weight_gradient(*grid, {linear.in, linear.out, tokens}, linear.copies, bytes);
  else
    product(linear, bytes);
  accumulate(linear.weights());
}

void Kernels::half_weight_gradient(double rows, double in, double out) {
  half_product(in, rows, out, kHalf * rows * (in + out));
  accumulate(in * out);
}

void Kernels::half_product(double rows, double in, double out, double bytes) {
  const KernelTables* tables = setting_.hardware.kernels.get();
  if (tables != nullptr && tables->bf16)
    return takes(tables->bf16->seconds({rows, out, in}) / setting_.hardware.sustained.bf16,
                 2 * rows * in * out, bytes);
  computes(2 * rows * in * out, setting_.hardware.efficiency.gemm_bf16, bytes);
}

void Kernels::computes(double flops, double efficiency, double bytes) {
  add({flops, setting_.hardware.bf16_flops * efficiency, bytes});
}

void Kernels::send(Sent sent, double latency) {
  const Hardware& hardware = setting_.hardware;
  const double nvlink = sent.nvlink / (hardware.nvlink_bandwidth * hardware.efficiency.nvlink);
  const double network = sent.network / (hardware.nic_bandwidth * hardware.efficiency.network);
  cost_.traffic += sent.nvlink + sent.network;
  const Bound bound = network > nvlink ? Bound::Network : Bound::NvLink;
  cost_.seconds_by_bound[static_cast<std::size_t>(bound)] += std::max(nvlink, network) + latency;
}

void Kernels::all_to_all(double bytes, std::int64_t gpus) {
  const Hardware& hardware = setting_.hardware;
  const GpuGroup group = group_of(gpus, 1, hardware);
  const double each = bytes / real(gpus);
  const Sent sent = {each * real(group.per_node - 1), each * real(gpus - group.per_node)};
  const bool is_within = group.nodes == 1;
  if (!is_within || !hardware.kernels || !hardware.kernels->all_to_all)
    return send(sent, seconds(is_within ? hardware.nvlink_latency : hardware.nic_latency));
  cost_.traffic += sent.nvlink;
  cost_.seconds_by_bound[static_cast<std::size_t>(Bound::NvLink)] +=
      hardware.sustained.collectives * hardware.kernels->all_to_all->seconds(real(gpus), bytes);
}

const KernelGrid* Kernels::table() const {
  const KernelTables* tables = setting_.hardware.kernels.get();
  if (tables == nullptr)
    return nullptr;
  const bool is_block = setting_.training.fp8_recipe == Fp8Recipe::Block;  // Mx: as a tensor
  const auto& grid = !is_fp8() ? tables->bf16 : is_block ? tables->fp8_block : tables->fp8_tensor;
  return grid ? &*grid : nullptr;
}

void Kernels::timed_product(const KernelGrid& grid, const Shape& shape, double copies,
                            double bytes) {
  takes(copies * grid.seconds({shape.m / copies, shape.n, shape.k}) / sustained_rate(),
        2 * shape.m * shape.n * shape.k, bytes);
}

void Kernels::timed_weight_gradient(const KernelGrid& grid, const Shape& shape, double copies,
                                    double bytes) {
  takes(copies * grid.seconds({shape.m, shape.n, shape.k / copies}) *
            setting_.hardware.sustained.weight_gradients / sustained_rate(),
        2 * shape.m * shape.n * shape.k, bytes);
}

double Kernels::sustained_rate() const {
  const Hardware::Sustained& sustained = setting_.hardware.sustained;
  return is_fp8() ? sustained.fp8 : sustained.bf16;
}

void Kernels::takes(double seconds, double flops, double bytes) {
  const Hardware& hardware = setting_.hardware;
  seconds *= hardware.compute_scale;
  const double moving = bytes / (hardware.memory_bandwidth * hardware.efficiency.memory);
  const Bound bound = moving < seconds / 2 ? Bound::Compute : Bound::Memory;
  cost_.flops += flops;
  cost_.bytes += bytes;
  cost_.seconds_by_bound[static_cast<std::size_t>(bound)] += seconds;
  cost_.gaps += bubblescope::seconds(hardware.kernel_gap);
}

void Kernels::tensor_collectives(int count, double bytes) {
  const GpuGroup group = group_of(setting_.parallel.tensor, 1, setting_.hardware);
  for (int i = 0; i < count; ++i)
    cost_ += collective_cost(setting_, group, bytes);
}

void Kernels::accumulate(double gradients) {
  const Hardware& hardware = setting_.hardware;
  const double bytes = (setting_.training.gradient_bytes == kFull ? 2 * kFull : kHalf) * gradients;
  cost_.bytes += bytes;
  cost_.seconds_by_bound[static_cast<std::size_t>(Bound::Memory)] +=
      hardware.compute_scale * bytes / (hardware.memory_bandwidth * hardware.efficiency.memory);
}

void Kernels::product(const Linear& linear, double bytes) {
  const Hardware& hardware = setting_.hardware;
  const double rate = is_fp8() ? hardware.fp8_flops * hardware.efficiency.gemm_fp8
                               : hardware.bf16_flops * hardware.efficiency.gemm_bf16;
  add({2 * rows(linear) * linear.in * linear.out, rate, bytes});
}

void Kernels::add(const Kernel& kernel) {
  const Hardware& hardware = setting_.hardware;
  const double computing = kernel.flops / kernel.flops_per_second;
  const double moving = kernel.bytes / (hardware.memory_bandwidth * hardware.efficiency.memory);
  const Bound bound = computing > moving ? Bound::Compute : Bound::Memory;
  cost_.flops += kernel.flops;
  cost_.bytes += kernel.bytes;
  cost_.seconds_by_bound[static_cast<std::size_t>(bound)] +=
      hardware.compute_scale * std::max(computing, moving);
  cost_.gaps += seconds(hardware.kernel_gap);
}

}  // namespace bubblescope
