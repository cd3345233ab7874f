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

/// The file of NCCL. It is refused where it is too old, before any other function is looked up.
struct NcclLibrary {
  NcclLibrary();

  Library library;
  int version = 0;  ///< 22809
};

/// The functions that are used, of NCCL 2.18 or later.
struct Nccl : NcclLibrary {
  /// Takes the library that BUBBLESCOPE_NCCL_LIBRARY names, else the one that the loader finds.
  /// Throws DeviceError if there is none, it is too old, or it lacks a function.
  Nccl();

  std::string version_text() const;  ///< "2.28.9"
  /// Throws DeviceError or ConnectionEnded: "NCCL: ncclSend: unhandled system error (…)".
  void check(ncclResult_t result, const char* call) const;

  BUBBLESCOPE_FUNCTION(get_unique_id, ncclGetUniqueId);
  BUBBLESCOPE_FUNCTION(init_rank, ncclCommInitRankConfig);
  BUBBLESCOPE_FUNCTION(get_async_error, ncclCommGetAsyncError);
  BUBBLESCOPE_FUNCTION(finalize, ncclCommFinalize);
  BUBBLESCOPE_FUNCTION(destroy, ncclCommDestroy);
  BUBBLESCOPE_FUNCTION(abort, ncclCommAbort);
  BUBBLESCOPE_FUNCTION(group_start, ncclGroupStart);
  BUBBLESCOPE_FUNCTION(group_end, ncclGroupEnd);
  BUBBLESCOPE_FUNCTION(send, ncclSend);
  BUBBLESCOPE_FUNCTION(receive, ncclRecv);
  BUBBLESCOPE_FUNCTION(all_reduce, ncclAllReduce);
  BUBBLESCOPE_FUNCTION(error_text, ncclGetErrorString);
  BUBBLESCOPE_FUNCTION(last_error, ncclGetLastError);

  /// Declared here, since headers before 2.28 lack it.
  using AllToAll = ncclResult_t(const void* send, void* receive, size_t count, ncclDataType_t type,
                                ncclComm_t communicator, cudaStream_t stream);
  AllToAll* all_to_all;  ///< Null before 2.28: there it is sends and receives in a group.
};

}  // namespace bubblescope::gpu
