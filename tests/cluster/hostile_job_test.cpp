// A process of a job that lies: the others name it and end, whatever it sends.
#include <atomic>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "backend_cuda/cluster/follower.h"
#include "backend_cuda/cluster/leader.h"
#include "backend_cuda/cluster/loss.h"
#include "backend_cuda/cluster/orders.h"
#include "tests/cluster/by_hand.h"
#include "tests/cluster/job.h"
#include "tests/cluster/plan_of_two.h"
#include "tests/support/command.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kRefused = " sent a message that this protocol does not have";
constexpr std::size_t kMostUnread = std::size_t{1} << 20;
const std::string kFacts = write_facts({{"device", "a test"}, {kHostFact, "another"}});

/// How rank 0 or rank 1 ends where the test plays the other one.
Outcome beside(int liar, const std::function<void(Control& control)>& work,
               const std::function<void(ByHand& liar)>& lie) {
  Part part = parts_of(2, work)[static_cast<std::size_t>(1 - liar)];
  part.options.meet_timeout = seconds(5 * kSlow);
  part.options.most_unread = kMostUnread;
  std::optional<Socket> listener;
  if (liar == 0)
    listener = listen_at("127.0.0.1", part.seat.port);
  std::vector<Outcome> outcomes;
  std::jthread honest([&] { outcomes = play({part}); });
  ByHand by_hand =
      liar == 0 ? ByHand::leader(*listener) : ByHand::follower(part.seat, part.options);
  lie(by_hand);
  by_hand.die();
  honest.join();
  return outcomes[0];
}

/// A rank that waits for all that may come.
void wait_for_anything(Control& control) {
  control.all_gather("all are up");
  if (control.leads())
    control.read_clock(1);
  while (true)
    control.receive(seconds(1));
}

/// Fields of the kinds that payloads have, now and then the right ones.
std::string hostile_payload(std::mt19937_64& random) {
  constexpr std::int64_t kNumbers[] = {-1, 0, 1, 2, 4, 256, std::int64_t{1} << 32, 1LL << 60};
  Packer payload;
  for (std::uint64_t fields = random() % 5; fields > 0; --fields)
    if (random() % 3 == 0)
      payload.text(std::string(random() % 30, static_cast<char>(random())));
    else
      payload.integer(random() % 2 == 0 ? kNumbers[random() % std::size(kNumbers)]
                                        : static_cast<std::int64_t>(random()));
  return payload.take();
}

/// A liar learns why it is refused.
void check_told(ByHand& liar) {
  CHECK(has(liar.next(FrameKind::Loss).value_or(""), kRefused));
}

void check_refused(const Outcome& outcome, int liar) {
  CHECK(outcome.error.starts_with(fmt::format("rank {} (host ", liar)));
  CHECK_MESSAGE(has(outcome.error, kRefused), outcome.error);
}

/// Rank 0 of a plan with a follower that plays along until its step is ready or runs, and then
/// sends a message.
Outcome lead(const std::string& facts, bool opens, const std::string& message) {
  const PlanOfTwo two;
  return beside(
      1,
      [&](Control& control) {
        const auto leader =
            make_leader(two.plan, control, std::make_unique<Idle>(two.plan), {}, seconds(5));
        leader->start();
        while (!leader->wait(milliseconds(100))) {
        }
      },
      [&](ByHand& liar) {
        liar.send(FrameKind::Gather, facts);
        for (int round = 0; round < 64 && liar.next(FrameKind::Ping); ++round)
          liar.send(FrameKind::Pong, Packer().integer(0).integer(0).take());
        if (opens) {
          liar.send(FrameKind::Mail, begin(Order::Ready).take());
          liar.next(FrameKind::Mail);
        }
        liar.send(FrameKind::Mail, message);
        liar.next(FrameKind::Goodbye);
      });
}

/// Rank 1 with a leader that lets it launch, and then sends messages.
Outcome follow(const std::vector<std::string>& messages) {
  const PlanOfTwo two;
  return beside(
      0,
      [&](Control& control) {
        const auto follower =
            make_follower(two.plan, control, std::make_unique<Idle>(two.plan), {.rank = 1});
        follower->start();
        while (!follower->wait(milliseconds(100))) {
        }
      },
      [&](ByHand& liar) {
        liar.next(FrameKind::Gather);
        liar.send(FrameKind::Gathered, Packer().integer(2).text(kFacts).text(kFacts).take());
        liar.next(FrameKind::Mail);  // it is ready
        for (const std::string& message : messages)
          liar.send(FrameKind::Mail, message);
        liar.next(FrameKind::Goodbye);
      });
}

}  // namespace

TEST_CASE("frames that are not for this end, or tell what cannot be, lose their sender") {
  const auto loss = [](int rank, int code) { return *loss_frame({rank, "it fails", true, code}); };
  const auto gathered = [](int count) {
    Packer payload;
    payload.integer(count);
    for (int i = 0; i < count; ++i)
      payload.text("");
    return *frame_bytes(FrameKind::Gathered, payload.take());
  };
  const std::string gather = *frame_bytes(FrameKind::Gather, "all are up");
  for (const std::string& bytes : {loss(1, 256), loss(1, 1), loss(1, -4), loss(2, 4), loss(-1, 4),
                                   gathered(2), gather + gather + gather})
    check_refused(beside(1, wait_for_anything,
                         [&](ByHand& liar) {
                           liar.send(bytes);
                           check_told(liar);
                         }),
                  1);
  for (const auto& [came, went] : {std::pair(5LL, 4LL), {0, 1LL << 61}, {-(1LL << 61), 0}})
    check_refused(beside(1, wait_for_anything,
                         [&, came = came, went = went](ByHand& liar) {
                           liar.send(gather);
                           liar.next(FrameKind::Ping);
                           liar.send(FrameKind::Pong, Packer().integer(came).integer(went).take());
                           check_told(liar);
                         }),
                  1);
  for (const std::string& bytes : {loss(1, 256), loss(0, 5), loss(2, 4), gathered(0), gathered(1),
                                   gathered(3), gathered(2) + gathered(2) + gathered(2), gather})
    check_refused(beside(0, wait_for_anything,
                         [&](ByHand& liar) {
                           liar.next(FrameKind::Gather);
                           liar.send(bytes);
                           check_told(liar);
                         }),
                  0);
}

TEST_CASE("whatever frames one process sends, the other one ends by an error that names it") {
  constexpr std::uint64_t kSeed = 20'261'130;
  constexpr int kTimes = 6;
  MESSAGE("seed ", kSeed);
  std::mt19937_64 random(kSeed);
  for (const int liar : {0, 1})
    for (int kind = 1; kind <= static_cast<int>(FrameKind::Pong); ++kind)
      for (int i = 0; i < kTimes; ++i) {
        const std::string payload = hostile_payload(random);
        CAPTURE(liar);
        CAPTURE(kind);
        CAPTURE(i);
        const auto frame = static_cast<FrameKind>(kind);
        const bool is_of_the_meeting = frame <= FrameKind::Refused;
        const Outcome outcome = beside(liar, wait_for_anything, [&](ByHand& by_hand) {
          if (liar == 1 && i % 2 == 0) {
            by_hand.send(FrameKind::Gather, "all are up");
            by_hand.next(FrameKind::Ping);
          }
          by_hand.send(frame, payload);
          if (is_of_the_meeting)
            check_told(by_hand);
        });
        if (is_of_the_meeting)
          check_refused(outcome, liar);
        if (frame != FrameKind::Loss)
          CHECK(outcome.lost == liar);
        CHECK(outcome.error != "");
      }
}

TEST_CASE("more mails than may wait lose their sender, and those that are read do not count") {
  const std::size_t most = kMostUnread / sizeof(Mail) + 2;
  std::string empty_mails;
  for (std::size_t i = 0; i < most; ++i)
    empty_mails += *frame_bytes(FrameKind::Mail, "");
  const std::string half(kMostUnread / 2, 'x');
  const std::string mail = *frame_bytes(FrameKind::Mail, half);
  for (const std::string& mails : {empty_mails, mail + mail + mail + mail})
    check_refused(beside(
                      1,
                      [](Control& control) {
                        comes_true([&] { return control.loss().has_value(); }, kToEnd);
                        control.receive(seconds(0));
                      },
                      [&](ByHand& liar) {
                        liar.send(mails);
                        liar.next(FrameKind::Goodbye);
                      }),
                  1);
  constexpr int kRounds = 10;
  const Outcome outcome = beside(
      1,
      [&](Control& control) {
        for (int round = 0; round < kRounds; ++round) {
          CHECK(control.receive(seconds(10)).value().payload == half);
          control.send(1, "it is read");
        }
      },
      [&](ByHand& other) {
        for (int round = 0; round < kRounds; ++round) {
          other.send(mail);
          CHECK(other.next(FrameKind::Mail));
        }
        other.next(FrameKind::Goodbye);
      });
  CHECK(outcome.error == "");
}

TEST_CASE("no mail of a process that is refused is kept") {
  std::atomic<bool> is_handled = false;
  const Outcome outcome = beside(
      1,
      [&](Control& control) {
        CHECK(control.receive(seconds(10)));
        CHECK_THROWS_AS(control.refuse(1), PeerLost);
        CHECK(comes_true([&] { return is_handled.load(); }, kToEnd));
        CHECK(!control.receive_after_loss(milliseconds(0)));
      },
      [&](ByHand& liar) {
        liar.send(FrameKind::Mail, "nonsense");
        check_told(liar);
        liar.send(FrameKind::Mail, "more of it");
        liar.send(FrameKind::Ping, "");
        CHECK(liar.next(FrameKind::Pong));
        is_handled = true;
        liar.next(FrameKind::Goodbye);
      });
  CHECK(outcome.error == "");
}

TEST_CASE("a leader refuses what a follower says of a step that is none of its own") {
  const PlanOfTwo two;
  const std::string far = write_progress({.running = 0x7fff'ffff});
  const std::string others = write_progress({.running = first_action(two.plan, 0)});
  for (const bool opens : {false, true})
    for (const std::string& message : {far, others, begin(Order::Open).integer(0).take(),
                                       write_parity({}), std::string("?"), std::string()})
      check_refused(lead(kFacts, opens, message), 1);
  check_refused(lead(kFacts, false, write_times(Order::Done, {})), 1);
  check_refused(lead(kFacts, true, begin(Order::Ready).take()), 1);
  check_refused(lead("nonsense", false, ""), 1);
}

TEST_CASE("a follower refuses what a leader says of a step that is none of its own") {
  const PlanOfTwo two;
  const std::string open = begin(Order::Open).integer(0).take();
  const std::string far = write_progress({.running = 0x7fff'ffff});
  const std::string others = write_progress({.running = first_action(two.plan, 1)});
  for (const std::string& message :
       {far, others, begin(Order::Ready).take(), begin(Order::Times).take(), std::string()}) {
    check_refused(follow({message}), 0);
    check_refused(follow({open, message}), 0);
  }
  check_refused(follow({open, open}), 0);
}

TEST_CASE("a job that a process loses ends with a code of a failure, and writes no escapes") {
  for (const int code : {0, 2, 3, 4, 1, 5, 200, 256}) {
    CAPTURE(code);
    Seat seat = leader_of(2);
    seat.job = fmt::format("flags, port {}", seat.port);
    ProcessResult result;
    std::jthread leader([&] {
      result =
          run(fmt::format("replay 1f1b -p 2 -m 2 --forward 1ms --input-grad 1ms "
                          "--weight-grad 1ms --backend nccl --rank 0 --world-size 2 "
                          "--local-rank 0 --master 127.0.0.1:{} --meet-timeout 10s",
                          seat.port));
    });
    const std::string version = output("--version");  // "bubblescope 0.2.0 (commit …)"
    ByHand liar = ByHand::follower(seat, {.version = version.substr(0, version.find(" ("))});
    liar.send(*loss_frame({1, "rank 1: it\x1b]0;title\x07 fails\x1b[2J", true, code}));
    liar.next(FrameKind::Goodbye);
    liar.die();
    leader.join();
    const bool is_failure = code == 2 || code == 3;
    CHECK(result.exit_code == (is_failure ? code : kDevice));
    const bool is_refused = code == 1 || code > kDevice;
    CHECK_MESSAGE(has(result.err, is_refused ? kRefused : "it?]0;title? fails?[2J"), result.err);
    CHECK(!has(result.err, "\x1b"));
    CHECK(result.out == "");
  }
}

}  // namespace bubblescope
