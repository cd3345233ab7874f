// A test double of NCCL: the calls that Bubblescope makes, for processes of one host or of several
// network namespaces, over TCP and host memory. It runs in the streams of the test double of CUDA,
// and proves what a machine without GPUs can: order, data, faults, and that calls are used as NCCL
// asks. It says nothing of speed. Where NCCL lets something pass that may hang, the double is
// stricter:
//
// - A send ends only once its receiver waits for it, however short it is.
// - Both ends of a message have to be of one call and of one length; else both processes are told.
// - Communicators have to be non-blocking. What is in progress may only be asked and aborted.
// - Groups of one communicator run one after the other, and are launched by another thread while
//   the communicator is in progress.
// - A process leaves a communicator by ncclCommFinalize, once all its processes do, and then
//   ncclCommDestroy; or by ncclCommAbort, which the others see as ncclRemoteError, like its death.
//   A process that hangs shows as nothing.
// - Wrong use is ncclInvalidUsage with a reason that ncclGetLastError tells, and so does a line on
//   stderr, which begins with "NCCL double: ".
//
// These variables tell what it plays; a value that cannot be read throws std::invalid_argument:
//
//   BUBBLESCOPE_DOUBLE_NCCL_VERSION=21805   what ncclGetVersion says (22809); before 22800 there is
//                                           no ncclAlltoAll
//   BUBBLESCOPE_DOUBLE_ADDRESS=10.0.0.1     where other processes reach this one (127.0.0.1)
//   BUBBLESCOPE_DOUBLE_LATENCY=5000         ns from when both ends of a message are there until it
//                                           arrives, and
//   BUBBLESCOPE_DOUBLE_BANDWIDTH=1e9        bytes of it per second beside that (0: no bound)
//   BUBBLESCOPE_DOUBLE_NOTES=notes.txt      gets a line for each communicator that this process
//                                           begins to make, its number from 1 on and a 0, and for
//                                           each group that begins to run: which communicator, its
//                                           how manyth group, and of what: "2 17 all-to-all"
//   BUBBLESCOPE_DOUBLE_INIT=2,hang          the second communicator of this process never comes to
//                                           be; with no-memory, it fails as NCCL does where the GPU
//                                           has none left
//   BUBBLESCOPE_DOUBLE_STALL=2,10           what the second communicator of this process sends
//                                           arrives nowhere after 10 messages, and nobody is told,
//                                           as in a network that stalls
//   BUBBLESCOPE_DOUBLE_SPOILS=message       one bit of each message (or all-reduce, or all-to-all)
//                                           that this process sends arrives changed
#include <algorithm>
#include <cstdio>
#include <memory>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "tests/nccl_double/communicator_double.h"
#include "tests/nccl_double/mesh.h"
#include "tests/nccl_double/settings.h"

namespace bubblescope::nccl_double {
namespace {

constexpr int kFirstWithAllToAll = NCCL_VERSION(2, 28, 0);

ncclResult_t misuse(const std::string& what) {
  note_error(what);
  std::fputs(("NCCL double: " + what + "\n").c_str(), stderr);
  return ncclInvalidUsage;
}

struct Communicators {
  std::mutex mutex;
  std::set<ncclComm_t> all;  ///< Also those that have ended.
};
Communicators& communicators() {
  static Communicators& only = *new Communicators;
  return only;
}

/// What a thread has put into the group that it has open.
struct OpenGroup {
  int depth = 0;
  ncclResult_t error = ncclSuccess;
  std::vector<std::pair<ncclComm_t, Group>> parts = {};
};
thread_local OpenGroup open_group;

/// A call of one communicator. It holds the communicator against other threads.
class Use {
 public:
  enum class When { Ready, Any };

  Use(ncclComm_t communicator, const char* call, When when) {
    {
      const std::lock_guard lock(communicators().mutex);
      if (!communicators().all.contains(communicator)) {
        result_ = misuse(fmt::format("{} of what is no communicator", call));
        return;
      }
    }
    if (communicator->is_busy.exchange(true)) {
      result_ = misuse(fmt::format("{} while another thread is in a call of it", call));
      return;
    }
    held_ = communicator;
    const std::thread::id owner = communicator->group_of;
    if (const char* const how = communicator->ended())
      result_ = misuse(fmt::format("{} of a communicator that was {}", call, how));
    else if (when == When::Any)
      return;
    else if (owner != std::thread::id() && owner != std::this_thread::get_id())
      result_ = misuse(fmt::format("{} while another thread has a group of it open", call));
    else if (result_ = communicator->state(); result_ == ncclInProgress)
      result_ = misuse(fmt::format("{} while the call before is in progress", call));
  }
  ~Use() {
    if (held_ != nullptr)
      held_->is_busy = false;
  }
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;

  ncclResult_t result() const { return result_; }

 private:
  ncclComm_t held_ = nullptr;
  ncclResult_t result_ = ncclSuccess;
};

std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclFloat16:
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
      return 4;
    default:
      return 8;
  }
}

/// What a process sends to itself is there once the rest of the group is, before it is added up.
ncclResult_t pair_own(Group& group, int rank) {
  std::vector<Transfer> sends;
  std::vector<Transfer> receives;
  for (const Transfer& each : group.transfers)
    if (each.peer == rank)
      (each.is_send ? sends : receives).push_back(each);
  std::erase_if(group.transfers, [&](const Transfer& each) { return each.peer == rank; });
  const bool fits = std::equal(sends.begin(), sends.end(), receives.begin(), receives.end(),
                               [](const auto& a, const auto& b) { return a.bytes == b.bytes; });
  if (!fits)
    return misuse("a group in which a process does not receive what it sends to itself");
  for (std::size_t i = 0; i < sends.size(); ++i)
    group.after.insert(group.after.begin(), [from = sends[i], to = receives[i]] {
      std::copy_n(from.data, from.bytes, to.data);
    });
  return ncclSuccess;
}

ncclResult_t end_group() {
  if (open_group.depth == 0)
    return misuse("ncclGroupEnd without ncclGroupStart");
  if (--open_group.depth > 0)
    return open_group.error;
  auto [depth, error, parts] = std::exchange(open_group, {});
  for (auto& [communicator, group] : parts) {
    communicator->group_of = std::thread::id();
    if (error == ncclSuccess)
      error = pair_own(group, communicator->rank());
  }
  if (error != ncclSuccess || parts.empty())
    return error;
  std::vector<std::uint64_t> numbers;
  for (const auto& [communicator, group] : parts)
    numbers.push_back(communicator->announce());
  std::thread([parts = std::move(parts), numbers = std::move(numbers)] {
    for (std::size_t i = 0; i < parts.size(); ++i)
      parts[i].first->launch(numbers[i], parts[i].second);
  }).detach();
  return ncclInProgress;
}

/// Adds to the group that is open, or is a group for itself: `fill` puts into it what it does.
template <class Fill>
ncclResult_t add(ncclComm_t communicator, cudaStream_t stream, const char* call, const Fill& fill) {
  ++open_group.depth;
  {
    const Use use(communicator, call, Use::When::Ready);
    ncclResult_t error = use.result();
    auto& parts = open_group.parts;
    auto part = std::find_if(parts.begin(), parts.end(),
                             [&](const auto& each) { return each.first == communicator; });
    if (error == ncclSuccess && communicator->is_finalized())
      error = misuse(fmt::format("{} of a communicator that was finalized", call));
    if (error == ncclSuccess && part == parts.end()) {
      part = parts.insert(parts.end(), {communicator, Group{.stream = stream}});
      communicator->group_of = std::this_thread::get_id();
    }
    if (error == ncclSuccess && part->second.stream != stream)
      error = misuse(fmt::format("{} in another stream than the rest of its group", call));
    if (error == ncclSuccess)
      error = fill(part->second);
    if (open_group.error == ncclSuccess)
      open_group.error = error;
  }
  return end_group();
}

ncclResult_t add_transfer(Transfer transfer, ncclComm_t communicator, cudaStream_t stream) {
  const char* const call = transfer.is_send ? "ncclSend" : "ncclRecv";
  return add(communicator, stream, call, [&](Group& group) {
    if (transfer.peer < 0 || transfer.peer >= communicator->ranks())
      return misuse(fmt::format("{}: there is no process {}", call, transfer.peer));
    group.transfers.push_back(transfer);
    return ncclSuccess;
  });
}

/// To and from all others: [rank] where it is, `stride` bytes from one to the next.
void add_to_all(Group& group, Transfer transfer, const ncclComm& communicator, std::size_t stride) {
  char* const first = transfer.data;
  for (transfer.peer = 0; transfer.peer < communicator.ranks(); ++transfer.peer) {
    transfer.data = first + static_cast<std::size_t>(transfer.peer) * stride;
    group.transfers.push_back(transfer);
  }
}

}  // namespace
}  // namespace bubblescope::nccl_double

using namespace bubblescope::nccl_double;

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  *version = settings().version;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t result) {
  constexpr const char* kTexts[] = {"no error",
                                    "unhandled cuda error",
                                    "unhandled system error",
                                    "internal error",
                                    "invalid argument",
                                    "invalid usage",
                                    "remote process exited or there was a network error",
                                    "NCCL operation in progress"};
  return result < ncclNumResults ? kTexts[result] : "unknown result code";
}

const char* ncclGetLastError(ncclComm_t /*communicator*/) {
  thread_local std::string text;
  text = last_error();
  return text.c_str();
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  try {
    *id = make_id();
    return ncclSuccess;
  } catch (const std::runtime_error& error) {
    note_error(error.what());
    return ncclSystemError;
  }
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* communicator, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  *communicator = nullptr;
  if (config == nullptr || config->magic != 0xcafebeef || config->blocking != 0)
    return misuse("ncclCommInitRankConfig: the double knows only non-blocking communicators");
  if (ranks < 1 || rank < 0 || rank >= ranks)
    return misuse(fmt::format("ncclCommInitRankConfig: process {} of {}", rank, ranks));
  if (config->minCTAs != NCCL_CONFIG_UNDEF_INT && config->maxCTAs != NCCL_CONFIG_UNDEF_INT &&
      config->minCTAs > config->maxCTAs)
    return misuse("ncclCommInitRankConfig: minCTAs > maxCTAs");
  *communicator = new ncclComm({.id = id, .ranks = ranks, .rank = rank});
  const std::lock_guard lock(communicators().mutex);
  communicators().all.insert(*communicator);
  return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t communicator, ncclResult_t* state) {
  const Use use(communicator, "ncclCommGetAsyncError", Use::When::Any);
  if (use.result() == ncclSuccess)
    *state = communicator->state();
  return use.result();
}

ncclResult_t ncclCommFinalize(ncclComm_t communicator) {
  const Use use(communicator, "ncclCommFinalize", Use::When::Ready);
  if (use.result() != ncclSuccess)
    return use.result();
  if (communicator->is_finalized())
    return misuse("ncclCommFinalize of a communicator that was finalized");
  communicator->finalize();
  return ncclInProgress;
}

ncclResult_t ncclCommDestroy(ncclComm_t communicator) {
  const Use use(communicator, "ncclCommDestroy", Use::When::Ready);
  if (use.result() != ncclSuccess)
    return use.result();
  if (!communicator->is_finalized())
    return misuse("ncclCommDestroy before ncclCommFinalize");
  communicator->end("destroyed");
  return ncclSuccess;
}

/// Also while another thread is in a call of it, though that is told.
ncclResult_t ncclCommAbort(ncclComm_t communicator) {
  const Use use(communicator, "ncclCommAbort", Use::When::Any);
  const std::lock_guard lock(communicators().mutex);
  if (communicators().all.contains(communicator) && communicator->ended() == nullptr)
    communicator->end("aborted");
  return use.result();
}

ncclResult_t ncclGroupStart() {
  ++open_group.depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  return end_group();
}

ncclResult_t ncclSend(const void* data, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t communicator, cudaStream_t stream) {
  return add_transfer({.call = Call::Message,
                       .is_send = true,
                       .peer = peer,
                       .data = static_cast<char*>(const_cast<void*>(data)),
                       .bytes = count * size_of(type)},
                      communicator, stream);
}

ncclResult_t ncclRecv(void* data, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t communicator, cudaStream_t stream) {
  return add_transfer({.call = Call::Message,
                       .is_send = false,
                       .peer = peer,
                       .data = static_cast<char*>(data),
                       .bytes = count * size_of(type)},
                      communicator, stream);
}

/// Everyone gets everything, and adds it up in the order of the processes, so that all have the
/// same sum.
ncclResult_t ncclAllReduce(const void* from, void* to, size_t count, ncclDataType_t type,
                           ncclRedOp_t operation, ncclComm_t communicator, cudaStream_t stream) {
  return add(communicator, stream, "ncclAllReduce", [&](Group& group) {
    if (type != ncclFloat32 || operation != ncclSum)
      return misuse("ncclAllReduce: the double knows only sums of float32");
    const auto ranks = static_cast<std::size_t>(communicator->ranks());
    const auto all = std::make_shared<std::vector<float>>(ranks * count);
    Transfer transfer{.call = Call::AllReduce,
                      .is_send = true,
                      .peer = 0,
                      .data = static_cast<char*>(const_cast<void*>(from)),
                      .bytes = count * sizeof(float)};
    add_to_all(group, transfer, *communicator, 0);
    transfer.is_send = false;
    transfer.data = reinterpret_cast<char*>(all->data());
    add_to_all(group, transfer, *communicator, transfer.bytes);
    group.after.push_back([all, sums = static_cast<float*>(to), count, ranks] {
      for (std::size_t i = 0; i < count; ++i) {
        sums[i] = 0;
        for (std::size_t rank = 0; rank < ranks; ++rank)
          sums[i] += (*all)[rank * count + i];
      }
    });
    return ncclSuccess;
  });
}

/// Not every nccl.h declares it.
ncclResult_t ncclAlltoAll(const void* from, void* to, size_t count, ncclDataType_t type,
                          ncclComm_t communicator, cudaStream_t stream) {
  if (settings().version < kFirstWithAllToAll)
    return misuse(fmt::format("ncclAlltoAll, which NCCL {} does not have", settings().version));
  return add(communicator, stream, "ncclAlltoAll", [&](Group& group) {
    Transfer transfer{.call = Call::AllToAll,
                      .is_send = true,
                      .peer = 0,
                      .data = static_cast<char*>(const_cast<void*>(from)),
                      .bytes = count * size_of(type)};
    add_to_all(group, transfer, *communicator, transfer.bytes);
    transfer.is_send = false;
    transfer.data = static_cast<char*>(to);
    add_to_all(group, transfer, *communicator, transfer.bytes);
    return ncclSuccess;
  });
}

}  // extern "C"
