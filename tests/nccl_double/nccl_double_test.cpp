// The double itself: it moves data as NCCL does, and tells wrong use that NCCL may let pass. All
// processes of a communicator are this one.
#include <chrono>
#include <cuda_runtime_api.h>
#include <functional>
#include <nccl.h>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

/// Not every nccl.h declares it.
extern "C" ncclResult_t ncclAlltoAll(const void* from, void* to, size_t count, ncclDataType_t type,
                                     ncclComm_t communicator, cudaStream_t stream);

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kPatience{10'000};
constexpr milliseconds kMoment{50};

bool in_time(const std::function<bool()>& condition, milliseconds patience = kPatience) {
  const auto give_up = steady_clock::now() + patience;
  while (!condition() && steady_clock::now() < give_up)
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  return condition();
}

ncclResult_t state_of(ncclComm_t communicator) {
  ncclResult_t state = ncclNumResults;
  const ncclResult_t asked = ncclCommGetAsyncError(communicator, &state);
  return asked == ncclSuccess ? state : asked;
}

/// Its state once nothing is in progress.
ncclResult_t settled(ncclComm_t communicator) {
  in_time([&] { return state_of(communicator) != ncclInProgress; });
  return state_of(communicator);
}

std::string last_error() {
  return ncclGetLastError(nullptr);
}

ncclComm_t begin(const ncclUniqueId& id, int ranks, int rank) {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  ncclComm_t communicator = nullptr;
  CHECK(ncclCommInitRankConfig(&communicator, ranks, id, rank, &config) == ncclInProgress);
  return communicator;
}

/// A communicator of so many processes, each with a stream; aborted at its end.
class World {
 public:
  explicit World(int ranks) {
    ncclUniqueId id;
    REQUIRE(ncclGetUniqueId(&id) == ncclSuccess);
    for (int rank = 0; rank < ranks; ++rank) {
      communicators_.push_back(begin(id, ranks, rank));
      REQUIRE(cudaStreamCreateWithFlags(&streams_.emplace_back(), cudaStreamNonBlocking) ==
              cudaSuccess);
      REQUIRE(cudaEventCreateWithFlags(&events_.emplace_back(), cudaEventDisableTiming) ==
              cudaSuccess);
    }
    for (const ncclComm_t each : communicators_)
      REQUIRE(settled(each) == ncclSuccess);
  }
  ~World() {
    for (const ncclComm_t each : communicators_)
      if (!has_left_)
        ncclCommAbort(each);
    for (const cudaStream_t stream : streams_)
      cudaStreamDestroy(stream);
    for (const cudaEvent_t event : events_)
      cudaEventDestroy(event);
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  ncclComm_t operator[](int rank) const { return communicators_[at(rank)]; }
  cudaStream_t stream(int rank) const { return streams_[at(rank)]; }

  /// `what` has to stay until it is there.
  ncclResult_t send(int rank, int peer, const std::vector<float>& what) {
    return ncclSend(what.data(), what.size(), ncclFloat32, peer, (*this)[rank], stream(rank));
  }
  ncclResult_t receive(int rank, int peer, std::vector<float>& what) {
    return ncclRecv(what.data(), what.size(), ncclFloat32, peer, (*this)[rank], stream(rank));
  }
  /// Calls `enqueue`, whose calls begin together, and waits until they are launched.
  void group(int rank, const std::function<void()>& enqueue) {
    CHECK(ncclGroupStart() == ncclSuccess);
    enqueue();
    CHECK(ncclGroupEnd() == ncclInProgress);
    CHECK(settled((*this)[rank]) != ncclInProgress);
  }
  /// Whether all that is in a stream ends in time.
  bool is_through(int rank, milliseconds patience = kPatience) {
    cudaEventRecord(events_[at(rank)], stream(rank));
    return in_time([&] { return cudaEventQuery(events_[at(rank)]) == cudaSuccess; }, patience);
  }
  void left() { has_left_ = true; }

 private:
  static std::size_t at(int rank) { return static_cast<std::size_t>(rank); }

  std::vector<ncclComm_t> communicators_;
  std::vector<cudaStream_t> streams_;
  std::vector<cudaEvent_t> events_;
  bool has_left_ = false;
};

}  // namespace

TEST_CASE("messages between two processes keep their order, and a group's move together") {
  const std::vector<float> one = {1};
  const std::vector<float> two = {2, 3};
  const std::vector<float> large(100'000, 4);
  std::vector<float> got_one(1);
  std::vector<float> got_two(2);
  std::vector<float> got_large(large.size());
  std::vector<float> back(1);
  World world(2);
  world.group(0, [&] {
    world.send(0, 1, one);
    world.send(0, 1, two);
    world.receive(0, 1, back);
    world.send(0, 1, large);
  });
  world.group(1, [&] {
    world.send(1, 0, one);
    world.receive(1, 0, got_one);
    world.receive(1, 0, got_two);
  });
  world.group(1, [&] { world.receive(1, 0, got_large); });
  CHECK(world.is_through(0));
  CHECK(world.is_through(1));
  CHECK(got_one == one);
  CHECK(got_two == two);
  CHECK(got_large == large);
  CHECK(back == one);
}

TEST_CASE("a send waits for its receive, and groups of a communicator for each other") {
  const std::vector<float> what = {1};
  std::vector<float> got = {0};
  World world(2);
  world.group(0, [&] { world.send(0, 1, what); });
  CHECK(!world.is_through(0, kMoment));
  world.group(1, [&] { world.send(1, 0, what); });
  world.group(0, [&] { world.receive(0, 1, got); });  // behind a send that no one awaits
  CHECK(!world.is_through(0, kMoment));
  CHECK(!world.is_through(1, kMoment));
  CHECK(got.front() == 0);
  CHECK(settled(world[0]) == ncclSuccess);  // a hang shows as nothing
}

TEST_CASE("sums and all-to-all reach every process, and one may send to itself") {
  constexpr int kRanks = 3;
  World world(kRanks);
  std::vector<std::vector<float>> sums;
  std::vector<std::vector<float>> parts;
  std::vector<std::vector<float>> got(kRanks, std::vector<float>(kRanks));
  std::vector<std::vector<float>> own = got;
  for (int rank = 0; rank < kRanks; ++rank) {
    const auto from = static_cast<float>(10 * rank);
    sums.push_back({from + 1, from + 2});
    parts.push_back({from, from + 1, from + 2});
  }
  for (int rank = 0; rank < kRanks; ++rank) {
    const auto i = static_cast<std::size_t>(rank);
    world.group(rank, [&] {
      ncclAllReduce(sums[i].data(), sums[i].data(), 2, ncclFloat32, ncclSum, world[rank],
                    world.stream(rank));
    });
    world.group(rank, [&] {
      ncclAlltoAll(parts[i].data(), got[i].data(), 1, ncclFloat32, world[rank], world.stream(rank));
    });
    world.group(rank, [&] {
      world.send(rank, rank, parts[i]);
      world.receive(rank, rank, own[i]);
    });
  }
  for (int rank = 0; rank < kRanks; ++rank) {
    const auto i = static_cast<std::size_t>(rank);
    CHECK(world.is_through(rank));
    const auto column = static_cast<float>(rank);
    CHECK(sums[i] == std::vector<float>{33, 36});
    CHECK(got[i] == std::vector<float>{column, 10 + column, 20 + column});
    CHECK(own[i] == parts[i]);
  }
}

TEST_CASE("ends of a message that differ are told to both processes") {
  const std::vector<float> what = {1};
  std::vector<float> got(2);
  World lengths(2);
  lengths.group(1, [&] { lengths.receive(1, 0, got); });
  lengths.group(0, [&] { lengths.send(0, 1, what); });
  for (const int rank : {0, 1})
    CHECK(in_time([&] { return state_of(lengths[rank]) == ncclInvalidUsage; }));
  CHECK(last_error() ==
        "process 0 sends 4 bytes of a message, and process 1 waits for 8 of a message");
  World calls(2);
  calls.group(0, [&] { calls.send(0, 1, what); });
  calls.group(1, [&] {
    ncclAllReduce(got.data(), got.data(), 1, ncclFloat32, ncclSum, calls[1], calls.stream(1));
  });
  for (const int rank : {0, 1})
    CHECK(in_time([&] { return state_of(calls[rank]) == ncclInvalidUsage; }));
}

TEST_CASE("an abort ends what waits, and the others see it, but not where they ended themselves") {
  std::vector<float> got(1);
  World world(3);
  world.group(0, [&] { world.receive(0, 1, got); });
  world.group(1, [&] { world.receive(1, 0, got); });
  CHECK(!world.is_through(0, kMoment));
  CHECK(ncclCommAbort(world[0]) == ncclSuccess);
  CHECK(world.is_through(0));
  CHECK(in_time([&] { return state_of(world[1]) == ncclRemoteError; }));
  CHECK(in_time([&] { return state_of(world[2]) == ncclRemoteError; }));
  CHECK(last_error() == "process 0 of 3 has died or aborted");
  CHECK(!world.is_through(1, kMoment));  // until it aborts, too
  CHECK(ncclSend(got.data(), 1, ncclFloat32, 0, world[2], world.stream(2)) == ncclRemoteError);
}

TEST_CASE("a communicator is left once all that was launched has ended, by all together") {
  const std::vector<float> what = {1};
  std::vector<float> got(1);
  World world(2);
  world.group(0, [&] { world.send(0, 1, what); });
  CHECK(ncclCommFinalize(world[0]) == ncclInProgress);
  std::this_thread::sleep_for(kMoment);
  CHECK(state_of(world[0]) == ncclInProgress);
  world.group(1, [&] { world.receive(1, 0, got); });
  std::this_thread::sleep_for(kMoment);
  CHECK(state_of(world[0]) == ncclInProgress);
  CHECK(ncclCommFinalize(world[1]) == ncclInProgress);
  for (const int rank : {0, 1}) {
    CHECK(settled(world[rank]) == ncclSuccess);
    CHECK(world.is_through(rank));
  }
  for (const int rank : {0, 1})
    CHECK(ncclCommDestroy(world[rank]) == ncclSuccess);
  world.left();
}

TEST_CASE("whoever comes with a number that is not the id's is turned away") {
  ncclUniqueId id;
  REQUIRE(ncclGetUniqueId(&id) == ncclSuccess);
  ncclUniqueId wrong = id;
  wrong.internal[0] = static_cast<char>(wrong.internal[0] ^ 1);
  const ncclComm_t stranger = begin(wrong, 2, 0);
  CHECK(settled(stranger) == ncclSystemError);
  ncclCommAbort(stranger);
  const ncclComm_t communicators[] = {begin(id, 2, 0), begin(id, 2, 1)};
  for (const ncclComm_t each : communicators)
    CHECK(settled(each) == ncclSuccess);
  for (const ncclComm_t each : communicators)
    ncclCommAbort(each);
}

TEST_CASE("wrong use is told, with its reason") {
  World world(2);
  World other(2);
  std::vector<float> what(2);
  const auto is_refused = [&](ncclResult_t result, const std::string& reason) {
    CHECK(result == ncclInvalidUsage);
    CHECK(last_error() == reason);
  };
  ncclUniqueId id;
  REQUIRE(ncclGetUniqueId(&id) == ncclSuccess);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  ncclComm_t none = nullptr;
  is_refused(ncclCommInitRankConfig(&none, 2, id, 0, &config),
             "ncclCommInitRankConfig: the double knows only non-blocking communicators");
  const ncclComm_t alone = begin(id, 2, 0);
  is_refused(ncclSend(what.data(), 1, ncclFloat32, 1, alone, world.stream(0)),
             "ncclSend while the call before is in progress");
  is_refused(ncclCommFinalize(alone), "ncclCommFinalize while the call before is in progress");
  CHECK(ncclCommAbort(alone) == ncclSuccess);
  is_refused(ncclCommAbort(alone), "ncclCommAbort of a communicator that was aborted");
  is_refused(state_of(alone), "ncclCommGetAsyncError of a communicator that was aborted");
  is_refused(ncclGroupEnd(), "ncclGroupEnd without ncclGroupStart");
  is_refused(ncclCommDestroy(world[0]), "ncclCommDestroy before ncclCommFinalize");
  is_refused(world.send(0, 2, what), "ncclSend: there is no process 2");
  is_refused(world.send(0, 0, what),
             "a group in which a process does not receive what it sends to itself");
  ncclGroupStart();
  world.send(0, 1, what);
  is_refused(ncclSend(what.data(), 1, ncclFloat32, 1, world[0], world.stream(1)),
             "ncclSend in another stream than the rest of its group");
  std::thread([&] {
    is_refused(world.send(0, 1, what), "ncclSend while another thread has a group of it open");
  }).join();
  CHECK(ncclGroupEnd() == ncclInvalidUsage);
  CHECK(settled(world[0]) == ncclSuccess);
  CHECK(world.is_through(0));  // nothing of it was launched
  ncclCommFinalize(other[0]);
  ncclCommFinalize(other[1]);
  CHECK(settled(other[0]) == ncclSuccess);
  is_refused(other.send(0, 1, what), "ncclSend of a communicator that was finalized");
}

}  // namespace bubblescope
