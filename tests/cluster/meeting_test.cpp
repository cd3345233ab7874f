// How processes come together, who is turned away, and what is told where they do not.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <net/if.h>
#include <poll.h>
#include <random>
#include <sched.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "backend_cuda/cluster/frame.h"
#include "backend_cuda/cluster/hello.h"
#include "backend_cuda/cluster/socket.h"
#include "tests/cluster/job.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

void gather(Control& control) {
  const std::vector<std::string> all = control.all_gather(std::to_string(control.rank()));
  for (std::size_t rank = 0; rank < all.size(); ++rank)
    if (all[rank] != std::to_string(rank) ||
        all.size() != static_cast<std::size_t>(control.world()))
      throw DeviceError("gathered something else");
}

void check_all_well(const std::vector<Outcome>& outcomes) {
  for (const Outcome& each : outcomes) {
    CHECK(each.met);
    CHECK(each.error == "");
  }
}

/// Their errors, each once.
std::vector<std::string> errors_of(const std::vector<Outcome>& outcomes) {
  std::vector<std::string> errors;
  for (const Outcome& each : outcomes)
    errors.push_back(each.error);
  std::sort(errors.begin(), errors.end());
  errors.erase(std::unique(errors.begin(), errors.end()), errors.end());
  return errors;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Someone who goes to the leader of a job without being of it.
class Stranger {
 public:
  explicit Stranger(const Seat& seat) {
    comes_true(
        [&] {
          socket_ = connect_to(seat.leader, seat.port, steady_clock::now() + seconds(5)).socket;
          return static_cast<bool>(socket_);
        },
        seconds(5));
    REQUIRE(socket_);
  }
  void say(const std::string& words) const {
    ::send(socket_.fd(), words.data(), words.size(), MSG_NOSIGNAL);
  }
  /// All that it hears until the other end closes, or nothing comes for some time.
  std::string hear(milliseconds patience = seconds(5)) const {
    std::string heard;
    while (wait_for(socket_.fd(), POLLIN, steady_clock::now() + patience)) {
      char bytes[4'096];
      const ssize_t count = ::recv(socket_.fd(), bytes, sizeof bytes, 0);
      if (count <= 0)
        return heard;
      heard.append(bytes, static_cast<std::size_t>(count));
    }
    return heard + "[silence]";
  }

 private:
  Socket socket_;
};

/// The leader of a job that is left alone with what `what` does.
Outcome play_alone(int world, const std::function<void(const Seat&)>& what) {
  const Part leader = parts_of(world, gather)[0];
  std::vector<Outcome> outcome;
  std::thread thread([&] { outcome = play({leader}); });
  what(leader.seat);
  thread.join();
  return outcome[0];
}

/// A job of three whose followers come only once `what` has ended.
std::vector<Outcome> play_around(const std::function<void(const Seat&)>& what) {
  std::vector<Outcome> outcomes;
  const Outcome leader = play_alone(3, [&](const Seat& seat) {
    what(seat);
    std::vector<Part> parts = parts_of(3, gather);
    for (Part& each : parts)
      each.seat.port = seat.port;
    outcomes = play({parts[1], parts[2]});
  });
  outcomes.push_back(leader);
  return outcomes;
}

/// Whether this process now has a network of its own with nothing but a loopback interface.
bool enter_own_network() {
  if (::unshare(CLONE_NEWNET) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
    return false;
  const Socket socket(::socket(AF_INET, SOCK_DGRAM, 0));
  ifreq request{};
  std::string("lo").copy(request.ifr_name, IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP;
  return ::ioctl(socket.fd(), SIOCSIFFLAGS, &request) == 0;
}

bool write_to(const std::string& file, const std::string& text) {
  std::ofstream stream(file);
  stream << text << std::flush;
  return stream.good();
}

constexpr int kNotAllowed = 77;

}  // namespace

TEST_CASE("processes meet, whoever comes first") {
  check_all_well(play(parts_of(1, gather)));
  check_all_well(play(parts_of(2, gather)));
  for (const int late : {0, 1, 2}) {
    std::vector<Part> parts = parts_of(3, gather);
    const Part last = parts[static_cast<std::size_t>(late)];
    parts.erase(parts.begin() + late);
    std::vector<Outcome> of_last;
    std::thread thread([&] {
      std::this_thread::sleep_for(milliseconds(400));
      of_last = play({last});
    });
    check_all_well(play(parts));
    thread.join();
    check_all_well(of_last);
  }
}

TEST_CASE("the leader is found by names and addresses of the loopback interface") {
  for (const std::string host : {"localhost", "127.0.0.1", "127.0.1.1", "::1"}) {
    CAPTURE(host);
    std::vector<Part> parts = parts_of(2, gather);
    for (Part& each : parts)
      each.seat.leader = host;
    check_all_well(play(parts));
  }
}

TEST_CASE("missing ranks are named, to all that came") {
  std::vector<Part> parts = parts_of(8, gather);
  for (Part& each : parts)
    each.options.meet_timeout = milliseconds(700);
  const auto began = steady_clock::now();
  const auto errors = errors_of(play({parts[0], parts[1], parts[3], parts[4]}));
  CHECK(steady_clock::now() - began < seconds(2));
  REQUIRE(errors.size() == 1);
  CHECK(has(errors[0], "ranks 2, 5-7 of 8 have not come within 0.7 s"));
  CHECK(has(errors[0], fmt::format("127.0.0.1:{}", parts[0].seat.port)));
  const auto one =
      errors_of(play({parts[0], parts[1], parts[2], parts[3], parts[4], parts[5], parts[7]}));
  REQUIRE(one.size() == 1);
  CHECK(has(one[0], "rank 6 of 8 has not come within 0.7 s"));
}

TEST_CASE("processes that do not fit are told to all: twice, of another size, of another version") {
  struct Case {
    std::string says;
    std::function<void(Part&)> change;  // of rank 3
  };
  const std::vector<Case> cases = {
      {"jobs that run at one time need a port each", [](Part& part) { part.seat.rank = 1; }},
      {"is told of 5 processes", [](Part& part) { part.seat.world = 5; }},
      {"is told of 3 processes", [](Part& part) { part.seat.world = 3; }},
      {"bubblescope 0.2", [](Part& part) { part.options.version = "bubblescope 0.2"; }}};
  for (const Case& each : cases) {
    CAPTURE(each.says);
    std::vector<Part> parts = parts_of(4, gather);
    each.change(parts[3]);
    const auto began = steady_clock::now();
    const auto errors = errors_of(play(parts));
    CHECK(steady_clock::now() - began < seconds(1));
    REQUIRE(errors.size() == 1);
    CHECK_MESSAGE(has(errors[0], each.says), errors[0]);
  }
}

TEST_CASE("a hello of rank 0, or of another protocol, is told to its sender and by the leader") {
  for (const bool of_rank_0 : {true, false}) {
    const std::string says =
        of_rank_0 ? "rank 0 has come twice" : fmt::format("(protocol {})", kProtocol + 1);
    const Outcome leader = play_alone(2, [&](const Seat& seat) {
      const Stranger stranger(seat);
      std::string hello = *hello_frame(with_rank(seat, of_rank_0 ? 0 : 1), quick_options());
      if (!of_rank_0)
        hello[5 + 8] = static_cast<char>(kProtocol + 1);  // after head and magic word
      stranger.say(hello);
      CHECK(has(stranger.hear(), says));
    });
    CHECK(has(leader.error, says));
  }
}

TEST_CASE("a second job at the same port is turned away, and the first goes on") {
  for (const bool by_secret : {false, true}) {
    check_all_well(play_around([&](const Seat& seat) {
      const Stranger first(seat);  // there is a leader
      std::vector<Part> others = parts_of(3, gather);
      for (Part& each : others) {
        each.seat.port = seat.port;
        (by_secret ? each.seat.secret : each.seat.job) = "another";
      }
      const auto outcomes = play(others);
      CHECK(has(outcomes[0].error, "another program has port"));
      for (const int rank : {1, 2})
        CHECK(has(outcomes[static_cast<std::size_t>(rank)].error, "does not belong to the job"));
    }));
  }
}

TEST_CASE("strangers are turned away, and the job goes on") {
  constexpr unsigned kSeed = 20'260'719;
  MESSAGE("seed ", kSeed);
  std::vector<Stranger> silent;
  check_all_well(play_around([&](const Seat& seat) {
    silent.emplace_back(seat);
    silent.emplace_back(seat);
    silent[1].say(hello_frame(seat, {})->substr(0, 20));
    const Stranger browser(seat);
    browser.say("GET / HTTP/1.1\r\nHost: gpu7\r\n\r\n");
    CHECK(browser.hear() == "");
    const Stranger greedy(seat);
    greedy.say(std::string("\xff\xff\xff\x3f\x01", 5) + std::string(1'000, 'x'));
    CHECK(greedy.hear() == "");
    { const Stranger fleeting(seat); }
    std::mt19937 random(kSeed);
    for (int i = 0; i < 200; ++i) {
      std::string noise(1 + random() % 3'000, '\0');
      for (char& each : noise)
        each = static_cast<char>(random());
      const Stranger stranger(seat);
      stranger.say(noise);
    }
    for (const Stranger& each : silent)
      CHECK(each.hear(milliseconds(50)) == "[silence]");
  }));
  for (const Stranger& each : silent)
    CHECK(each.hear() == "");
}

TEST_CASE("a job comes together though strangers take all files that its leader may open") {
  ForkedJob job(3);
  job.start(0, [](Control& control, Story&) { gather(control); });
  const rlimit few = {24, 24};
  REQUIRE(::prlimit(job.process(0).id(), RLIMIT_NOFILE, &few, nullptr) == 0);
  std::vector<Stranger> strangers;
  for (int i = 0; i < 60; ++i)
    strangers.emplace_back(job.seat());
  for (const int rank : {1, 2})
    job.start(rank, [](Control& control, Story&) { gather(control); });
  for (int i = 0; i < 3; ++i)
    CHECK(job.process(i).exit_code(kToEnd) == 0);
}

TEST_CASE("a leader that may not open as many files as it has to tells it to those that came") {
  ForkedJob job(40);
  job.start(0, [](Control&, Story&) {});
  const rlimit few = {24, 24};
  REQUIRE(::prlimit(job.process(0).id(), RLIMIT_NOFILE, &few, nullptr) == 0);
  for (int rank = 1; rank < 40; ++rank)
    job.start(rank, [](Control&, Story&) {});
  CHECK(job.process(0).exit_code(kToEnd) == 4);
  CHECK(has(job.story(0).error.data(), "connections of 40 processes"));
  int told = 0;
  for (int i = 1; i < 40; ++i)
    told +=
        comes_true([&] { return has(job.story(i).error.data(), "ulimit -n"); }, milliseconds(50))
            ? 1
            : 0;
  CHECK(told >= 10);
}

TEST_CASE("a leader opens as many files as its hard limit allows") {
  const int code = exit_code_of([] {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    allow_descriptors(100);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    const bool raised = limit.rlim_cur == 100;
    allow_descriptors(50);
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return raised && limit.rlim_cur == 100 ? 0 : 1;
  });
  CHECK(code == 0);
}

TEST_CASE("a port that another program has is told by the leader, unless it is free soon") {
  for (const bool soon : {true, false}) {
    Part leader = parts_of(2, gather)[0];
    leader.options.meet_timeout = milliseconds(100);
    Socket other = listen_at("gpu7", leader.seat.port);  // on all interfaces
    std::thread thread([&] {
      std::this_thread::sleep_for(milliseconds(soon ? 300 : 1'300));
      other.close();
    });
    const std::string error = play({leader})[0].error;
    thread.join();
    CHECK(has(error, soon ? "rank 1 of 2 has not come"
                          : fmt::format("another program has port {}", leader.seat.port)));
  }
}

TEST_CASE("a leader that never comes is told with its address and who told it") {
  Part part = parts_of(2, gather)[1];
  part.options.meet_timeout = milliseconds(400);
  const auto began = steady_clock::now();
  const std::string error = play({part})[0].error;
  CHECK(steady_clock::now() - began < seconds(2));
  CHECK(has(error, "rank 1 (host "));
  CHECK(has(error, fmt::format("cannot reach rank 0 at 127.0.0.1:{} within 0.4 s: Connection "
                               "refused; the test gave this address",
                               part.seat.port)));
  part.seat.leader = "no-such-host.invalid";
  CHECK(has(play({part})[0].error, "cannot reach rank 0 at no-such-host.invalid"));
}

TEST_CASE("another program that listens in the leader's place is told, and cannot write escapes") {
  struct Case {
    std::string answer;
    std::string says;
    bool closes;
  };
  const std::vector<Case> cases = {
      {"HTTP/1.1 400 Bad Request\r\n\r\n", "another program listens there", true},
      {"", "has closed the line without a word", true},
      {"", "does not answer", false},
      {*frame_bytes(FrameKind::Life, ""), "another program listens there", false},
      {*frame_bytes(FrameKind::Refused, "no text"), "another program listens there", true},
      {*frame_bytes(FrameKind::Refused, Packer().text("no\x1b[2J").integer(0).take()), "no?[2J",
       false}};
  for (const Case& each : cases) {
    CAPTURE(each.says);
    Part part = parts_of(2, gather)[1];
    part.options.meet_timeout = milliseconds(300);
    const Socket listener = listen_at("127.0.0.1", part.seat.port);
    std::atomic<bool> over = false;
    std::thread program([&] {
      std::vector<Socket> open;
      while (!over) {
        wait_for(listener.fd(), POLLIN, steady_clock::now() + milliseconds(20));
        Accepted accepted = accept_at(listener);
        if (!accepted.socket)
          continue;
        wait_for(accepted.socket.fd(), POLLIN, steady_clock::now() + milliseconds(100));
        char hello[4'096];
        static_cast<void>(::recv(accepted.socket.fd(), hello, sizeof hello, 0));
        ::send(accepted.socket.fd(), each.answer.data(), each.answer.size(), MSG_NOSIGNAL);
        if (!each.closes)
          open.push_back(std::move(accepted.socket));
      }
    });
    const std::string error = play({part})[0].error;
    over = true;
    program.join();
    CHECK_MESSAGE(has(error, each.says), error);
  }
}

TEST_CASE("what comes in one piece with the welcome is heard at once") {
  Part part = parts_of(2, [](Control& control) {
    const auto began = steady_clock::now();
    const auto mail = control.receive(seconds(5));
    if (!mail || mail->payload != "early" || steady_clock::now() - began > milliseconds(500))
      throw DeviceError("it comes late");
  })[1];
  part.options.silence = seconds(10);  // so that no sign of life helps
  const Socket listener = listen_at("127.0.0.1", part.seat.port);
  std::thread leader([&] {
    wait_for(listener.fd(), POLLIN, steady_clock::now() + seconds(5));
    const Accepted accepted = accept_at(listener);
    const std::string words =
        *frame_bytes(FrameKind::Welcome, Packer().integer(1).text("gpu7").take()) +
        *frame_bytes(FrameKind::Mail, "early");
    ::send(accepted.socket.fd(), words.data(), words.size(), MSG_NOSIGNAL);
    std::this_thread::sleep_for(milliseconds(1'500));
  });
  CHECK(play({part})[0].error == "");
  leader.join();
}

TEST_CASE("many processes meet though few may wait at the door") {
  const int code = exit_code_of([] {
    if (!enter_own_network() || !write_to("/proc/sys/net/core/somaxconn", "4"))
      return kNotAllowed;
    ForkedJob job(kMany);
    job.start_all([](Control& control, Story&) { gather(control); });
    for (int i = 0; i < kMany; ++i)
      if (job.process(i).exit_code(kToEnd) != 0)
        return 1;
    return 0;
  });
  if (code == kNotAllowed)
    MESSAGE("skipped: no network namespace of its own");
  else
    CHECK(code == 0);
}

TEST_CASE("a process that waits for its leader does not take the leader's port by chance") {
  const int code = exit_code_of([] {
    // Of the ports for clients, the only one is the leader's.
    if (!enter_own_network() || !write_to("/proc/sys/net/ipv4/ip_local_port_range", "40000 40001"))
      return kNotAllowed;
    for (const int port : {40'000, 40'001}) {
      const Connected nobody = connect_to("127.0.0.1", static_cast<std::uint16_t>(port),
                                          steady_clock::now() + seconds(1));
      if (nobody.socket || nobody.error != "Connection refused")
        return 2;
    }
    std::vector<Part> parts = parts_of(2, gather);
    for (Part& each : parts)
      each.seat.port = 40'000;
    std::vector<Outcome> follower;
    std::thread early([&] { follower = play({parts[1]}); });
    std::this_thread::sleep_for(milliseconds(300));
    const std::vector<Outcome> leader = play({parts[0]});
    early.join();
    return leader[0].error.empty() && follower[0].error.empty() ? 0 : 1;
  });
  if (code == kNotAllowed)
    MESSAGE("skipped: no network namespace of its own");
  else
    CHECK(code == 0);
}

}  // namespace bubblescope
