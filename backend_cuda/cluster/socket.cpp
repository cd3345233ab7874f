#include "backend_cuda/cluster/socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/resource.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/replay/executor.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// One address may be a hole that swallows what is sent there, and the next one not.
constexpr std::chrono::seconds kPatienceWithAnAddress{3};
/// Processes of a job before, or a client that got this port by chance, may hold it for a moment.
constexpr std::chrono::seconds kPatienceWithAPort{1};
constexpr milliseconds kBetweenTries{20};

std::string error_text(int error) {
  return std::generic_category().message(error);
}

void set_option(const Socket& socket, int level, int option, int value) {
  // What these options are for works without them, only less well.
  static_cast<void>(::setsockopt(socket.fd(), level, option, &value, sizeof value));
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

/// `error` tells why there are none.
Addresses resolve(const char* host, std::uint16_t port, int flags, std::string& error) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(host, std::to_string(port).c_str(), &hints, &found);
  if (code != 0)
    error = code == EAI_SYSTEM ? error_text(errno) : ::gai_strerror(code);
  return {code == 0 ? found : nullptr, &::freeaddrinfo};
}

Socket make_socket(const addrinfo& address) {
  return Socket(::socket(address.ai_family, address.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                         address.ai_protocol));
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

/// What listens, or an errno.
Accepted make_listener(const addrinfo& address) {
  Accepted result{make_socket(address)};
  if (!result.socket)
    return {{}, errno};
  set_option(result.socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.ai_family == AF_INET6)
    set_option(result.socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(result.socket.fd(), address.ai_addr, address.ai_addrlen) != 0 ||
      ::listen(result.socket.fd(), SOMAXCONN) != 0)
    return {{}, errno};
  return result;
}

Accepted make_listener_patiently(const addrinfo& address) {
  const Moment give_up = steady_clock::now() + kPatienceWithAPort;
  Accepted result = make_listener(address);
  while (result.error == EADDRINUSE && steady_clock::now() < give_up) {
    std::this_thread::sleep_for(kBetweenTries);
    result = make_listener(address);
  }
  return result;
}

/// Where nobody listens, a client may be given the very port that it asks for as its own: then TCP
/// connects it with itself, and keeps the port from who is to listen there.
bool meets_itself(const Socket& socket) {
  sockaddr_storage here{};
  sockaddr_storage there{};
  socklen_t size_here = sizeof here;
  socklen_t size_there = sizeof there;
  return ::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&here), &size_here) == 0 &&
         ::getpeername(socket.fd(), reinterpret_cast<sockaddr*>(&there), &size_there) == 0 &&
         size_here == size_there && std::memcmp(&here, &there, size_here) == 0;
}

/// Without the minute in which a port is held after a connection.
void forget_at_close(const Socket& socket) {
  const linger at_once = {1, 0};
  static_cast<void>(::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
}

/// 0 or an errno.
int finish_connecting(const Socket& socket, const addrinfo& address, Moment deadline) {
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) {
    if (errno != EINPROGRESS && errno != EINTR)
      return errno;
    if (!wait_for(socket.fd(), POLLOUT, deadline))
      return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
      return errno;
    if (error != 0)
      return error;
  }
  if (!meets_itself(socket))
    return 0;
  forget_at_close(socket);
  return ECONNREFUSED;
}

}  // namespace

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

void Socket::close() {
  if (fd_ >= 0)
    ::close(release());
}

int Socket::release() {
  return std::exchange(fd_, -1);
}

std::string address_text(const std::string& host, std::uint16_t port) {
  const bool bare_ipv6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", bare_ipv6 ? "[" : "", host, bare_ipv6 ? "]" : "", port);
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name.front() == '\0')
    return "unknown";
  return name.data();
}

void allow_descriptors(std::size_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count)
    return;
  limit.rlim_cur = std::min<rlim_t>(count, limit.rlim_max);
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));  // who runs out of them tells it
}

Socket listen_at(const std::string& host, std::uint16_t port) {
  std::string why = "no address";
  // A name may lead elsewhere on its own host (Debian's 127.0.1.1), so that it is not asked for.
  const char* const name = !is_loopback(host)    ? nullptr
                           : host == "localhost" ? "127.0.0.1"
                                                 : host.c_str();
  const Addresses addresses = resolve(name, port, AI_PASSIVE, why);
  // One socket of IPv6 serves IPv4, too; where there is no IPv6, one of IPv4 does.
  for (const int family : {AF_INET6, AF_INET})
    for (const addrinfo* each = addresses.get(); each != nullptr; each = each->ai_next) {
      if (each->ai_family != family)
        continue;
      Accepted listener = make_listener_patiently(*each);
      if (listener.socket)
        return std::move(listener.socket);
      why = error_text(listener.error);
      if (listener.error == EADDRINUSE)
        throw DeviceError(
            fmt::format("rank 0 cannot listen at {}: another program has port {}; "
                        "choose another one for all processes by --master HOST:PORT",
                        address_text(host, port), port));
    }
  throw DeviceError(fmt::format("rank 0 cannot listen at {}: {}", address_text(host, port), why));
}

Accepted accept_at(const Socket& listener) {
  Accepted result{Socket(::accept4(listener.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC))};
  if (result.socket)
    set_option(result.socket, IPPROTO_TCP, TCP_NODELAY, 1);
  else
    result.error = errno == EWOULDBLOCK ? EAGAIN : errno;
  return result;
}

Connected connect_to(const std::string& host, std::uint16_t port, Moment deadline) {
  Connected result;
  const Addresses addresses = resolve(host.c_str(), port, 0, result.error);
  for (const addrinfo* each = addresses.get(); each != nullptr; each = each->ai_next) {
    Socket socket = make_socket(*each);
    const Moment patience = std::min(deadline, steady_clock::now() + kPatienceWithAnAddress);
    const int error = socket ? finish_connecting(socket, *each, patience) : errno;
    if (error == 0) {
      set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
      return {std::move(socket)};
    }
    result.error = error_text(error);
  }
  return result;
}

int patience_until(Moment moment) {
  constexpr Moment::duration kLongest = std::chrono::hours(1);
  const auto left = std::clamp(moment - steady_clock::now(), Moment::duration::zero(), kLongest);
  return static_cast<int>(std::chrono::ceil<milliseconds>(left).count());
}

bool wait_for(int fd, short events, Moment deadline) {
  for (;;) {
    pollfd entry = {fd, events, 0};
    const int ready = ::poll(&entry, 1, patience_until(deadline));
    if (ready > 0)
      return true;
    if (ready == 0 && steady_clock::now() >= deadline)
      return false;
    if (ready < 0 && errno != EINTR)
      return false;
  }
}

}  // namespace bubblescope
