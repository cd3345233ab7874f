// The CUDA executor on a test double of the CUDA runtime: on a machine without a GPU, that it
// orders everything as the plan asks, carries the right data, and notices faults.
#include "backend_cuda/cuda/cuda_executor.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "backend_cuda/replay/calibrate.h"
#include "backend_cuda/replay/replay.h"
#include "sim/formats/program_file.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "sim/schedule/outputs.h"
#include "tests/cuda_double/cuda_double.h"
#include "tests/support/costs.h"
#include "tests/support/early.h"
#include "tests/support/effort.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr const char* kSchedules[] = {"gpipe",     "1f1b", "interleaved-1f1b", "zb-h1", "dualpipe",
                                      "dualpipev", "zb-v"};
constexpr Comm kComms[] = {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch};
constexpr Launch kLaunches[] = {Launch::Graph, Launch::Streams};
constexpr milliseconds kLong{20'000};

struct OwnPlan {
  explicit OwnPlan(PostedProgram lowered, std::int64_t hop = 20'000)
      : program(std::move(lowered)),
        costs(simple_costs(
                  {.forward = 60'000, .input_grad = 80'000, .weight_grad = 30'000, .hop = hop}),
              program.schedule.placement, {}),
        plan(make_plan(program, costs)) {}
  OwnPlan(const OwnPlan&) = delete;
  OwnPlan& operator=(const OwnPlan&) = delete;

  PostedProgram program;
  CostModel costs;
  Plan plan;
};

PostedProgram program_of(std::string_view schedule, Comm comm, Shape shape = {4, 8}) {
  return post_messages(*find_schedule(schedule), shape, comm);
}

/// On a machine of its own, of which nothing may be left.
class Session {
 public:
  explicit Session(const Plan& plan, const ExecutorOptions& options = {},
                   const cuda_double::Machine& machine = {}) {
    cuda_double::install(machine);
    executor_ = gpu::make_cuda_executor(plan, options);
  }
  ~Session() {
    executor_.reset();
    CHECK(cuda_double::things_left() == 0);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Executor* operator->() const { return executor_.get(); }

 private:
  std::unique_ptr<Executor> executor_;
};

std::string device_error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const DeviceError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string fact(const MachineFacts& facts, const std::string& name) {
  const auto found = std::find_if(facts.begin(), facts.end(),
                                  [&](const auto& each) { return each.first == name; });
  return found == facts.end() ? "" : found->second;
}

/// Counts what is out of order in a step that has ended, by more than clocks may be apart.
class OrderCheck {
 public:
  OrderCheck(const Plan& plan, const RunTimes& times, Time slack)
      : plan_(plan), times_(times), slack_(slack) {}

  std::size_t faults() {
    for (InstructionId id = 0; id < plan_.instructions.size(); ++id)
      is_action(id) ? check_action(id) : check_transfers(id);
    for (MessageId id = 0; id < plan_.messages.size(); ++id)
      check_lasts(times_.messages[id], plan_.messages[id].duration);
    return faults_;
  }

 private:
  bool is_action(InstructionId id) const {
    return plan_.instructions[id].kind == Instruction::Kind::Action;
  }
  const Span& span(InstructionId id) const { return times_.instructions[id]; }

  void expect(bool holds) { faults_ += holds ? 0U : 1U; }
  void check_order(Time before, Time after) { expect(before <= after + slack_); }
  void check_lasts(const Span& span, Time duration) {
    expect(span.start != kNever && span.length() + slack_ >= duration);
  }

  void check_action(InstructionId id) {
    const Instruction& instruction = plan_.instructions[id];
    check_lasts(span(id), plan_.duration(instruction));
    check_waits(id);
    plan_.action(instruction).for_each_op([&](const Op& op) {
      const auto message = message_to(plan_.schedule().placement, op);
      if (!message)
        return;
      const auto found =
          std::find_if(plan_.messages.begin(), plan_.messages.end(),
                       [&](const PlanMessage& each) { return each.expected == message->output; });
      REQUIRE(found != plan_.messages.end());
      const auto index = static_cast<std::size_t>(found - plan_.messages.begin());
      check_order(times_.messages[index].end, span(id).start);
    });
  }

  /// Receives that are eager begin when the message does, whatever their rank does then.
  void check_transfers(InstructionId id) {
    expect(span(id).start != kNever && span(id).end != kNever);
    if (!plan_.is_eager)
      check_waits(id);
  }

  void check_waits(InstructionId id) { check_comes_after_waits_of(id, span(id).start); }

  /// Another instruction that waits for the start of this one may begin with it, or a bit before
  /// its kernel.
  void check_comes_after_waits_of(InstructionId id, Time time) {
    if (id != plan_.first_of_stream[plan_.stream_of(id)])
      check_order(span(id - 1).end, time);
    for (const Wait& wait : plan_.waits_of(id))
      if (wait.moment == Wait::For::Start)
        check_comes_after_waits_of(wait.instruction, time);
      else
        check_order(span(wait.instruction).end, time);
  }

  const Plan& plan_;
  const RunTimes& times_;
  Time slack_;
  std::size_t faults_ = 0;
};

void check_step(const Plan& plan, Session& session, Time slack = {}) {
  session->start();
  REQUIRE(session->wait(kLong));
  CHECK(session->ended() == plan.instructions.size());
  const RunTimes times = session->times();
  CHECK(OrderCheck(plan, times, slack).faults() == 0);
  Time first = Time::max();
  for (const InstructionId id : plan.instruction_of_action)
    first = std::min(first, times.instructions[id].start);
  CHECK(first == Time::zero());
}

TEST_CASE("CUDA double: every schedule runs in order, with every way to talk") {
  for (const char* schedule : kSchedules)
    for (const Comm comm : kComms)
      for (const Launch launch : kLaunches) {
        CAPTURE(std::string(schedule));
        CAPTURE(to_string(comm));
        CAPTURE(static_cast<int>(launch));
        const OwnPlan own(program_of(schedule, comm));
        Session session(own.plan, {.launch = launch});
        for (int step = 0; step < 2; ++step)
          check_step(own.plan, session);
      }
}

TEST_CASE("CUDA double: a step makes nothing that it might make before") {
  for (const char* schedule : kSchedules)
    for (const Comm comm : kComms) {
      CAPTURE(std::string(schedule));
      CAPTURE(to_string(comm));
      const OwnPlan own(program_of(schedule, comm));
      Session session(own.plan, {.launch = Launch::Streams}, {.gpus = 2});
      const std::size_t before = cuda_double::things_left();
      check_step(own.plan, session, milliseconds(5));
      CHECK(cuda_double::things_left() == before);
    }
}

TEST_CASE("CUDA double: channels of a rank, and of a pair, run in order") {
  for (const Comm comm : {Comm::Stream, Comm::Torch})
    for (const Channels channels : {Channels::PerRank, Channels::PerPair, Channels::PerDirection}) {
      PostedProgram program = program_of("dualpipev", comm);
      program.channels = channels;
      const OwnPlan own(std::move(program));
      if (!own.plan.can_run())
        continue;
      CAPTURE(to_string(comm));
      CAPTURE(to_string(channels));
      Session session(own.plan);
      check_step(own.plan, session);
    }
}

TEST_CASE("CUDA double: the messages of a batch move at once") {
  constexpr std::int64_t kHop = 20'000'000;
  const OwnPlan own(program_of("dualpipe", Comm::Batched, {2, 4}), kHop);
  Session session(own.plan);
  check_step(own.plan, session);
  const RunTimes times = session->times();
  int together = 0;
  for (MessageId id = 1; id < own.plan.messages.size(); ++id) {
    const PlanMessage& before = own.plan.messages[id - 1];
    const PlanMessage& message = own.plan.messages[id];
    if (message.send != before.send || message.receive != before.receive)
      continue;
    ++together;
    CHECK(times.messages[id].start < times.messages[id - 1].end);
    CHECK(times.messages[id - 1].start < times.messages[id].end);
  }
  CHECK(together > 0);
}

TEST_CASE("CUDA double: ranks on two GPUs share one clock") {
  for (const Comm comm : kComms)
    for (const Launch launch : kLaunches) {
      CAPTURE(to_string(comm));
      const OwnPlan own(program_of("dualpipe", comm));
      Session session(own.plan, {.launch = launch}, {.gpus = 2});
      // The clocks are a second apart, and no rank waits so long for another.
      check_step(own.plan, session, milliseconds(5));
      for (const Span& span : session->times().instructions)
        CHECK(span.end < milliseconds(900));
      const MachineFacts facts = session->machine();
      CHECK(facts.front() == std::pair<std::string, std::string>("device", "2 × test double"));
    }
}

TEST_CASE("CUDA double: no more GPUs are used than there are ranks") {
  const OwnPlan own(program_of("1f1b", Comm::Stream, {2, 4}));
  Session session(own.plan, {}, {.gpus = 3, .peers = 2});
  check_step(own.plan, session, milliseconds(5));
  CHECK(session->machine().front().second == "2 × test double");
  const OwnPlan larger(program_of("1f1b", Comm::Stream, {3, 4}));
  cuda_double::install({.gpus = 3, .peers = 2});
  CHECK(contains(device_error_of([&] { gpu::make_cuda_executor(larger.plan, {}); }),
                 "GPU 0 cannot reach the memory of GPU 2"));
}

TEST_CASE("CUDA double: the gate opens before the queues of streams are full") {
  const OwnPlan own(program_of("1f1b", Comm::Batched, {2, 400}));
  Session session(own.plan, {.launch = Launch::Streams});
  check_step(own.plan, session);
  CHECK_FALSE(contains(fact(session->machine(), "launch"), "took too long"));
}

TEST_CASE("CUDA double: steps that took too long to launch are counted, but for warm-ups") {
  const OwnPlan own(program_of("1f1b", Comm::Batched, {2, 8}));
  Session session(own.plan, {.launch = Launch::Streams}, {.launch_takes = milliseconds(50)});
  check_step(own.plan, session);
  CHECK(contains(fact(session->machine(), "launch"), "took too long in 1 of the steps"));
  session->end_warm_up();
  CHECK_FALSE(contains(fact(session->machine(), "launch"), "took too long"));
}

TEST_CASE("CUDA double: an action that hangs is told, and ended by abort") {
  for (const Comm comm : kComms)
    for (const Launch launch : kLaunches) {
      CAPTURE(to_string(comm));
      const OwnPlan own(program_of("1f1b", comm));
      const std::size_t hangs = own.program.schedule.first_action[2] + 3;
      Session session(own.plan,
                      {.launch = launch, .injection = Injection{Injection::Kind::Hang, hangs}});
      const InstructionId id = own.plan.instruction_of_action[hangs];
      const auto give_up = steady_clock::now() + kLong;
      session->start();
      do
        CHECK_FALSE(session->wait(milliseconds(10)));
      while (session->times().instructions[id].start == kNever && steady_clock::now() < give_up);
      CHECK(session->ended() < own.plan.instructions.size());
      const auto begin = steady_clock::now();
      session->abort();
      CHECK(steady_clock::now() - begin < milliseconds(2000));
      const RunTimes times = session->times();
      CHECK(times.instructions[id].start != kNever);
      CHECK(times.instructions[id].end == kNever);
      CHECK(times.instructions[own.plan.instruction_of_action[hangs + 1]].start == kNever);
    }
}

TEST_CASE("CUDA double: the watchdog names what hangs, and replays report medians") {
  const OwnPlan own(program_of("dualpipe", Comm::Batched));
  const std::size_t hangs = own.program.schedule.first_action[2] + 3;
  cuda_double::install({});
  const auto run = [&](const ExecutorOptions& options) {
    const auto executor = gpu::make_cuda_executor(own.plan, options);
    return replay(own.plan, *executor, {.warm_ups = 1, .repeats = 3, .timeout = milliseconds(300)});
  };
  const Replay measured = run({});
  CHECK(measured.step_times.size() == 3);
  CHECK(measured.machine.front().second == "test double");
  const std::string what = device_error_of([&] {
    run({.injection = Injection{Injection::Kind::Hang, hangs}});
  });
  CAPTURE(what);
  CHECK(contains(what, "rank 2: " + to_string(own.program.schedule.actions[hangs]) +
                           " has begun and not ended"));
}

TEST_CASE("CUDA double: an executor that goes ends what hangs") {
  const OwnPlan own(program_of("zb-h1", Comm::Stream));
  Session session(own.plan, {.injection = Injection{Injection::Kind::Hang, 0}});
  session->start();
}

TEST_CASE("CUDA double: an action that fails is named, with CUDA's words") {
  for (const Launch launch : kLaunches) {
    const OwnPlan own(program_of("1f1b", Comm::Batched));
    const std::size_t fails = own.program.schedule.first_action[1];
    Session session(own.plan,
                    {.launch = launch, .injection = Injection{Injection::Kind::Fail, fails}});
    session->start();
    const std::string what = device_error_of([&] { session->wait(kLong); });
    CAPTURE(what);
    CHECK(contains(what, "rank 1 ran " + to_string(own.program.schedule.actions[fails])));
    CHECK(contains(what, "cudaErrorLaunchFailure"));
    CHECK(session->machine().front().second == "test double");
  }
}

TEST_CASE("CUDA double: a step that deadlocks does not end, but by abort") {
  const OwnPlan own(read_program_file(source_file("data/programs/deadlock.csv")).program);
  REQUIRE_FALSE(own.plan.can_run());
  for (const Launch launch : kLaunches) {
    Session session(own.plan, {.launch = launch});
    session->start();
    CHECK_FALSE(session->wait(milliseconds(50)));
    session->abort();
    CHECK(session->ended() < own.plan.instructions.size());
    CHECK(session->times().instructions.size() == own.plan.instructions.size());
  }
}

TEST_CASE("CUDA double: an action that begins before its input is there is found out" *
          doctest::skip(kRefusesRaces)) {
  OwnPlan own(program_of("1f1b", Comm::Stream));
  receive_early(own.plan);
  Session session(own.plan);
  session->start();
  const std::string what = device_error_of([&] { session->wait(kLong); });
  CAPTURE(what);
  CHECK(contains(what, "needs the "));
  CHECK(contains(what, "and found nothing"));
}

TEST_CASE("CUDA double: a message that carries another output is found out") {
  OwnPlan own(program_of("1f1b", Comm::Batched));
  own.plan.messages[0].sent = own.plan.messages[1].sent;
  Session session(own.plan);
  session->start();
  const std::string what = device_error_of([&] { session->wait(kLong); });
  CAPTURE(what);
  CHECK(contains(what, "needs the "));
}

TEST_CASE("CUDA double: what is missing is told in one line") {
  const OwnPlan own(program_of("1f1b", Comm::Ideal, {4, 1000}));
  const auto what = [&](const cuda_double::Machine& machine) {
    cuda_double::install(machine);
    const std::string said =
        device_error_of([&] { gpu::make_cuda_executor(own.plan, ExecutorOptions{}); });
    CHECK(cuda_double::things_left() == 0);
    return said;
  };
  CHECK(contains(what({.found = cudaErrorInsufficientDriver, .driver = 0}),
                 "no CUDA driver is installed (cudaErrorInsufficientDriver: "));
  CHECK(contains(what({.found = cudaErrorInsufficientDriver, .driver = 11040}),
                 "the CUDA driver, for CUDA 11.4, is too old"));
  CHECK(contains(what({.found = cudaErrorNoDevice}), "there is no GPU (cudaErrorNoDevice: "));
  const std::size_t stamps = gpu::Step::stamps(own.plan);
  CHECK(contains(what({.memory = 100'000}),
                 fmt::format("no memory for {} bytes of stamps: ", 16 * stamps)));
}

TEST_CASE("CUDA double: the machine is told, the device first") {
  const OwnPlan own(program_of("1f1b", Comm::Stream));
  const Session session(own.plan);
  const MachineFacts facts = session->machine();
  CHECK(facts.front() == std::pair<std::string, std::string>("device", "test double"));
  CHECK(fact(facts, "timer") == "%globaltimer, 1 ns");
  CHECK(fact(facts, "launch") == "one CUDA graph");
  CHECK(fact(facts, "streams") == "11");  // the root, 4 ranks, 6 channels between neighbours
}

TEST_CASE("CUDA double: ranks have SMs of their own") {
  const OwnPlan own(program_of("1f1b", Comm::Stream));
  const Session session(own.plan, {.workload = Workload::Tensors}, {.gpus = 2, .partitions = 4});
  CHECK(fact(session->machine(), "partitions") == "8 SMs for each rank");
}

TEST_CASE("CUDA double: all benchmarks of a calibration have the same partitions") {
  Calibration calibration{
      .ranks = 4,
      .options = {.workload = Workload::Tensors,
                  .shape = {.tokens = 3, .hidden = 8, .inner = 16, .blocks = 2}},
      .chunks = {1, 2},
      .repeats = 1};
  cuda_double::install({.partitions = 4});
  const Profile profile = calibrate(gpu::make_cuda_executor, calibration);
  CHECK(fact(profile.machine, "partitions") == "4 SMs for each rank");
  CHECK(cuda_double::things_left() == 0);

  int made = 0;
  const ExecutorMaker loses = [&](const Plan& plan, ExecutorOptions options) {
    options.partitions = ++made < 3;
    return gpu::make_cuda_executor(plan, options);
  };
  CHECK(contains(device_error_of([&] { calibrate(loses, calibration); }),
                 "4 SMs for each rank then, no partitions of the SMs now"));
  CHECK(cuda_double::things_left() == 0);
}

TEST_CASE("CUDA double: where SMs cannot be partitioned, ranks share them, and that is told") {
  const OwnPlan own(program_of("1f1b", Comm::Stream));
  const Session session(own.plan, {.workload = Workload::Tensors});
  CHECK(fact(session->machine(), "partitions") ==
        "none, ranks share all SMs: the driver has no cuDeviceGet");
}

}  // namespace
}  // namespace bubblescope
