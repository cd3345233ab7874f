// Matrix products by cublasLt, which is looked up at run time: the program starts without it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <memory>

#include "backend_cuda/cuda/tensor_math.h"

namespace bubblescope::gpu {

/// cublasLt's functions and a handle on the current device.
class CublasLt {
 public:
  /// Takes the library that BUBBLESCOPE_CUBLASLT names, else the newest of those that the loader
  /// finds. Throws DeviceError if there is none, or it lacks a function or a device.
  CublasLt();
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  /// Memory that a product may use while it runs; those of one stream can share it.
  static std::size_t workspace_bytes();

 private:
  friend class Matmul;
  struct Functions;
  std::unique_ptr<Functions> functions_;
};

/// D [rows × columns] = A [rows × inner] · B [inner × columns], all row-major and bf16, with sums
/// in float.
struct MatmulShape {
  enum class Result : std::uint8_t {
    Stored,       ///< D = A · B
    Added,        ///< D = C + A · B, with D apart from C
    Accumulated,  ///< D += A · B, with D in float
  };
  std::int64_t rows;
  std::int64_t columns;
  std::int64_t inner;
  bool is_a_transposed = false;  ///< Memory holds [inner × rows].
  bool is_b_transposed = false;  ///< Memory holds [columns × inner].
  Result result = Result::Stored;
};

/// In device memory, all aligned to 256 bytes.
struct MatmulOperands {
  const Bf16* a;
  const Bf16* b;
  const Bf16* c = nullptr;  ///< Only where it is added.
  void* d;
  void* workspace;  ///< [CublasLt::workspace_bytes()]
};

/// One shape of product with its algorithm, chosen once: the same operands give the same bits each
/// time. No algorithm that splits the inner sum among blocks is taken, since the order of their
/// sums might vary.
class Matmul {
 public:
  /// Chooses for `sms` SMs. Throws DeviceError if the library knows no algorithm.
  Matmul(const CublasLt& cublas, const MatmulShape& shape, unsigned int sms);
  ~Matmul();
  Matmul(Matmul&&) noexcept;

  /// Throws DeviceError if the library refuses.
  void enqueue(const MatmulOperands& operands, cudaStream_t stream) const;

 private:
  struct Choice;
  std::unique_ptr<Choice> choice_;
};

}  // namespace bubblescope::gpu
