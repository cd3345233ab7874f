#include "tests/nccl_double/communicator_double.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <stdexcept>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "tests/cuda_double/cuda_double.h"
#include "tests/nccl_double/settings.h"

namespace bubblescope::nccl_double {

/// Before what one process says to another.
struct Header {
  enum class Kind : std::uint32_t {
    Wanted,    ///< It waits for so many bytes.
    Data,      ///< They follow.
    Mismatch,  ///< So many bytes would have been sent, where others were waited for.
    Goodbye,   ///< Nothing follows.
  };
  Kind kind;
  Call call;
  std::uint64_t bytes;
};

namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

struct LastError {
  std::mutex mutex;
  std::string text;
};
LastError& error_of_process() {
  static LastError& only = *new LastError;  // threads outlive what is static
  return only;
}

const char* name_of(Call call) {
  return call == Call::Message ? "message" : call == Call::AllReduce ? "all-reduce" : "all-to-all";
}

int current_gpu() {
  int gpu = 0;
  cudaGetDevice(&gpu);
  return gpu;
}

int next_number() {
  static std::atomic<int> count = 0;
  return ++count;
}

/// A line for each group that begins, and with 0 for the communicator.
void note_group(int communicator, std::uint64_t number, const Group& group = {}) {
  if (settings().notes.empty())
    return;
  const char* const call = group.transfers.empty() ? "" : name_of(group.transfers.front().call);
  const std::string line = fmt::format("{} {} {}\n", communicator, number, call);
  const int file =
      ::open(settings().notes.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0 || ::write(file, line.data(), line.size()) < 0)
    note_error("cannot write " + settings().notes);
  ::close(file);
}

}  // namespace

void note_error(const std::string& what) {
  const std::lock_guard lock(error_of_process().mutex);
  error_of_process().text = what;
}

std::string last_error() {
  const std::lock_guard lock(error_of_process().mutex);
  return error_of_process().text;
}

}  // namespace bubblescope::nccl_double

using namespace bubblescope::nccl_double;

ncclComm::ncclComm(const MeshSeat& seat)
    : seat_(seat),
      number_(next_number()),
      gpu_(current_gpu()),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  note_group(number_, 0);
  std::thread([this] { connect_and_serve(); }).detach();
}

ncclResult_t ncclComm::state() {
  const std::lock_guard lock(mutex_);
  return state_;
}

bool ncclComm::is_finalized() {
  const std::lock_guard lock(mutex_);
  return is_finalizing_ && state_ == ncclSuccess;
}

void ncclComm::fail(ncclResult_t result, const std::string& what) {
  if (state_ == ncclSuccess || state_ == ncclInProgress) {
    state_ = result;
    note_error(what);
  }
}

std::uint64_t ncclComm::announce() {
  const std::lock_guard lock(mutex_);
  state_ = state_ == ncclSuccess ? ncclInProgress : state_;
  return announced_++;
}

void ncclComm::launch(std::uint64_t number, Group group) {
  const cudaStream_t stream = group.stream;
  cudaSetDevice(gpu_);
  const cudaError_t error = bubblescope::cuda_double::launch(
      stream, [this, number, group = std::move(group)] { run(number, group); }, "NCCL");
  const std::lock_guard lock(mutex_);
  if (error != cudaSuccess)
    fail(ncclUnhandledCudaError, cudaGetErrorName(error));
  else if (state_ == ncclInProgress)
    state_ = ncclSuccess;
}

/// In its stream.
void ncclComm::run(std::uint64_t number, const Group& group) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ended_ != nullptr || served_ == number; });
  if (ended_ != nullptr)
    return;
  note_group(number_, number + 1, group);
  post(group);
  wake();
  changed_.wait(lock, [&] { return ended_ != nullptr || left_ == 0; });
  if (ended_ != nullptr)
    return;
  for (const auto& each : group.after)
    each();
  ++served_;
  changed_.notify_all();
  wake();
}

void ncclComm::post(const Group& group) {
  left_ = group.transfers.size();
  for (const Transfer& each : group.transfers) {
    Peer& other = peer(each.peer);
    (each.is_send ? other.sends : other.receives).push_back(each);
    if (!each.is_send)
      tell(other, {.kind = Header::Kind::Wanted, .call = each.call, .bytes = each.bytes});
  }
  for (int rank = 0; rank < ranks(); ++rank)
    match(rank);
}

/// A message begins to move when both its ends are there.
void ncclComm::match(int rank) {
  Peer& other = peer(rank);
  for (; !other.sends.empty() && !other.wanted.empty(); other.wanted.pop_front()) {
    const Transfer sent = other.sends.front();
    const Transfer& wanted = other.wanted.front();
    if (sent.call != wanted.call || sent.bytes != wanted.bytes) {
      tell(other, {.kind = Header::Kind::Mismatch, .call = sent.call, .bytes = sent.bytes});
      return fail_by_mismatch(sent, wanted);
    }
    other.sends.pop_front();
    other.last_departure =
        std::max(other.last_departure, steady_clock::now() + settings().duration_of(sent.bytes));
    departures_.emplace(other.last_departure, Departure{rank, sent});
  }
}

void ncclComm::fail_by_mismatch(const Transfer& sent, const Transfer& received) {
  const auto [from, to] =
      sent.is_send ? std::pair(rank(), sent.peer) : std::pair(sent.peer, rank());
  fail(ncclInvalidUsage,
       fmt::format("process {} sends {} bytes of a {}, and process {} waits for {} of a {}", from,
                   sent.bytes, name_of(sent.call), to, received.bytes, name_of(received.call)));
}

void ncclComm::depart() {
  const auto now = steady_clock::now();
  while (!is_stalled() && !departures_.empty() && departures_.begin()->first <= now) {
    const auto [rank, transfer] = departures_.begin()->second;
    departures_.erase(departures_.begin());
    ++sent_;
    tell(peer(rank), {.kind = Header::Kind::Data, .call = transfer.call, .bytes = transfer.bytes});
    peer(rank).unsent.append(transfer.data, transfer.bytes);
    if (settings().spoils == name_of(transfer.call) && transfer.bytes > 0)
      peer(rank).unsent.back() ^= '\x80';  // a float's sign
    if (--left_ == 0)
      changed_.notify_all();
  }
}

void ncclComm::finalize() {
  const std::lock_guard lock(mutex_);
  is_finalizing_ = true;
  state_ = state_ == ncclSuccess ? ncclInProgress : state_;
  wake();
}

/// Once all that was launched has ended.
void ncclComm::say_goodbye() {
  if (!is_finalizing_ || served_ != announced_ || std::exchange(has_said_goodbye_, true))
    return;
  for (Peer& other : peers_)
    tell(other, {.kind = Header::Kind::Goodbye, .call = {}, .bytes = 0});
}

/// Once all have said goodbye to all.
void ncclComm::leave() {
  const bool is_through = std::all_of(peers_.begin(), peers_.end(), [](const Peer& other) {
    return !other.socket || (other.has_left && other.unsent.empty());
  });
  if (has_said_goodbye_ && is_through && state_ == ncclInProgress)
    state_ = ncclSuccess;
}

void ncclComm::end(const char* how) {
  const std::lock_guard lock(mutex_);
  ended_ = how;
  changed_.notify_all();
  wake();
}

void ncclComm::wake() const {
  static_cast<void>(::eventfd_write(wake_, 1));
}

/// Whether it is one that fails to come to be.
bool ncclComm::fails_to_connect() {
  if (number_ != settings().init.communicator)
    return false;
  if (settings().init.fault == decltype(settings().init.fault)::Hang)
    return true;
  const std::lock_guard lock(mutex_);
  fail(ncclUnhandledCudaError, "Cuda failure 2 'out of memory'");
  return true;
}

bool ncclComm::is_stalled() const {
  return number_ == settings().stall.communicator && sent_ >= settings().stall.after;
}

void ncclComm::connect_and_serve() {
  if (fails_to_connect())
    return;
  try {
    std::vector<bubblescope::Socket> sockets =
        connect_mesh(seat_, [this] { return ended_ != nullptr; });
    const std::lock_guard lock(mutex_);
    for (bubblescope::Socket& socket : sockets)
      peers_.push_back({.socket = std::move(socket)});
    state_ = ncclSuccess;
  } catch (const std::runtime_error& error) {
    const std::lock_guard lock(mutex_);
    return fail(ncclSystemError, error.what());
  }
  serve();
}

void ncclComm::serve() {
  std::unique_lock lock(mutex_);
  while (ended_ == nullptr) {
    depart();
    say_goodbye();
    for (Peer& other : peers_)
      write(other);
    leave();
    wait(lock);
    for (int rank = 0; rank < ranks() && ended_ == nullptr; ++rank)
      read(rank);
  }
  for (Peer& other : peers_)
    other.socket.close();
}

/// Until something comes, is asked for, or is due to depart.
void ncclComm::wait(std::unique_lock<std::mutex>& lock) {
  std::vector<pollfd> polled = {{wake_, POLLIN, 0}};
  for (const Peer& other : peers_)
    if (other.socket)
      polled.push_back({other.socket.fd(),
                        static_cast<short>(other.unsent.empty() ? POLLIN : POLLIN | POLLOUT), 0});
  timespec left{};
  const bool is_bounded = !is_stalled() && !departures_.empty();
  if (is_bounded) {
    const nanoseconds until =
        std::max<nanoseconds>(departures_.begin()->first - steady_clock::now(), nanoseconds(0));
    const auto seconds = std::chrono::floor<std::chrono::seconds>(until);
    left = {.tv_sec = seconds.count(), .tv_nsec = (until - seconds).count()};
  }
  lock.unlock();
  ::ppoll(polled.data(), polled.size(), is_bounded ? &left : nullptr, nullptr);
  eventfd_t ignored = 0;
  static_cast<void>(::eventfd_read(wake_, &ignored));
  lock.lock();
}

void ncclComm::tell(Peer& other, const Header& header) const {
  if (other.socket)
    other.unsent.append(reinterpret_cast<const char*>(&header), sizeof header);
}

void ncclComm::write(Peer& other) {
  while (other.socket && !other.unsent.empty()) {
    const ssize_t count = ::send(other.socket.fd(), other.unsent.data() + other.sent,
                                 other.unsent.size() - other.sent, MSG_NOSIGNAL);
    if (count < 0)
      return;  // no room, or the end, which is read
    other.sent += static_cast<std::size_t>(count);
    if (other.sent < other.unsent.size())
      continue;
    other.unsent.clear();
    other.sent = 0;
  }
}

void ncclComm::read(int rank) {
  std::array<char, 65'536> chunk;
  Peer& other = peer(rank);
  while (other.socket) {
    const bool is_data = other.arriving > 0;
    const ssize_t count = is_data
                              ? ::recv(other.socket.fd(), other.rest_of_data(), other.arriving, 0)
                              : ::recv(other.socket.fd(), chunk.data(), chunk.size(), 0);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
      break;
    const auto bytes = static_cast<std::size_t>(std::max<ssize_t>(count, 0));
    if (is_data)
      take_data(other, bytes);
    else
      other.unread.append(chunk.data(), bytes);
    while (take_frame(rank)) {
    }
    if (count > 0)
      continue;
    other.socket.close();
    if (!other.has_left)
      fail(ncclRemoteError, fmt::format("process {} of {} has died or aborted", rank, ranks()));
  }
}

/// So many bytes more are where they belong.
void ncclComm::take_data(Peer& other, std::size_t bytes) {
  other.arriving -= bytes;
  if (other.arriving > 0)
    return;
  other.receives.pop_front();
  if (--left_ == 0)
    changed_.notify_all();
}

/// Takes a frame from what was read, and tells whether one was there. Data need not be whole: the
/// rest is received where it belongs.
bool ncclComm::take_frame(int rank) {
  Peer& other = peer(rank);
  Header header{};
  if (other.arriving > 0 || other.unread.size() < sizeof header)
    return false;
  std::memcpy(&header, other.unread.data(), sizeof header);
  other.unread.erase(0, sizeof header);
  const Transfer told{.call = header.call,
                      .is_send = false,
                      .peer = rank,
                      .data = nullptr,
                      .bytes = static_cast<std::size_t>(header.bytes)};
  if (header.kind == Header::Kind::Wanted) {
    other.wanted.push_back(told);
    match(rank);
  } else if (header.kind == Header::Kind::Mismatch) {
    fail_by_mismatch(told, other.receives.empty() ? told : other.receives.front());
  } else if (header.kind == Header::Kind::Goodbye) {
    other.has_left = true;
  } else {
    other.arriving = told.bytes;
    const std::size_t here = std::min(told.bytes, other.unread.size());
    std::copy_n(other.unread.data(), here, other.rest_of_data());
    other.unread.erase(0, here);
    take_data(other, here);
  }
  return true;
}
