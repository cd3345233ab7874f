#include "backend_cuda/nccl/library.h"

#include <fmt/format.h>

#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope::gpu {
namespace {

/// The first in which all communicators may be non-blocking and be ended from another thread.
constexpr int kOldest = NCCL_VERSION(2, 18, 0);
constexpr int kFirstWithAllToAll = NCCL_VERSION(2, 28, 0);

std::string text_of(int version) {
  return fmt::format("{}.{}.{}", version / 10'000, version / 100 % 100, version % 100);
}

}  // namespace

NcclLibrary::NcclLibrary()
    : library({.what = "a GPU for each process needs NCCL",
               .variable = kNcclLibraryVariable,
               .names = {"libnccl.so.2", "libnccl.so"}}) {
  BUBBLESCOPE_FUNCTION(get_version, ncclGetVersion);
  if (get_version(&version) != ncclSuccess || version < kOldest)
    throw DeviceError("NCCL " + text_of(version) + " is too old: " + text_of(kOldest) +
                      " or later is needed");
}

Nccl::Nccl()
    : all_to_all(version >= kFirstWithAllToAll ? library.find<AllToAll>("ncclAlltoAll") : nullptr) {
}

std::string Nccl::version_text() const {
  return text_of(version);
}

void Nccl::check(ncclResult_t result, const char* call) const {
  if (result == ncclSuccess || result == ncclInProgress)
    return;
  const char* const detail = last_error(nullptr);
  const std::string what =
      fmt::format("NCCL: {}: {}{}", call, error_text(result),
                  detail == nullptr || *detail == '\0' ? "" : fmt::format(" ({})", detail));
  if (result == ncclRemoteError || result == ncclSystemError || result == ncclInternalError)
    throw ConnectionEnded(what);
  throw DeviceError(what);
}

}  // namespace bubblescope::gpu
