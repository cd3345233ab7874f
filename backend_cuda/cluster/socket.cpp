#include "backend_cuda/cluster/socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <system_error>
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

/// 0 or an errno.
int bind_and_listen(const Socket& socket, const addrinfo& address) {
  set_option(socket, SOL_SOCKET, SO_REUSEADDR, 1);
  if (address.ai_family == AF_INET6)
    set_option(socket, IPPROTO_IPV6, IPV6_V6ONLY, 0);
  if (::bind(socket.fd(), address.ai_addr, address.ai_addrlen) != 0 ||
      ::listen(socket.fd(), SOMAXCONN) != 0)
    return errno;
  return 0;
}

/// 0 or an errno.
int finish_connecting(const Socket& socket, const addrinfo& address, Moment deadline) {
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) == 0)
    return 0;
  if (errno != EINPROGRESS && errno != EINTR)
    return errno;
  if (!wait_for(socket.fd(), POLLOUT, deadline))
    return ETIMEDOUT;
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
    return errno;
  return error;
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

Socket listen_at(const std::string& host, std::uint16_t port) {
  std::string why = "no address";
  // A name may lead elsewhere on its own host (Debian's 127.0.1.1), so that it is not asked for.
  const bool here = is_loopback(host);
  const char* const name = !here ? nullptr : host == "::1" ? "::1" : "127.0.0.1";
  const Addresses addresses = resolve(name, port, AI_PASSIVE, why);
  // One socket of IPv6 serves IPv4, too; where there is no IPv6, one of IPv4 does.
  for (const int family : {AF_INET6, AF_INET})
    for (const addrinfo* each = addresses.get(); each != nullptr; each = each->ai_next) {
      if (each->ai_family != family)
        continue;
      Socket socket = make_socket(*each);
      const int error = socket ? bind_and_listen(socket, *each) : errno;
      if (error == 0)
        return socket;
      why = error_text(error);
      if (error == EADDRINUSE)
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

bool wait_for(int fd, short events, Moment deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(std::max(deadline - steady_clock::now(), {}));
    pollfd entry = {fd, events, 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(left.count()));
    if (ready > 0)
      return true;
    if (ready == 0 && steady_clock::now() >= deadline)
      return false;
    if (ready < 0 && errno != EINTR)
      return false;
  }
}

}  // namespace bubblescope
