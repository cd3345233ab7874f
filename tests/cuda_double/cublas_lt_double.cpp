// The test double's matrix products: what those of cublas_lt.cpp do, on threads.
#include "backend_cuda/cuda/cublas_lt.h"
#include "backend_cuda/replay/executor.h"
#include "tests/cuda_double/cuda_double.h"

namespace bubblescope::gpu {

struct CublasLt::Functions {};
CublasLt::CublasLt() = default;
CublasLt::~CublasLt() = default;

std::size_t CublasLt::workspace_bytes() {
  return 256;
}

struct Matmul::Choice {
  MatmulShape shape;
};

Matmul::Matmul(const CublasLt& /*cublas*/, const MatmulShape& shape, unsigned int /*sms*/)
    : choice_(std::make_unique<Choice>(shape)) {}
Matmul::~Matmul() = default;
Matmul::Matmul(Matmul&&) noexcept = default;

namespace {

/// A matrix of `rows` × `columns` that may lie transposed in memory.
struct Matrix {
  const Bf16* values;
  std::int64_t rows;
  std::int64_t columns;
  bool is_transposed;

  float operator()(std::int64_t row, std::int64_t column) const {
    return to_float(values[is_transposed ? column * rows + row : row * columns + column]);
  }
};

void multiply(const MatmulShape& shape, const MatmulOperands& operands) {
  const Matrix a{operands.a, shape.rows, shape.inner, shape.is_a_transposed};
  const Matrix b{operands.b, shape.inner, shape.columns, shape.is_b_transposed};
  for (std::int64_t row = 0; row < shape.rows; ++row)
    for (std::int64_t column = 0; column < shape.columns; ++column) {
      float sum = 0;
      for (std::int64_t k = 0; k < shape.inner; ++k)
        sum += a(row, k) * b(k, column);
      const std::int64_t i = row * shape.columns + column;
      if (shape.result == MatmulShape::Result::Accumulated)
        static_cast<float*>(operands.d)[i] += sum;
      else if (shape.result == MatmulShape::Result::Added)
        static_cast<Bf16*>(operands.d)[i] = to_bf16(to_float(operands.c[i]) + sum);
      else
        static_cast<Bf16*>(operands.d)[i] = to_bf16(sum);
    }
}

}  // namespace

void Matmul::enqueue(const MatmulOperands& operands, cudaStream_t stream) const {
  if (cuda_double::launch(
          stream, [shape = choice_->shape, operands] { multiply(shape, operands); }) != cudaSuccess)
    throw DeviceError("the test double refuses a product");
}

}  // namespace bubblescope::gpu
