// TCP sockets that close themselves and wait for no one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace bubblescope {

using Moment = std::chrono::steady_clock::time_point;

/// Owns a file descriptor.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(other.release()) {}
  Socket& operator=(Socket&& other) noexcept;
  ~Socket() { close(); }

  explicit operator bool() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  void close();

 private:
  int release();

  int fd_ = -1;
};

/// "gpu7:29501", "[::1]:29501"
std::string address_text(const std::string& host, std::uint16_t port);
std::string host_name();

/// Lets this process open so many files and sockets, as far as the hard limit allows.
void allow_descriptors(std::size_t count);

/// A socket that listens on all interfaces, or at `host` alone if that is on the loopback one by
/// its spelling. Waits a second for a port that another has. Throws DeviceError.
Socket listen_at(const std::string& host, std::uint16_t port);

/// The next connection of a listener; `error` is an errno, EAGAIN where none waits.
struct Accepted {
  Socket socket;
  int error = 0;
};
Accepted accept_at(const Socket& listener);

/// A connection to the first address of `host` that takes one, or why none does.
struct Connected {
  Socket socket;
  std::string error = {};  ///< "Connection refused"
};
Connected connect_to(const std::string& host, std::uint16_t port, Moment deadline);

/// For poll: the milliseconds until then, but at most an hour.
int patience_until(Moment moment);
/// Waits for one of poll's `events`; whether it came in time.
bool wait_for(int fd, short events, Moment deadline);

}  // namespace bubblescope
