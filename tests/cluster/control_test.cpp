// What processes that have met do for each other: gather, tell, watch, and read their clocks.
#include "backend_cuda/cluster/control.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "tests/cluster/by_hand.h"
#include "tests/cluster/clocks.h"
#include "tests/cluster/job.h"
#include "tests/support/effort.h"

namespace bubblescope {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

void expect(bool holds, const std::string& what) {
  if (!holds)
    throw DeviceError(what);
}

void check_all_well(const std::vector<Outcome>& outcomes) {
  for (const Outcome& each : outcomes)
    CHECK(each.error == "");
}

/// Every rank gives payloads of its own, of some length, and gets those of all, many times.
void gather_many(Control& control) {
  for (int round = 0; round < 50; ++round) {
    const auto given = [&](int rank) {
      return std::string(static_cast<std::size_t>(round * 97 * (rank % 8)), 'x') +
             std::to_string(rank);
    };
    const std::vector<std::string> all = control.all_gather(given(control.rank()));
    expect(all.size() == static_cast<std::size_t>(control.world()), "not one of each");
    for (int rank = 0; rank < control.world(); ++rank)
      expect(all[static_cast<std::size_t>(rank)] == given(rank), "another payload");
  }
}

/// The leader numbers mails to all, who send them back.
void pass_mails(Control& control) {
  constexpr int kMails = 200;
  std::vector<int> came(static_cast<std::size_t>(control.world()));
  if (control.leads())
    for (int mail = 0; mail < kMails; ++mail)
      for (int rank = 1; rank < control.world(); ++rank)
        control.send(rank, std::to_string(mail));
  for (int left = control.leads() ? kMails * (control.world() - 1) : kMails; left > 0; --left) {
    const auto mail = control.receive(seconds(10));
    expect(mail.has_value(), "no mail comes");
    expect(mail->payload == std::to_string(came[static_cast<std::size_t>(mail->from)]++),
           "mails come in another order");
    if (!control.leads())
      control.send(0, mail->payload);
  }
  expect(!control.receive(milliseconds(0)), "one mail too many");
  control.all_gather("all is sent");
}

/// In pieces, with pauses: how a slow network brings it.
void send_slowly(const Socket& socket, std::string_view bytes, milliseconds time) {
  constexpr int kPieces = 20;
  const std::size_t piece = bytes.size() / kPieces + 1;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = std::min(bytes.size(), (at / piece + 1) * piece);
    const ssize_t count = ::send(socket.fd(), bytes.data() + at, end - at, MSG_NOSIGNAL);
    if (count < 0 &&
        (errno != EAGAIN || !wait_for(socket.fd(), POLLOUT, steady_clock::now() + seconds(5))))
      return;
    at += count > 0 ? static_cast<std::size_t>(count) : 0;
    if (at == end)
      std::this_thread::sleep_for(time / kPieces);
  }
}

}  // namespace

TEST_CASE("all gather what each gives, and mails keep their order, between threads") {
  for (const int world : {1, 2, 8}) {
    check_all_well(play(parts_of(world, gather_many)));
    check_all_well(play(parts_of(world, pass_mails)));
  }
}

TEST_CASE("all gather what each gives, and mails keep their order, between processes") {
  for (const int world : {8, kMany}) {
    ForkedJob job(world);
    job.start_all([](Control& control, Story&) {
      gather_many(control);
      pass_mails(control);
    });
    for (int rank = 0; rank < world; ++rank) {
      CHECK(job.process(rank).exit_code(kToEnd) == 0);
      CHECK(std::string(job.story(rank).error.data()) == "");
    }
  }
}

TEST_CASE("to leave is no loss to those who wait for nobody") {
  check_all_well(play(parts_of(4, [](Control& control) {
    control.all_gather("all are up");
    if (control.rank() % 2 == 1)
      return;
    std::this_thread::sleep_for(quick_options().silence * 3 / 2);
    expect(!control.loss(), "a loss");
    if (control.leads())
      control.send(1, "to one that has gone");
  })));
  check_all_well(play(parts_of(3, [](Control& control) {
    control.all_gather("all are up");
    if (control.leads())
      return;
    std::this_thread::sleep_for(milliseconds(300));
    expect(!control.loss(), "a loss");
    control.send(0, "to one that has gone");
  })));
}

TEST_CASE("what a process sends before it leaves still comes") {
  const std::string large(std::size_t{8} << 20, 'x');
  check_all_well(play(parts_of(3, [&](Control& control) {
    if (control.rank() == 1)
      return control.send(0, large);
    if (control.rank() == 2)
      return expect(control.receive(seconds(10)).value().payload == large, "another mail");
    control.send(2, large);
    expect(control.receive(seconds(10)).value().payload == large, "another mail");
  })));
}

TEST_CASE("after a loss what others have sent is still there to be read") {
  const auto outcomes = play(parts_of(3, [](Control& control) {
    if (control.rank() == 1) {
      expect(control.receive(seconds(5)).has_value(), "no word of the leader");
      control.fail("out of memory");
    }
    if (control.rank() == 2) {
      control.send(0, "all are up");
      while (!control.loss())
        std::this_thread::sleep_for(milliseconds(1));
      control.send(0, "how far it came");
    }
    if (!control.leads())
      return;
    expect(control.receive(seconds(5)).has_value(), "no word of rank 2");
    control.send(1, "all are up");
    CHECK_THROWS_AS(while (true) control.receive(seconds(1)), PeerLost);
    const auto mail = control.receive_after_loss(seconds(5));
    expect(mail && mail->from == 2 && mail->payload == "how far it came", "no words of rank 2");
    const auto began = steady_clock::now();
    expect(!control.receive_after_loss(seconds(5)), "more words");
    expect(steady_clock::now() - began < seconds(3), "it waits for those that have left");
  }));
  check_all_well(outcomes);
}

TEST_CASE("the first of two failures is told by all") {
  const auto outcomes = play(parts_of(6, [](Control& control) {
    control.all_gather("all are up");
    if (control.rank() == 4)
      control.fail("the first");
    if (control.rank() == 2) {
      while (!control.loss())
        std::this_thread::sleep_for(milliseconds(1));
      control.fail("a consequence");
    }
    control.all_gather("never given by all");
  }));
  for (const Outcome& each : outcomes) {
    CHECK(each.lost == 4);
    CHECK(each.error.find("): the first") != std::string::npos);
  }
}

TEST_CASE("one that lives and does not come to where all others wait is lost") {
  for (const int late : {0, 2}) {
    std::vector<Part> parts = parts_of(4, [&](Control& control) {
      control.all_gather("all are up");
      if (control.rank() == late)
        while (!control.loss())
          std::this_thread::sleep_for(milliseconds(1));
      control.all_gather("not in time");
    });
    for (Part& each : parts)
      each.options.meet_timeout = milliseconds(300);
    int told = 0;
    int left = 0;
    for (const Outcome& each : play(parts)) {
      CHECK(each.lost == late);
      told += each.error.find("lives, but has not come within 0.3 s") != std::string::npos ? 1 : 0;
      left += each.error.find("has left, while others wait for it") != std::string::npos ? 1 : 0;
    }
    // A leader leaves once the first has told it: on a busy machine others may see that before.
    CHECK(told >= (late == 0 ? 1 : 4));
    CHECK(told + left == 4);
  }
}

TEST_CASE("times as long as can be told are no overflow") {
  std::vector<Part> parts = parts_of(3, gather_many);
  for (Part& each : parts)
    each.options.meet_timeout = std::chrono::duration_cast<milliseconds>(Time::max());
  check_all_well(play(parts));
}

TEST_CASE("the leader knows who is there, who has left, and who is lost") {
  using enum Control::Presence;
  const auto outcomes = play(parts_of(4, [](Control& control) {
    control.all_gather("all are up");
    if (control.rank() == 1)
      return;
    if (control.leads()) {
      expect(comes_true([&] { return control.presence(1) == Left; }, seconds(5)), "1 is there");
      expect(control.presence(2) == There && control.presence(3) == There, "not all are there");
    }
    control.all_gather("one has left");
  }));
  for (const int rank : {0, 2, 3})
    CHECK(outcomes[static_cast<std::size_t>(rank)].lost == 1);
}

TEST_CASE("a slow payload of 64 MiB is no silence, and one that stops is") {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  for (const bool stops : {false, true}) {
    Part leader = parts_of(2, [&](Control& control) {
      const auto mail = control.receive(seconds(30));
      expect(mail && mail->payload.size() == kBytes, "another payload");
    })[0];
    if (!kSanitized)  // where a busy machine has kept the sender waiting for seconds
      leader.options.silence /= 2;
    std::vector<Outcome> outcome;
    std::thread thread([&] { outcome = play({leader}); });
    const Socket follower = come_by_hand(leader.seat, leader.options);
    std::string frame = *frame_bytes(FrameKind::Mail, std::string(kBytes, 'x'));
    if (stops)
      frame.resize(kBytes / 2);
    send_slowly(follower, frame, 2 * leader.options.silence);
    thread.join();
    CHECK(outcome[0].lost == (stops ? 1 : -1));
    CHECK((outcome[0].error.find("no sign of life for ") != std::string::npos) == stops);
  }
}

TEST_CASE("bytes that are not of the protocol lose the one that sends them") {
  const std::string bad_gathered = Packer().integer(std::int64_t{1} << 60).text("x").take();
  for (const std::string& words :
       {std::string("\xff\xff\xff\xff\x06", 5), *frame_bytes(FrameKind::Hello, "again"),
        *frame_bytes(FrameKind::Gathered, bad_gathered), *frame_bytes(FrameKind::Loss, "")}) {
    const Part leader =
        parts_of(2, [](Control& control) { control.all_gather("never given by all"); })[0];
    std::vector<Outcome> outcome;
    std::thread thread([&] { outcome = play({leader}); });
    const Socket follower = come_by_hand(leader.seat, leader.options);
    ::send(follower.fd(), words.data(), words.size(), MSG_NOSIGNAL);
    thread.join();
    CHECK(outcome[0].lost == 1);
    CHECK(outcome[0].error.find("that this protocol does not have") != std::string::npos);
  }
}

TEST_CASE("a whole job that is stopped for longer than silence goes on without a loss") {
  ForkedJob job(4);
  job.start_all([](Control& control, Story& story) {
    control.all_gather("all are up");
    story.acted_at = now_ns();
    for (int i = 0; i < 150; ++i) {
      std::this_thread::sleep_for(milliseconds(10));
      control.all_gather("all are up");
    }
  });
  REQUIRE(job.all_meet());
  std::this_thread::sleep_for(milliseconds(200));
  for (const int signal : {SIGSTOP, SIGCONT}) {
    for (int rank = 0; rank < 4; ++rank)
      job.process(rank).send(signal);
    std::this_thread::sleep_for(quick_options().silence * 3 / 2);
  }
  for (int rank = 0; rank < 4; ++rank) {
    CHECK(job.process(rank).exit_code(kToEnd) == 0);
    CHECK(std::string(job.story(rank).error.data()) == "");
  }
}

TEST_CASE("signals are for the threads of the program, and calls go on after them") {
  ForkedJob job(2);
  job.start_all([](Control& control, Story&) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);  // without SA_RESTART
    control.all_gather("ready for signals");
    gather_many(control);
    for (int i = 0; i < 20; ++i) {
      std::this_thread::sleep_for(milliseconds(10));
      pass_mails(control);
    }
  });
  REQUIRE(job.all_meet());
  std::this_thread::sleep_for(milliseconds(50));
  for (int i = 0; i < 200; ++i) {
    for (const int rank : {0, 1})
      job.process(rank).send(SIGUSR1);
    std::this_thread::sleep_for(milliseconds(1));
  }
  for (const int rank : {0, 1})
    CHECK(job.process(rank).exit_code(kToEnd) == 0);
}

TEST_CASE("the leader maps moments of others' clocks to its own within 20 µs, and knows how well") {
  // A machine that does something else in the moment is asked again.
  constexpr int kTries = 3;
  ClockError found;
  for (int tries = 0; tries == 0 || (tries < kTries && found.error > microseconds(20)); ++tries) {
    found = align_clocks(seconds(2));
    CHECK(found.error <= found.uncertainty + Time(100));
  }
  MESSAGE("error ", found.error.count(), " ns, uncertainty ", found.uncertainty.count(), " ns");
  if (!kSanitized)
    CHECK(found.error <= microseconds(20));
}

TEST_CASE("a clock that is not there to be read is told") {
  const auto outcomes = play(parts_of(2, [](Control& control) {
    expect(control.read_clock(control.rank(), 1).uncertainty == Time(0), "our clock is not ours");
    control.all_gather("all are up");
    if (!control.leads())
      return;
    std::this_thread::sleep_for(milliseconds(100));
    control.read_clock(1);
  }));
  CHECK(outcomes[0].lost == 1);
  CHECK(outcomes[0].error.find("has left, while others wait for it") != std::string::npos);
}

}  // namespace bubblescope
