#include "backend_cuda/cuda/cupti.h"

#include <cstdlib>
#include <cupti.h>
#include <mutex>
#include <string>
#include <utility>

#include "backend_cuda/cuda/library.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

struct Cupti::Functions {
  Library library{{.what = "a cross-check needs CUPTI",
                   .variable = "BUBBLESCOPE_CUPTI",
                   .names = {"libcupti.so.13", "libcupti.so.12", "libcupti.so"}}};
  BUBBLESCOPE_FUNCTION(register_callbacks, cuptiActivityRegisterCallbacks);
  BUBBLESCOPE_FUNCTION(enable, cuptiActivityEnable);
  BUBBLESCOPE_FUNCTION(disable, cuptiActivityDisable);
  BUBBLESCOPE_FUNCTION(flush, cuptiActivityFlushAll);
  BUBBLESCOPE_FUNCTION(next_record, cuptiActivityGetNextRecord);
  BUBBLESCOPE_FUNCTION(result_text, cuptiGetResultString);

  void check(CUptiResult result, const char* what) const {
    if (result == CUPTI_SUCCESS)
      return;
    const char* text = "unknown error";
    result_text(result, &text);
    throw DeviceError(std::string("CUPTI: ") + what + ": " + text);
  }
};

namespace {

/// CUPTI's callbacks take nothing of ours along, so what they fill cannot be a member.
struct Records {
  std::mutex mutex;
  decltype(&cuptiActivityGetNextRecord) next_record = nullptr;
  std::vector<KernelTimes> kernels;
};
Records& records() {
  static Records all;
  return all;
}

void CUPTIAPI give_buffer(std::uint8_t** buffer, std::size_t* size, std::size_t* most_records) {
  constexpr std::size_t kBytes = std::size_t{1} << 20;
  constexpr std::size_t kAlignment = 8;
  *buffer = static_cast<std::uint8_t*>(std::aligned_alloc(kAlignment, kBytes));
  *size = *buffer != nullptr ? kBytes : 0;
  *most_records = 0;  // as many as it holds
}

void CUPTIAPI take_buffer(CUcontext /*context*/, std::uint32_t /*stream*/, std::uint8_t* buffer,
                          std::size_t /*size*/, std::size_t valid) {
  Records& all = records();
  {
    const std::lock_guard lock(all.mutex);
    CUpti_Activity* record = nullptr;
    while (all.next_record(buffer, valid, &record) == CUPTI_SUCCESS) {
      if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL)
        continue;
      const auto* kernel = reinterpret_cast<const CUpti_ActivityKernel10*>(record);
      all.kernels.push_back({kernel->name != nullptr ? kernel->name : "", kernel->streamId,
                             kernel->start, kernel->end});
    }
  }
  std::free(buffer);
}

}  // namespace

Cupti::Cupti() : functions_(std::make_unique<Functions>()) {
  const Functions& cupti = *functions_;
  records().next_record = cupti.next_record;
  cupti.check(cupti.register_callbacks(give_buffer, take_buffer), "cuptiActivityRegisterCallbacks");
  cupti.check(cupti.enable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL), "cuptiActivityEnable");
}

Cupti::~Cupti() {
  functions_->disable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL);
  functions_->flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
}

std::vector<KernelTimes> Cupti::take() {
  functions_->check(functions_->flush(0), "cuptiActivityFlushAll");
  const std::lock_guard lock(records().mutex);
  return std::exchange(records().kernels, {});
}

}  // namespace bubblescope::gpu
