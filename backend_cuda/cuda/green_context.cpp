#include "backend_cuda/cuda/green_context.h"

#include <string>

#include "backend_cuda/cuda/check.h"

namespace bubblescope::gpu {
namespace {

CUdevice handle_of(const GreenDriver& driver, int ordinal) {
  CUdevice handle = 0;
  BUBBLESCOPE_CHECK(driver.get_device(&handle, ordinal));
  return handle;
}

}  // namespace

void* find_in_driver(const char* name, unsigned int version) {
  constexpr int kNeeded = 12050;
  int driver = 0;
  BUBBLESCOPE_CHECK(cudaDriverGetVersion(&driver));
  if (driver < kNeeded)
    throw NotSupported("green contexts need a driver for CUDA 12.5 or later");
  void* found = nullptr;
  cudaDriverEntryPointQueryResult status = cudaDriverEntryPointSymbolNotFound;
  BUBBLESCOPE_CHECK(
      cudaGetDriverEntryPointByVersion(name, &found, version, cudaEnableDefault, &status));
  if (status != cudaDriverEntryPointSuccess || found == nullptr)
    throw NotSupported(std::string("the driver has no ") + name);
  return found;
}

SmSplit split_sms(const GreenDriver& driver, int ordinal, const SplitWish& wish) {
  SmSplit split{};
  BUBBLESCOPE_CHECK(
      driver.get_device_resource(handle_of(driver, ordinal), &split.all, CU_DEV_RESOURCE_TYPE_SM));
  unsigned int count = 0;
  BUBBLESCOPE_CHECK(driver.split(nullptr, &count, &split.all, nullptr, wish.flags, wish.group_sms));
  if (count == 0)
    throw NotSupported("no group of " + std::to_string(wish.group_sms) + " SMs");
  split.groups.resize(count);
  BUBBLESCOPE_CHECK(driver.split(split.groups.data(), &count, &split.all, &split.rest, wish.flags,
                                 wish.group_sms));
  split.groups.resize(count);
  return split;
}

Partition::Partition(const GreenDriver& driver, int ordinal, CUdevResource sms)
    : driver_(&driver), sm_count_(sms.sm.smCount), context_(nullptr, Destroy{driver.destroy}) {
  CUdevResourceDesc description = nullptr;
  BUBBLESCOPE_CHECK(driver.describe(&description, &sms, 1));
  CUgreenCtx context = nullptr;
  BUBBLESCOPE_CHECK(driver.create(&context, description, handle_of(driver, ordinal),
                                  CU_GREEN_CTX_DEFAULT_STREAM));
  context_.reset(context);
  CUstream stream = nullptr;
  BUBBLESCOPE_CHECK(driver.create_stream(&stream, context, CU_STREAM_NON_BLOCKING, 0));
  stream_.reset(stream);
}

Event Partition::make_own_event() const {
  CUcontext context = nullptr;
  BUBBLESCOPE_CHECK(driver_->to_context(&context, context_.get()));
  BUBBLESCOPE_CHECK(driver_->push_current(context));
  cudaEvent_t event = nullptr;
  const cudaError_t created = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  CUcontext popped = nullptr;
  BUBBLESCOPE_CHECK(driver_->pop_current(&popped));
  check(created, BUBBLESCOPE_CALL(cudaEventCreateWithFlags));
  return Event(event);
}

}  // namespace bubblescope::gpu
