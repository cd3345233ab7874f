#include "backend_cuda/cuda/check.h"

#include <string_view>

namespace bubblescope::gpu {
namespace {

/// Whether an error says that something does not exist here, rather than that it failed.
bool says_missing(cudaError_t error) {
  switch (error) {
    case cudaErrorCallRequiresNewerDriver:
    case cudaErrorSymbolNotFound:
    case cudaErrorNotSupported:
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorInvalidResourceType:
    case cudaErrorInvalidResourceConfiguration:
      return true;
    default:
      return false;
  }
}

/// A compiler gives the file with the folders of the machine it ran on.
std::string_view without_folders(std::string_view file) {
  return file.substr(file.find_last_of('/') + 1);
}

}  // namespace

void check(cudaError_t result, const Call& call) {
  if (result == cudaSuccess)
    return;
  cudaGetLastError();
  std::string message(without_folders(call.file));
  message += ":" + std::to_string(call.line) + ": " + call.text + ": ";
  message += std::string(cudaGetErrorName(result)) + " (" + cudaGetErrorString(result) + ")";
  if (says_missing(result))
    throw NotSupported(message);
  throw CudaError(message);
}

void check(CUresult result, const Call& call) {
  check(static_cast<cudaError_t>(result), call);
}

void check_allocated(cudaError_t result, const Request& request, const Call& call) {
  if (result != cudaErrorMemoryAllocation)
    return check(result, call);
  cudaGetLastError();
  throw CudaError("no memory for " + std::to_string(request.bytes) + " bytes of " + request.what +
                  ": " + call.text + ": " + cudaGetErrorName(result));
}

bool is_done(cudaError_t queried, const Call& call) {
  if (queried == cudaErrorNotReady) {
    cudaGetLastError();
    return false;
  }
  check(queried, call);
  return true;
}

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace bubblescope::gpu
