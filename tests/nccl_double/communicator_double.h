// A communicator of the double: one TCP connection to each of its other processes, served by a
// thread of its own.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cuda_runtime_api.h>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <nccl.h>
#include <string>
#include <thread>
#include <vector>

#include "tests/nccl_double/mesh.h"

namespace bubblescope::nccl_double {

/// What both ends of a message have to be part of.
enum class Call : std::uint32_t { Message, AllReduce, AllToAll };

/// One end of a message, in memory that stays until its group has ended.
struct Transfer {
  Call call;
  bool is_send;
  int peer;
  char* data;
  std::size_t bytes;
};

/// What begins and ends together, in a stream.
struct Group {
  cudaStream_t stream = nullptr;
  std::vector<Transfer> transfers = {};
  std::vector<std::function<void()>> after = {};  ///< When all have moved.
};

struct Header;

/// What another process of a communicator has said and was not yet told.
struct Peer {
  Socket socket = {};
  std::string unread = {};
  std::string unsent = {};
  std::size_t sent = 0;                ///< Of `unsent`.
  std::deque<Transfer> wanted = {};    ///< What it waits for, and this process has not sent.
  std::deque<Transfer> sends = {};     ///< What it does not yet wait for.
  std::deque<Transfer> receives = {};  ///< What has to come.
  std::size_t arriving = 0;            ///< Bytes of the first of these, where some are on the way.
  std::chrono::steady_clock::time_point last_departure = {};
  bool has_left = false;  ///< In good order.

  char* rest_of_data() const { return receives.front().data + (receives.front().bytes - arriving); }
};

}  // namespace bubblescope::nccl_double

/// What nccl.h leaves open. It is never freed, so that a use after its end is told.
struct ncclComm {
 public:
  explicit ncclComm(const bubblescope::nccl_double::MeshSeat& seat);
  ncclComm(const ncclComm&) = delete;
  ncclComm& operator=(const ncclComm&) = delete;

  int rank() const { return seat_.rank; }
  int ranks() const { return seat_.ranks; }

  /// ncclInProgress, ncclSuccess, or what has failed first.
  ncclResult_t state();
  bool is_finalized();
  /// The number of a group that is about to be launched: groups run in this order, in whatever
  /// streams they are.
  std::uint64_t announce();
  /// Puts it into its stream; from any thread, since it waits where that has no room.
  void launch(std::uint64_t number, bubblescope::nccl_double::Group group);
  /// Lets all that was launched end, and then leaves in good order, once all others do.
  void finalize();
  /// Whatever waits returns now, and all connections are closed.
  void end(const char* how);
  /// "aborted", "destroyed", or null.
  const char* ended() const { return ended_; }

  std::atomic<bool> is_busy = false;           ///< In a call.
  std::atomic<std::thread::id> group_of = {};  ///< The thread that has an open group of it.

 private:
  using Group = bubblescope::nccl_double::Group;
  using Header = bubblescope::nccl_double::Header;
  using Peer = bubblescope::nccl_double::Peer;
  using Transfer = bubblescope::nccl_double::Transfer;
  using Moment = std::chrono::steady_clock::time_point;
  struct Departure {
    int peer;
    Transfer transfer;
  };

  void connect_and_serve();
  bool fails_to_connect();
  bool is_stalled() const;
  void serve();
  void wait(std::unique_lock<std::mutex>& lock);
  void wake() const;
  void run(std::uint64_t number, const Group& group);
  void post(const Group& group);
  void match(int rank);
  void depart();
  void say_goodbye();
  void leave();
  void write(Peer& peer);
  void read(int rank);
  void take_data(Peer& peer, std::size_t bytes);
  bool take_frame(int rank);
  void fail(ncclResult_t result, const std::string& what);
  void fail_by_mismatch(const Transfer& sent, const Transfer& received);
  Peer& peer(int rank) { return peers_[static_cast<std::size_t>(rank)]; }
  void tell(Peer& peer, const Header& header) const;

  const bubblescope::nccl_double::MeshSeat seat_;
  const int number_;
  const int gpu_;
  const int wake_;  // an eventfd
  std::atomic<const char*> ended_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by the mutex, as all below.
  ncclResult_t state_ = ncclInProgress;
  std::vector<Peer> peers_ = {};  // [rank]
  std::multimap<Moment, Departure> departures_ = {};
  std::uint64_t announced_ = 0;  // groups
  std::uint64_t served_ = 0;     // the same
  std::size_t left_ = 0;         // transfers of the group that runs
  std::uint64_t sent_ = 0;       // messages
  bool is_finalizing_ = false;
  bool has_said_goodbye_ = false;
};

namespace bubblescope::nccl_double {

/// For ncclGetLastError.
void note_error(const std::string& what);
std::string last_error();

}  // namespace bubblescope::nccl_double
