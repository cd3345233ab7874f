// Times of kernels by their shape, on grids between which they are interpolated (docs/kernels.md).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bubblescope {

class ObjectReader;

/// How products in fp8 are scaled.
enum class Fp8Recipe : std::uint8_t {
  Block,   ///< In blocks of 1 × 128, as DeepSeek-V3 does.
  Tensor,  ///< A whole tensor at once.
  Mx,      ///< In blocks of 1 × 32, by the tensor cores of Blackwell.
};

/// Times at the nodes of some axes. Between them their logarithms are linear over the logarithms of
/// the axes; beyond an axis they grow with a power of it.
class KernelGrid {
 public:
  struct Axis {
    std::vector<double> nodes;  ///< Rising, above 0.
    double below = 0;           ///< The power below the first node.
    double above = 1;           ///< The power above the last one.
  };
  static constexpr std::size_t kMostAxes = 4;
  using Point = std::array<double, kMostAxes>;

  /// A time for each combination of nodes, the last axis running fastest.
  KernelGrid(std::vector<Axis> axes, std::vector<double> microseconds);

  /// `point` has a coordinate above 0 for each axis.
  double seconds(const Point& point) const;

 private:
  std::vector<Axis> axes_;
  std::vector<double> log_microseconds_;
};

/// A collective within a node, by how many GPUs take part and the bytes of the whole buffer.
class CollectiveTable {
 public:
  CollectiveTable(std::vector<double> gpus, std::vector<KernelGrid> grids);
  double seconds(double gpus, double bytes) const;

 private:
  std::vector<double> gpus_;
  std::vector<KernelGrid> grids_;  // [gpus_]
};

/// Tables of one GPU; a kernel that was not timed has none.
struct KernelTables {
  std::string name = {};
  std::optional<KernelGrid> bf16 = {};  ///< Products: m, n, k.
  std::optional<KernelGrid> fp8_tensor = {};
  std::optional<KernelGrid> fp8_block = {};
  std::optional<KernelGrid> attention = {};  ///< Causal, forward: head_dim, group, heads, sequence.
  std::optional<KernelGrid> latent_attention = {};           ///< heads, sequence
  std::optional<KernelGrid> attention_backward = {};         ///< By the axes of its forward.
  std::optional<KernelGrid> latent_attention_backward = {};  ///< Likewise.
  std::optional<CollectiveTable> all_gather = {};
  std::optional<CollectiveTable> reduce_scatter = {};
  std::optional<CollectiveTable> all_to_all = {};
};

/// Reads tables' text, format "bubblescope-kernels/1" (data/schema/kernels.schema.json); `file`
/// names it in errors. Throws Error with the JSON path.
KernelTables parse_kernel_tables(std::string_view text, const std::string& file);
/// Likewise from an object, such as a hardware file's own tables.
KernelTables kernel_tables_of(ObjectReader object);
/// Reads a file of them. Throws Error.
KernelTables read_kernel_tables(const std::string& path);

}  // namespace bubblescope
