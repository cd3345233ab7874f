#include "tests/nccl_double/mesh.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <random>
#include <stdexcept>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <utility>

#include "tests/nccl_double/settings.h"

namespace bubblescope::nccl_double {
namespace {

using IsOver = std::function<bool()>;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kNap{20};
constexpr std::chrono::seconds kPatienceWithStrangers{5};

/// Where a process listens.
struct Place {
  std::array<char, 64> address;
  std::uint16_t port;
};

/// In an id.
struct Invitation {
  std::uint64_t number;  ///< Random: whoever does not know it is turned away.
  Place place;
};
static_assert(sizeof(Invitation) <= sizeof(ncclUniqueId));

/// The first that one process says to another.
struct Hello {
  std::uint64_t number;
  std::int32_t ranks;
  std::int32_t rank;
  Place place;
};

[[noreturn]] void fail(const std::string& what) {
  throw std::runtime_error(what);
}

Place place_of(const Socket& listener) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(listener.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0)
    fail(std::strerror(errno));
  Place place{};
  settings().address.copy(place.address.data(), place.address.size() - 1);
  place.port =
      ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                          : reinterpret_cast<const sockaddr_in&>(address).sin_port);
  return place;
}

/// Calls `step(text, bytes)`, which sends or receives, until all bytes are through.
template <class Step>
void move_all(char* bytes, std::size_t count, const Socket& socket, short event,
              const IsOver& is_over, const Step& step) {
  while (count > 0) {
    if (!wait_for(socket.fd(), event, steady_clock::now() + kNap)) {
      if (is_over())
        fail("it was given up");
      continue;
    }
    const ssize_t moved = step(bytes, count);
    if (moved == 0 || (moved < 0 && errno != EAGAIN && errno != EINTR))
      fail("another process of the communicator has closed its connection");
    bytes += std::max<ssize_t>(moved, 0);
    count -= static_cast<std::size_t>(std::max<ssize_t>(moved, 0));
  }
}

template <class T>
void send(const Socket& socket, T thing, const IsOver& is_over) {
  move_all(reinterpret_cast<char*>(&thing), sizeof thing, socket, POLLOUT, is_over,
           [&](char* bytes, std::size_t count) {
             return ::send(socket.fd(), bytes, count, MSG_NOSIGNAL);
           });
}

template <class T>
T receive(const Socket& socket, const IsOver& is_over) {
  T thing{};
  move_all(reinterpret_cast<char*>(&thing), sizeof thing, socket, POLLIN, is_over,
           [&](char* bytes, std::size_t count) { return ::recv(socket.fd(), bytes, count, 0); });
  return thing;
}

Socket accept_one(const Socket& listener, const IsOver& is_over) {
  while (true) {
    Accepted accepted = accept_at(listener);
    if (accepted.socket)
      return std::move(accepted.socket);
    if (is_over())
      fail("it was given up");
    wait_for(listener.fd(), POLLIN, steady_clock::now() + kNap);
  }
}

Socket connect_to(const Place& place) {
  Connected connected = bubblescope::connect_to(place.address.data(), place.port,
                                                steady_clock::now() + kPatienceWithStrangers);
  if (!connected.socket)
    fail("no way to " + address_text(place.address.data(), place.port) + ": " + connected.error);
  return std::move(connected.socket);
}

/// The next process of the communicator that comes; strangers are turned away.
std::pair<Socket, Hello> welcome_one(const Socket& listener, std::uint64_t number,
                                     const IsOver& is_over) {
  while (true) {
    Socket guest = accept_one(listener, is_over);
    try {
      const auto give_up = steady_clock::now() + kPatienceWithStrangers;
      const auto hello =
          receive<Hello>(guest, [&] { return is_over() || steady_clock::now() >= give_up; });
      if (hello.number == number)
        return {std::move(guest), hello};
    } catch (const std::runtime_error&) {  // it said nothing
      if (is_over())
        throw;
    }
  }
}

/// Tells all where each listens, once all have come. Who comes twice, or is told of another number
/// of processes, ends it for all.
void tell_places(const Socket& listener, std::uint64_t number) {
  const IsOver never = [] { return false; };
  std::vector<std::pair<Socket, Hello>> guests;
  do
    guests.push_back(welcome_one(listener, number, never));
  while (guests.size() < static_cast<std::size_t>(guests.front().second.ranks));
  std::sort(guests.begin(), guests.end(),
            [](const auto& a, const auto& b) { return a.second.rank < b.second.rank; });
  for (std::size_t i = 0; i < guests.size(); ++i)
    if (guests[i].second.rank != static_cast<int>(i) ||
        guests[i].second.ranks != guests.front().second.ranks)
      return;
  for (const auto& [guest, ignored] : guests)
    for (const auto& [nobody, hello] : guests)
      send(guest, hello.place, never);
}

}  // namespace

ncclUniqueId make_id() {
  std::random_device random;
  Socket listener = listen_at(settings().address, 0);
  const Invitation invitation{.number = (std::uint64_t{random()} << 32) | random(),
                              .place = place_of(listener)};
  std::thread([listener = std::make_shared<Socket>(std::move(listener)),
               number = invitation.number] {
    try {
      tell_places(*listener, number);
    } catch (const std::runtime_error&) {  // the others see that their connections are closed
    }
  }).detach();
  ncclUniqueId id{};
  std::memcpy(id.internal, &invitation, sizeof invitation);
  return id;
}

std::vector<Socket> connect_mesh(const MeshSeat& seat, const IsOver& is_over) {
  Invitation invitation{};
  std::memcpy(&invitation, seat.id.internal, sizeof invitation);
  const Socket listener = listen_at(settings().address, 0);
  const Hello hello{.number = invitation.number,
                    .ranks = seat.ranks,
                    .rank = seat.rank,
                    .place = place_of(listener)};
  std::vector<Place> places;
  {
    const Socket maker = connect_to(invitation.place);
    send(maker, hello, is_over);
    for (int rank = 0; rank < seat.ranks; ++rank)
      places.push_back(receive<Place>(maker, is_over));
  }
  std::vector<Socket> sockets(places.size());
  for (int rank = 0; rank < seat.rank; ++rank) {
    Socket& socket = sockets[static_cast<std::size_t>(rank)];
    socket = connect_to(places[static_cast<std::size_t>(rank)]);
    send(socket, hello, is_over);
  }
  for (int rank = seat.rank + 1; rank < seat.ranks; ++rank) {
    auto [socket, from] = welcome_one(listener, invitation.number, is_over);
    sockets.at(static_cast<std::size_t>(from.rank)) = std::move(socket);
  }
  return sockets;
}

}  // namespace bubblescope::nccl_double
