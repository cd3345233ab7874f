// Green contexts: partitions of a device's SMs. CUDA 13.0 has them in the driver's interface alone,
// so its functions are looked up at run time and the program needs no driver to start.
#pragma once

#include <cuda.h>
#include <cudaTypedefs.h>
#include <memory>
#include <vector>

#include "backend_cuda/cuda/handles.h"

namespace bubblescope::gpu {

/// A function of the driver as it was in a version of CUDA. Throws NotSupported if the driver has
/// none, or is too old for green contexts.
void* find_in_driver(const char* name, unsigned int version);

/// The driver's functions for green contexts. To make it throws NotSupported, as `find_in_driver`.
struct GreenDriver {
#define BUBBLESCOPE_FUNCTION_OF_DRIVER(member, name, version) \
  PFN_##name##_v##version member =                            \
      reinterpret_cast<PFN_##name##_v##version>(find_in_driver(#name, version))
  BUBBLESCOPE_FUNCTION_OF_DRIVER(get_device, cuDeviceGet, 2000);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(get_device_resource, cuDeviceGetDevResource, 12040);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(split, cuDevSmResourceSplitByCount, 12040);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(describe, cuDevResourceGenerateDesc, 12040);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(create, cuGreenCtxCreate, 12040);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(destroy, cuGreenCtxDestroy, 12040);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(create_stream, cuGreenCtxStreamCreate, 12050);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(to_context, cuCtxFromGreenCtx, 12040);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(push_current, cuCtxPushCurrent, 4000);
  BUBBLESCOPE_FUNCTION_OF_DRIVER(pop_current, cuCtxPopCurrent, 4000);
#undef BUBBLESCOPE_FUNCTION_OF_DRIVER
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
