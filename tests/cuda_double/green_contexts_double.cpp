// The test double's driver: the functions for green contexts, which the program looks up by name.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <cuda.h>
#include <cudaTypedefs.h>
#include <vector>

#include "tests/cuda_double/cuda_double.h"

struct CUgreenCtx_st {
  int gpu;
};

namespace bubblescope::cuda_double {
namespace {

constexpr unsigned int kSmUnit = 2;  // SMs are split in multiples of it

thread_local std::vector<CUgreenCtx> pushed;
std::atomic<int> partitions = 0;

// The only description: a context's SMs do not matter here.
const CUdevResourceDesc kDescription = reinterpret_cast<CUdevResourceDesc>(&partitions);

CUresult get_device(CUdevice* device, int ordinal) {
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult get_device_resource(CUdevice /*device*/, CUdevResource* resource, CUdevResourceType type) {
  *resource = {};
  resource->type = type;
  resource->sm.smCount = kSms;
  return CUDA_SUCCESS;
}

CUresult split(CUdevResource* groups, unsigned int* count, const CUdevResource* input,
               CUdevResource* rest, unsigned int /*flags*/, unsigned int least) {
  const unsigned int sms = (least + kSmUnit - 1) / kSmUnit * kSmUnit;
  const unsigned int most = input->sm.smCount / sms;
  if (groups == nullptr) {
    *count = most;
    return CUDA_SUCCESS;
  }
  *count = std::min(*count, most);
  for (unsigned int i = 0; i < *count; ++i) {
    groups[i] = *input;
    groups[i].sm.smCount = sms;
  }
  *rest = *input;
  rest->sm.smCount -= *count * sms;
  return CUDA_SUCCESS;
}

CUresult describe(CUdevResourceDesc* description, CUdevResource* /*resources*/,
                  unsigned int /*count*/) {
  *description = kDescription;
  return CUDA_SUCCESS;
}

CUresult create(CUgreenCtx* context, CUdevResourceDesc description, CUdevice device,
                unsigned int flags) {
  if (description != kDescription || flags != CU_GREEN_CTX_DEFAULT_STREAM)
    return CUDA_ERROR_INVALID_VALUE;
  if (partitions >= machine().partitions)
    return CUDA_ERROR_OUT_OF_MEMORY;
  *context = new CUgreenCtx_st{device};
  ++partitions;
  count_things(1);
  return CUDA_SUCCESS;
}

CUresult destroy(CUgreenCtx context) {
  delete context;
  --partitions;
  count_things(-1);
  return CUDA_SUCCESS;
}

CUresult create_stream(CUstream* stream, CUgreenCtx context, unsigned int flags, int /*priority*/) {
  if (flags != CU_STREAM_NON_BLOCKING)
    return CUDA_ERROR_INVALID_VALUE;
  *stream = make_stream(context->gpu, context);
  return CUDA_SUCCESS;
}

CUresult to_context(CUcontext* context, CUgreenCtx green) {
  *context = reinterpret_cast<CUcontext>(green);
  return CUDA_SUCCESS;
}

CUresult push(CUcontext context) {
  pushed.push_back(reinterpret_cast<CUgreenCtx>(context));
  return CUDA_SUCCESS;
}

CUresult pop(CUcontext* context) {
  if (pushed.empty())
    return CUDA_ERROR_INVALID_CONTEXT;
  *context = reinterpret_cast<CUcontext>(pushed.back());
  pushed.pop_back();
  return CUDA_SUCCESS;
}

/// Each as its type says, so that a wrong signature does not compile.
void* find(const char* wanted) {
  void* found = nullptr;
  const auto offer = [&](const char* name, auto function) {
    if (std::strcmp(name, wanted) == 0)
      found = reinterpret_cast<void*>(function);
  };
  offer("cuDeviceGet", PFN_cuDeviceGet_v2000{get_device});
  offer("cuDeviceGetDevResource", PFN_cuDeviceGetDevResource_v12040{get_device_resource});
  offer("cuDevSmResourceSplitByCount", PFN_cuDevSmResourceSplitByCount_v12040{split});
  offer("cuDevResourceGenerateDesc", PFN_cuDevResourceGenerateDesc_v12040{describe});
  offer("cuGreenCtxCreate", PFN_cuGreenCtxCreate_v12040{create});
  offer("cuGreenCtxDestroy", PFN_cuGreenCtxDestroy_v12040{destroy});
  offer("cuGreenCtxStreamCreate", PFN_cuGreenCtxStreamCreate_v12050{create_stream});
  offer("cuCtxFromGreenCtx", PFN_cuCtxFromGreenCtx_v12040{to_context});
  offer("cuCtxPushCurrent", PFN_cuCtxPushCurrent_v4000{push});
  offer("cuCtxPopCurrent", PFN_cuCtxPopCurrent_v4000{pop});
  return found;
}

}  // namespace

CUgreenCtx current_partition() {
  return pushed.empty() ? nullptr : pushed.back();
}

}  // namespace bubblescope::cuda_double

extern "C" cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function,
                                                        unsigned int /*version*/,
                                                        unsigned long long /*flags*/,
                                                        cudaDriverEntryPointQueryResult* status) {
  using namespace bubblescope::cuda_double;
  *function = machine().partitions > 0 ? find(name) : nullptr;
  *status = *function != nullptr ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
