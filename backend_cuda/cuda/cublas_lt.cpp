#include "backend_cuda/cuda/cublas_lt.h"

#include <cublasLt.h>
#include <string>
#include <type_traits>

#include "backend_cuda/cuda/library.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {
namespace {

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;  // as NVIDIA advises for Hopper

}  // namespace

struct CublasLt::Functions {
  Library library{{.what = "tensors need cublasLt",
                   .variable = kCublasLtVariable,
                   .names = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}}};
  BUBBLESCOPE_FUNCTION(create, cublasLtCreate);
  BUBBLESCOPE_FUNCTION(destroy, cublasLtDestroy);
  BUBBLESCOPE_FUNCTION(status_text, cublasLtGetStatusString);
  BUBBLESCOPE_FUNCTION(create_product, cublasLtMatmulDescCreate);
  BUBBLESCOPE_FUNCTION(destroy_product, cublasLtMatmulDescDestroy);
  BUBBLESCOPE_FUNCTION(set_product, cublasLtMatmulDescSetAttribute);
  BUBBLESCOPE_FUNCTION(create_layout, cublasLtMatrixLayoutCreate);
  BUBBLESCOPE_FUNCTION(destroy_layout, cublasLtMatrixLayoutDestroy);
  BUBBLESCOPE_FUNCTION(create_preference, cublasLtMatmulPreferenceCreate);
  BUBBLESCOPE_FUNCTION(destroy_preference, cublasLtMatmulPreferenceDestroy);
  BUBBLESCOPE_FUNCTION(set_preference, cublasLtMatmulPreferenceSetAttribute);
  BUBBLESCOPE_FUNCTION(choose, cublasLtMatmulAlgoGetHeuristic);
  BUBBLESCOPE_FUNCTION(multiply, cublasLtMatmul);
  cublasLtHandle_t handle = nullptr;

  void check(cublasStatus_t status, const char* what) const {
    if (status != CUBLAS_STATUS_SUCCESS)
      throw DeviceError(std::string("cublasLt: ") + what + ": " + status_text(status));
  }

  template <class Value>
  void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t name,
           const Value& value) const {
    check(set_product(product, name, &value, sizeof value), "cublasLtMatmulDescSetAttribute");
  }
  template <class Value>
  void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name,
           const Value& value) const {
    check(set_preference(preference, name, &value, sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  }
};

CublasLt::CublasLt() : functions_(std::make_unique<Functions>()) {
  functions_->check(functions_->create(&functions_->handle), "cublasLtCreate");
}

CublasLt::~CublasLt() {
  functions_->destroy(functions_->handle);
}

std::size_t CublasLt::workspace_bytes() {
  return kWorkspaceBytes;
}

namespace {

template <class Handle>
using Owner = std::unique_ptr<std::remove_pointer_t<Handle>, cublasStatus_t (*)(Handle)>;

}  // namespace

/// cublasLt is column-major, to which a row-major matrix looks transposed: so it is given
/// Dᵀ = Bᵀ · Aᵀ, with B first.
struct Matmul::Choice {
  Choice(const CublasLt::Functions& functions, const MatmulShape& wanted)
      : lt(&functions),
        shape(wanted),
        product(nullptr, functions.destroy_product),
        first(layout(wanted.is_b_transposed ? wanted.inner : wanted.columns,
                     wanted.is_b_transposed ? wanted.columns : wanted.inner, CUDA_R_16BF)),
        second(layout(wanted.is_a_transposed ? wanted.rows : wanted.inner,
                      wanted.is_a_transposed ? wanted.inner : wanted.rows, CUDA_R_16BF)),
        output(
            layout(wanted.columns, wanted.rows,
                   wanted.result == MatmulShape::Result::Accumulated ? CUDA_R_32F : CUDA_R_16BF)) {
    cublasLtMatmulDesc_t made = nullptr;
    lt->check(lt->create_product(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F),
              "cublasLtMatmulDescCreate");
    product.reset(made);
    const auto operation = [](bool transposed) { return transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
    lt->set(made, CUBLASLT_MATMUL_DESC_TRANSA, operation(wanted.is_b_transposed));
    lt->set(made, CUBLASLT_MATMUL_DESC_TRANSB, operation(wanted.is_a_transposed));
  }

  using Layout = Owner<cublasLtMatrixLayout_t>;
  Layout layout(std::int64_t rows, std::int64_t columns, cudaDataType_t type) const {
    cublasLtMatrixLayout_t made = nullptr;
    lt->check(lt->create_layout(&made, type, static_cast<std::uint64_t>(rows),
                                static_cast<std::uint64_t>(columns), rows),
              "cublasLtMatrixLayoutCreate");
    return {made, lt->destroy_layout};
  }

  const CublasLt::Functions* lt;
  MatmulShape shape;
  Owner<cublasLtMatmulDesc_t> product;
  Layout first;
  Layout second;
  Layout output;
  cublasLtMatmulAlgo_t algorithm = {};
};

Matmul::Matmul(const CublasLt& cublas, const MatmulShape& shape, unsigned int sms)
    : choice_(std::make_unique<Choice>(*cublas.functions_, shape)) {
  const CublasLt::Functions& lt = *cublas.functions_;
  lt.set(choice_->product.get(), CUBLASLT_MATMUL_DESC_SM_COUNT_TARGET,
         static_cast<std::int32_t>(sms));
  cublasLtMatmulPreference_t made = nullptr;
  lt.check(lt.create_preference(&made), "cublasLtMatmulPreferenceCreate");
  const Owner<cublasLtMatmulPreference_t> preference(made, lt.destroy_preference);
  lt.set(made, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kWorkspaceBytes});
  lt.set(made, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_NONE));
  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status =
      lt.choose(lt.handle, choice_->product.get(), choice_->first.get(), choice_->second.get(),
                choice_->output.get(), choice_->output.get(), made, 1, &best, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0))
    throw DeviceError("cublasLt knows no algorithm for a product of " + std::to_string(shape.rows) +
                      " x " + std::to_string(shape.inner) + " x " + std::to_string(shape.columns));
  lt.check(status, "cublasLtMatmulAlgoGetHeuristic");
  lt.check(best.state, "cublasLtMatmulAlgoGetHeuristic");
  choice_->algorithm = best.algo;
}

Matmul::~Matmul() = default;
Matmul::Matmul(Matmul&&) noexcept = default;

void Matmul::enqueue(const MatmulOperands& operands, cudaStream_t stream) const {
  const CublasLt::Functions& lt = *choice_->lt;
  const float alpha = 1;
  const float beta = choice_->shape.result == MatmulShape::Result::Stored ? 0 : 1;
  const void* added = choice_->shape.result == MatmulShape::Result::Added ? operands.c : operands.d;
  lt.check(lt.multiply(lt.handle, choice_->product.get(), &alpha, operands.b, choice_->first.get(),
                       operands.a, choice_->second.get(), &beta, added, choice_->output.get(),
                       operands.d, choice_->output.get(), &choice_->algorithm, operands.workspace,
                       kWorkspaceBytes, stream),
           "cublasLtMatmul");
}

}  // namespace bubblescope::gpu
