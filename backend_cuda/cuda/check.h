// Every CUDA call goes through BUBBLESCOPE_CHECK, which throws what went wrong and where.
#pragma once

#include <cstddef>
#include <cuda.h>
#include <cuda_runtime_api.h>
#include <stdexcept>
#include <string>

namespace bubblescope::gpu {

/// What this device, driver or toolkit cannot do. The message names it.
class NotSupported : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A CUDA call that failed. The message gives file, line, call and CUDA's name for the error.
class CudaError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A call as it stands in the source.
struct Call {
  const char* text;
  const char* file;
  int line;
};

/// Throws NotSupported if `result` says that something is missing, CudaError if it says that
/// something failed. An error that leaves the context alive is cleared, so no later call meets it.
void check(cudaError_t result, const Call& call);

/// The same for a call of the driver, whose errors have the runtime's numbers.
void check(CUresult result, const Call& call);

/// The same for a request of memory; the message says how much, and for what.
struct Request {
  std::size_t bytes;
  const char* what;
};
void check_allocated(cudaError_t result, const Request& request, const Call& call);

/// What a query of a stream or an event says: whether its work is done.
bool is_done(cudaError_t queried, const Call& call);

/// A version of CUDA, as people write it: 13000 is "13.0".
std::string version_text(int version);

}  // namespace bubblescope::gpu

#define BUBBLESCOPE_CALL(...)        \
  ::bubblescope::gpu::Call {         \
#__VA_ARGS__, __FILE__, __LINE__ \
  }
#define BUBBLESCOPE_CHECK(...) \
  ::bubblescope::gpu::check((__VA_ARGS__), BUBBLESCOPE_CALL(__VA_ARGS__))
#define BUBBLESCOPE_IS_DONE(...) \
  ::bubblescope::gpu::is_done((__VA_ARGS__), BUBBLESCOPE_CALL(__VA_ARGS__))
