// Green contexts: partitions of a device's SMs. CUDA 13.0 has them in the driver's interface alone,
// so its functions are looked up at run time and the program needs no driver to start.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>
#include <memory>
#include <vector>

#include "backend_cuda/cuda/handles.h"

namespace bubblescope::gpu {

/// The driver's functions for green contexts.
struct GreenDriver {
  /// Throws NotSupported if the driver is too old for them.
  GreenDriver();

  PFN_cuDeviceGet_v2000 get_device;
  PFN_cuDeviceGetDevResource_v12040 get_device_resource;
  PFN_cuDevSmResourceSplitByCount_v12040 split;
  PFN_cuDevResourceGenerateDesc_v12040 describe;
  PFN_cuGreenCtxCreate_v12040 create;
  PFN_cuGreenCtxDestroy_v12040 destroy;
  PFN_cuGreenCtxStreamCreate_v12050 create_stream;
  PFN_cuCtxFromGreenCtx_v12040 to_context;
  PFN_cuCtxPushCurrent_v4000 push_current;
  PFN_cuCtxPopCurrent_v4000 pop_current;
};

struct SmSplit {
  CUdevResource all;  ///< What was split.
  std::vector<CUdevResource> groups;
  CUdevResource rest;  ///< Of type CU_DEV_RESOURCE_TYPE_INVALID or of no SMs if nothing is left.
  bool has_rest() const { return rest.type == CU_DEV_RESOURCE_TYPE_SM && rest.sm.smCount > 0; }
};

struct SplitWish {
  unsigned int group_sms;
  unsigned int flags = 0;  ///< CUdevSmResourceSplit_flags
};

/// All SMs of the device `ordinal`, in as many groups as one split gives. Only groups of one split
/// are disjoint.
SmSplit split_sms(const GreenDriver& driver, int ordinal, const SplitWish& wish);

/// A green context of the device `ordinal` and a stream in it. The device's primary context stays
/// current.
class Partition {
 public:
  Partition(const GreenDriver& driver, int ordinal, CUdevResource sms);

  unsigned int sm_count() const { return sm_count_; }
  cudaStream_t stream() const { return stream_.get(); }

  /// An event that belongs to the green context and not to the device's primary one.
  Event make_own_event() const;

 private:
  struct Destroy {
    PFN_cuGreenCtxDestroy_v12040 destroy;
    void operator()(CUgreenCtx context) const noexcept { destroy(context); }
  };

  const GreenDriver* driver_;
  unsigned int sm_count_;
  std::unique_ptr<CUgreenCtx_st, Destroy> context_;
  Stream stream_;  ///< Has to go before its context.
};

}  // namespace bubblescope::gpu
