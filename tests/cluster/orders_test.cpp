// Messages between processes that replay a plan, sound and hostile.
#include "backend_cuda/cluster/orders.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "backend_cuda/cluster/loss.h"
#include "backend_cuda/cluster/other.h"
#include "tests/cluster/plan_of_two.h"

namespace bubblescope {
namespace {

using std::chrono::days;

constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
/// Numbers that are out of range nearly everywhere.
constexpr std::int64_t kExtremes[] = {kLeast,      kLeast + 1,  -2,          -1,        0,    1,
                                      0x7fff'ffff, 0x8000'0000, 0xffff'ffff, kMost - 1, kMost};

Time steady_now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

/// All that is on a rank ran now.
RankTimes times_of_now(const Plan& plan, Rank rank) {
  const Idle executor(plan);
  RankTimes times = times_of(plan, rank, executor);
  for (std::vector<Span>* spans : {&times.instructions, &times.messages})
    for (Span& span : *spans)
      span = {steady_now(), steady_now() + Time(1'000)};
  return times;
}

/// A message of each kind.
std::vector<std::string> good_messages(const Plan& plan) {
  const RankTimes times = times_of_now(plan, 1);
  return {begin(Order::Ready).take(),
          begin(Order::Open).integer(steady_now().count()).take(),
          write_progress({.ended = 3, .running = first_action(plan, 1)}),
          write_progress({}),
          write_times(Order::Done, times),
          write_times(Order::Partial, times),
          write_all_times({.instructions = std::vector<Span>(plan.instructions.size()),
                           .messages = std::vector<Span>(plan.messages.size())}),
          write_parity({.loss = 1, .gradient_error = 1e-3, .worst_tensor = "stage 0"})};
}

/// A good message that is cut, is longer or has another value at some place; or noise.
std::string hostile_message(std::mt19937_64& random, const std::vector<std::string>& good) {
  std::string bytes = good[random() % good.size()];
  switch (random() % 5) {
    case 0:
      bytes.resize(random() % (bytes.size() + 1));
      break;
    case 1:
      bytes.append(1 + random() % 20, static_cast<char>(random()));
      break;
    case 2:
      for (char& byte : bytes)
        byte = static_cast<char>(random());
      break;
    default:
      for (std::size_t changes = 1 + random() % 3; changes > 0 && bytes.size() >= 9; --changes) {
        const std::size_t field = 1 + 8 * (random() % ((bytes.size() - 1) / 8));
        const std::int64_t value = random() % 2 == 0
                                       ? kExtremes[random() % std::size(kExtremes)]
                                       : static_cast<std::int64_t>(random() >> (random() % 64));
        bytes.replace(field, 8, Packer().integer(value).take());
      }
  }
  return bytes;
}

bool is_refused(const std::string& message, const Plan& plan, Turn turn) {
  Other other;
  try {
    other.take(message, plan, 1, turn);
    return false;
  } catch (const BadFrame&) {
    return true;
  }
}

}  // namespace

TEST_CASE("progress names an action of the sender's rank, and no more than there is") {
  const PlanOfTwo two;
  const Plan& plan = two.plan;
  const InstructionId own = first_action(plan, 1);
  const auto read = [&](std::int64_t ended, std::int64_t running) {
    const std::string bytes = Packer().integer(ended).integer(running).take();
    Unpacker message(bytes);
    return read_progress(message, plan, 1);
  };
  CHECK(read(3, own).running == own);
  CHECK(read(3, own).ended == 3);
  CHECK(!read(0, -1).running);
  const auto count = static_cast<std::int64_t>(plan.instructions.size());
  for (const std::int64_t bad :
       {std::int64_t{-2}, count, std::int64_t{0x7fff'ffff}, std::int64_t{1} << 32, kMost, kLeast})
    CHECK_THROWS_AS(read(0, bad), BadFrame);
  for (const std::int64_t bad : {std::int64_t{-1}, count + 1, kMost})
    CHECK_THROWS_AS(read(bad, own), BadFrame);
  for (InstructionId id = 0; id < plan.instructions.size(); ++id)
    if (plan.rank_of(id) != 1 || plan.instructions[id].kind != Instruction::Kind::Action)
      CHECK_THROWS_AS(read(0, id), BadFrame);
}

TEST_CASE("times are moments near now, and what is done has ended") {
  const PlanOfTwo two;
  const Plan& plan = two.plan;
  const RankTimes good = times_of_now(plan, 1);
  CHECK(!is_refused(write_times(Order::Done, good), plan, Turn::Run));
  for (const Time far : {steady_now() + days(31), steady_now() - days(31), Time(kMost)}) {
    RankTimes bad = good;
    bad.instructions.back().end = far;
    CHECK(is_refused(write_times(Order::Done, bad), plan, Turn::Run));
    bad = good;
    bad.messages.front().start = far;
    CHECK(is_refused(write_times(Order::Partial, bad), plan, Turn::Lost));
  }
  for (const Time wrong : {Time(-1), Time(kMost)}) {
    RankTimes bad = good;
    bad.uncertainty = wrong;
    CHECK(is_refused(write_times(Order::Done, bad), plan, Turn::Run));
  }
  RankTimes part = good;
  part.instructions.back().end = kNever;
  CHECK(is_refused(write_times(Order::Done, part), plan, Turn::Run));
  const std::string partial = write_times(Order::Partial, part);
  CHECK(!is_refused(partial, plan, Turn::Lost));
  CHECK(is_refused(partial + "x", plan, Turn::Lost));
  CHECK(is_refused(partial, plan, Turn::Run));
}

TEST_CASE("messages to the leader come in turn, and each once") {
  const PlanOfTwo two;
  const Plan& plan = two.plan;
  const std::string ready = begin(Order::Ready).take();
  const std::string done = write_times(Order::Done, times_of_now(plan, 1));
  const std::string compared = write_parity({});
  const auto in_turn = [&](Turn ready_in, Turn done_in, Turn compared_in) {
    CHECK(is_refused(ready, plan, ready_in) == (ready_in != Turn::Launch));
    CHECK(is_refused(done, plan, done_in) == (done_in != Turn::Run));
    CHECK(is_refused(compared, plan, compared_in) == (compared_in != Turn::Compare));
  };
  in_turn(Turn::Launch, Turn::Run, Turn::Compare);
  in_turn(Turn::Run, Turn::Compare, Turn::Launch);
  in_turn(Turn::Compare, Turn::Launch, Turn::Run);
  Other other;
  other.take(ready, plan, 1, Turn::Launch);
  CHECK_THROWS_AS(other.take(ready, plan, 1, Turn::Launch), BadFrame);
  other.take(ready, plan, 1, Turn::Lost);
}

TEST_CASE("an error of gradients is a number, of which no other one hides the largest") {
  const PlanOfTwo two;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (const double error : {-1.0, kNan, -std::numeric_limits<double>::infinity()})
    CHECK(is_refused(write_parity({.gradient_error = error}), two.plan, Turn::Compare));
  const std::string infinite =
      write_parity({.gradient_error = std::numeric_limits<double>::infinity()});
  CHECK(!is_refused(infinite, two.plan, Turn::Compare));
}

TEST_CASE("texts of others may be shown") {
  const std::string parity = write_parity({.worst_tensor = "W\x1b[2J\x07\xff"}).substr(1);
  Unpacker message(parity);
  CHECK(read_parity(message).worst_tensor == "W?[2J??");
  const MachineFacts facts = read_facts(write_facts({{"device", "\x1b]0;x\x07"}, {"a\nb", "c"}}));
  CHECK(facts == MachineFacts{{"device", "?]0;x?"}, {"a\nb", "c"}});
  CHECK_THROWS_AS(read_facts(""), BadFrame);
  CHECK_THROWS_AS(read_facts(Packer().integer(kMost).take()), BadFrame);
  CHECK_THROWS_AS(read_facts(write_facts({{"device", "x"}}) + "y"), BadFrame);
}

TEST_CASE("a loss is one of a process of the job, with a code of a failure") {
  const auto read = [](std::int64_t rank, const std::string& what, std::int64_t code) {
    const std::string bytes = Packer().integer(rank).text(what).integer(code).take();
    Unpacker payload(bytes);
    return read_loss(payload, 4);
  };
  for (const int code : {0, 2, 3, 4})
    CHECK(read(3, "it fails", code).code == code);
  for (const std::int64_t code :
       {std::int64_t{1}, std::int64_t{5}, std::int64_t{200}, std::int64_t{256}, std::int64_t{-1},
        (std::int64_t{1} << 32) + 1, (std::int64_t{1} << 32) + 4, kMost, kLeast})
    CHECK_THROWS_AS(read(3, "it fails", code), BadFrame);
  for (const std::int64_t rank : {std::int64_t{-1}, std::int64_t{4}, std::int64_t{1} << 32, kLeast})
    CHECK_THROWS_AS(read(rank, "it fails", 4), BadFrame);
  CHECK(read(1, "a\x1b]0;title\x07\n\x1b[2J\xc2\x9b", 4).what == "a?]0;title?\n?[2J?");
  const std::string long_words(2 * kLongestReason, 'x');
  CHECK(read(1, long_words, 4).what == long_words.substr(0, kLongestReason) + "…");
}

TEST_CASE("hostile messages are refused, or say nothing that does not fit the plan") {
  constexpr std::uint64_t kSeed = 20'261'130;
  MESSAGE("seed ", kSeed);
  const PlanOfTwo two;
  const Plan& plan = two.plan;
  const std::vector<std::string> good = good_messages(plan);
  std::mt19937_64 random(kSeed);
  int refused = 0;
  for (int i = 0; i < 50'000; ++i) {
    const std::string message = hostile_message(random, good);
    Other other;
    try {
      other.take(message, plan, 1, static_cast<Turn>(random() % 4));
    } catch (const BadFrame&) {
      ++refused;
    }
    if (other.running)
      REQUIRE(plan.rank_of(*other.running) == 1);
    REQUIRE(other.ended <= plan.instructions.size());
    if (!other.times)
      continue;
    TimesOfAll all(plan);
    all.add(*other.times, 1, ClockLine({}));
    for (const Span& span : all.merged().instructions)
      REQUIRE((span.end == kNever || std::chrono::abs(span.end - span.start) < days(61)));
  }
  CHECK(refused > 40'000);
  CHECK(refused < 50'000);
  for (int i = 0; i < 50'000; ++i) {
    const std::string bytes = hostile_message(random, good);
    Unpacker message(bytes);
    try {
      if (order_of(message) == Order::Progress)
        read_progress(message, plan, 0);
      else
        read_all_times(message, plan);
    } catch (const BadFrame&) {
    }
  }
}

}  // namespace bubblescope
