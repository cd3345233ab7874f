// NCCL's functions, looked up at run time: the program starts without it.
#pragma once

#include <nccl.h>
#include <string>

#include "backend_cuda/cuda/library.h"
#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

/// A connection has ended: seldom the cause, most often what is seen of a process that has failed.
class ConnectionEnded : public DeviceError {
 public:
  using DeviceError::DeviceError;
};

/// Those that are used, of NCCL 2.18 or later.
struct Nccl {
  /// Takes the library that BUBBLESCOPE_NCCL_LIBRARY names, else the one that the loader finds.
  /// Throws DeviceError if there is none, it is too old, or it lacks a function.
  Nccl();

  std::string version_text() const;  ///< "2.28.9"
  /// Throws DeviceError or ConnectionEnded: "NCCL: ncclSend: unhandled system error (…)".
  void check(ncclResult_t result, const char* call) const;

  OpenLibrary library;
  int version = 0;  ///< 22809
  decltype(&ncclGetUniqueId) get_unique_id = nullptr;
  decltype(&ncclCommInitRankConfig) init_rank = nullptr;
  decltype(&ncclCommGetAsyncError) get_async_error = nullptr;
  decltype(&ncclCommFinalize) finalize = nullptr;
  decltype(&ncclCommDestroy) destroy = nullptr;
  decltype(&ncclCommAbort) abort = nullptr;
  decltype(&ncclGroupStart) group_start = nullptr;
  decltype(&ncclGroupEnd) group_end = nullptr;
  decltype(&ncclSend) send = nullptr;
  decltype(&ncclRecv) receive = nullptr;
  decltype(&ncclAllReduce) all_reduce = nullptr;
  /// Null before 2.28: there it is sends and receives in a group.
  ncclResult_t (*all_to_all)(const void* send, void* receive, size_t count, ncclDataType_t type,
                             ncclComm_t communicator, cudaStream_t stream) = nullptr;
  decltype(&ncclGetErrorString) error_text = nullptr;
  decltype(&ncclGetLastError) last_error = nullptr;
};

}  // namespace bubblescope::gpu
