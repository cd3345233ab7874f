// Plans and their replay on the host: the same times as the simulator, the same gradients as an
// unpipelined run, and faults that are noticed.
#include "backend_cuda/replay/replay.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "analysis/figures/report.h"
#include "backend_cuda/host/host_executor.h"
#include "sim/engine/simulate.h"
#include "sim/formats/program_file.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "sim/search/automatic.h"
#include "tests/support/costs.h"
#include "tests/support/effort.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;

constexpr Comm kComms[] = {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch};
constexpr Channels kChannels[] = {Channels::PerRank, Channels::PerPair, Channels::PerDirection};

/// A program with all ways to talk, each with all its channels that can run.
std::vector<PostedProgram> lowered(const Schedule& schedule) {
  std::vector<PostedProgram> programs;
  for (const Comm comm : kComms) {
    PostedProgram program = post_messages(schedule, comm);
    if (!has_channels(comm)) {
      programs.push_back(std::move(program));
      continue;
    }
    for (const Channels channels : kChannels) {
      program.channels = channels;
      programs.push_back(program);
    }
  }
  return programs;
}

Schedule schedule_of(const CatalogueEntry& entry, Shape shape) {
  if (entry.automatic == nullptr)
    return make_schedule(entry, shape);
  const CostModel costs(simple_costs({}), entry.automatic->placement(shape.ranks), {});
  return make_automatic(entry, shape, costs, {}).schedule;
}

/// Every schedule of the catalogue that fits, at a few shapes.
std::vector<Schedule> all_schedules(const std::vector<int>& ranks) {
  std::vector<Schedule> schedules;
  for (const CatalogueEntry& entry : catalogue())
    for (const int p : ranks) {
      const Shape shape{.ranks = p, .microbatches = 3 * p};
      const Shape even{.ranks = p, .microbatches = 2 * p};
      if (!find_misfit(entry, shape))
        schedules.push_back(schedule_of(entry, shape));
      else if (!find_misfit(entry, even))
        schedules.push_back(schedule_of(entry, even));
    }
  return schedules;
}

std::string name_of(const PostedProgram& program) {
  return fmt::format("{} p={} m={} {} {}", program.schedule.name, program.schedule.placement.ranks,
                     program.schedule.microbatches, to_string(program.comm),
                     to_string(program.channels));
}

Replay run_on_host(const Plan& plan, const ExecutorOptions& options = {},
                   const ReplayOptions& replay_options = {}) {
  const auto executor = make_host_executor(plan, options);
  return replay(plan, *executor, replay_options);
}

/// What is said when the replay fails, and how far it came.
struct Failure {
  std::string what;
  RunTimes times;
};
Failure failure_of(const Plan& plan, const ExecutorOptions& options,
                   const ReplayOptions& replay_options) {
  try {
    run_on_host(plan, options, replay_options);
  } catch (const ReplayFault& fault) {
    return {fault.what(), fault.times()};
  }
  FAIL("the replay ended well");
  return {};
}

/// The replay on the virtual clock has the spans that the simulator predicts, each to the
/// nanosecond. False where the program deadlocks, which both have to find.
bool check_against_simulator(PostedProgram program, const CostSource& costs) {
  CAPTURE(name_of(program));
  const CostModel model(costs, program.schedule.placement, {});
  const Plan plan = make_plan(program, model);
  std::optional<DependencyGraph> graph;
  const std::string deadlock = error_of([&] { graph = build_graph(program, model); });
  REQUIRE_MESSAGE(plan.can_run() == deadlock.empty(), deadlock);
  if (!graph)
    return false;
  const Replay measured = run_on_host(plan);
  const Timeline predicted = simulate(*graph);
  const Timeline timeline = to_timeline(*graph, plan, measured.times, "replayed");
  REQUIRE(timeline.spans.size() == predicted.spans.size());
  // The simulator's clock begins with the step, which may come before the first action.
  Time first = Time::max();
  for (NodeId node = 0; node < graph->size(); ++node)
    if (!graph->is_message(node))
      first = std::min(first, predicted.spans[node].start);
  std::size_t differing = 0;
  for (NodeId node = 0; node < graph->size(); ++node) {
    const Span expected{predicted.spans[node].start - first, predicted.spans[node].end - first};
    differing += timeline.spans[node] == expected ? 0U : 1U;
  }
  CHECK(differing == 0);
  return true;
}

TEST_CASE("the virtual clock agrees with the simulator for every schedule and lowering") {
  const CostSource costs =
      simple_costs({.forward = 1000, .input_grad = 1300, .weight_grad = 700, .hop = 170});
  for (const Schedule& schedule : all_schedules({2, 4, 5}))
    for (PostedProgram& program : lowered(schedule))
      check_against_simulator(std::move(program), costs);
}

TEST_CASE("the virtual clock agrees with the simulator for random schedules and costs") {
  const int rounds = kSanitized ? 30 : 300;
  int deadlocks = 0;
  for (int seed = 0; seed < rounds; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(static_cast<std::uint64_t>(seed));
    const Schedule schedule = random_schedule(engine);
    const CostSource costs = random_costs(engine, schedule.placement);
    for (PostedProgram& program : lowered(schedule))
      deadlocks += check_against_simulator(std::move(program), costs) ? 0 : 1;
  }
  CHECK(deadlocks > 0);
}

TEST_CASE("the batches of DualPipe's and DualPipeV's authors are replayed to the nanosecond") {
  for (const char* name : {"dualpipe", "dualpipev"}) {
    const PostedProgram program =
        post_messages(*find_schedule(name), {.ranks = 4, .microbatches = 10}, Comm::Batched);
    CHECK(check_against_simulator(program, simple_costs({.forward = 50, .hop = 7})));
  }
}

TEST_CASE("the stream of each rank's actions has as many activation slots as activations live") {
  for (const Schedule& schedule : all_schedules({4})) {
    CAPTURE(schedule.name);
    const PostedProgram program = post_messages(schedule, Comm::Stream);
    const CostModel costs = free_costs(schedule.placement);
    const Plan plan = make_plan(program, costs);
    const DependencyGraph graph = build_graph(program, costs);
    const Report figures = report(graph, simulate(graph));
    for (const RankReport& rank : figures.per_rank)
      CHECK(static_cast<int>(plan.activation_slots[static_cast<std::size_t>(rank.rank)]) ==
            rank.peak_live_activations);
  }
}

TEST_CASE("every schedule computes the loss and the gradients of an unpipelined run") {
  const std::vector<int> ranks = kSanitized ? std::vector{2, 4} : std::vector{1, 2, 3, 4, 8};
  for (const Schedule& schedule : all_schedules(ranks))
    for (const Comm comm : kComms) {
      const PostedProgram program = post_messages(schedule, comm);
      CAPTURE(name_of(program));
      const CostModel costs(simple_costs({}), schedule.placement, {});
      const Plan plan = make_plan(program, costs);
      const Replay replay = run_on_host(
          plan, {.workload = Workload::Tensors, .shape = {.tokens = 3, .hidden = 4, .inner = 5}});
      REQUIRE(replay.parity);
      CHECK(replay.parity->holds());
      CHECK(replay.parity->loss > 0);
    }
}

TEST_CASE("gradients come out of several blocks and repeated steps alike") {
  const PostedProgram program =
      post_messages(make_schedule(*find_schedule("zb-h1"), {4, 8}), Comm::Stream);
  const CostModel costs(simple_costs({}), program.schedule.placement, {});
  const Plan plan = make_plan(program, costs);
  const ExecutorOptions options{.workload = Workload::Tensors, .shape = {.blocks = 3}};
  const Replay once = run_on_host(plan, options);
  const Replay again = run_on_host(plan, options, {.warm_ups = 1, .repeats = 3});
  CHECK(once.parity->holds());
  CHECK(again.parity->holds());
  CHECK(once.parity->loss == again.parity->loss);
  CHECK(again.step_times.size() == 3);
  CHECK(again.noise() == 0);
}

/// A plan whose costs are its own.
struct OwnPlan {
  explicit OwnPlan(PostedProgram program, const CostSource& costs = simple_costs({}))
      : model(costs, program.schedule.placement, {}), plan(make_plan(std::move(program), model)) {}

  CostModel model;
  Plan plan;
};

constexpr ExecutorOptions kTensors{.workload = Workload::Tensors,
                                   .shape = {.tokens = 3, .hidden = 4, .inner = 5}};

/// GPipe with 2 ranks, whose second posts all its receives first, in the order given.
PostedProgram with_receives(const std::vector<MicroBatch>& order) {
  PostedProgram program = post_messages(
      make_schedule(*find_schedule("gpipe"), {2, static_cast<int>(order.size())}), Comm::Torch);
  Transfers changed;
  const std::size_t first_of_1 = slot_before(1, program.schedule.first_action[1]);
  for (std::size_t slot = 0; slot < program.transfers.slots(); ++slot) {
    for (std::size_t i = 0; slot == first_of_1 && i < order.size(); ++i)
      changed.post({Op(OpKind::Forward, 0, order[i]), 0, false});
    for (const Transfer& transfer : program.transfers.slot(slot))
      if (transfer.is_send || transfer.output.kind() != OpKind::Forward)
        changed.post(transfer);
    changed.end_slot();
  }
  program.transfers = changed;
  return program;
}

TEST_CASE("two messages swapped on their way are noticed by tokens and by gradients") {
  const OwnPlan right(with_receives({0, 1, 2}));
  CHECK(run_on_host(right.plan, kTensors).parity->holds());
  const OwnPlan swapped(with_receives({1, 0, 2}));
  CHECK(failure_of(swapped.plan, {}, {}).what ==
        "rank 1: 1F0 needs the output of 0F0 and finds that of 0F1");
  const Replay replay = run_on_host(swapped.plan, kTensors);
  CHECK_FALSE(replay.parity->holds());
  CHECK(replay.parity->gradient_error > 1e-3);
}

TEST_CASE("an op that is done twice in place of another is noticed") {
  OwnPlan own(post_messages(make_schedule(*find_schedule("zb-h1"), {4, 8}), Comm::Ideal));
  Schedule& schedule = own.plan.posted.schedule;
  std::vector<std::size_t> weights;  // of rank 3
  for (std::size_t i = schedule.first_action[3]; i < schedule.first_action[4]; ++i)
    if (schedule.actions[i].op().kind() == OpKind::BackwardWeight)
      weights.push_back(i);
  REQUIRE(weights.size() > 1);
  schedule.actions[weights[1]] = schedule.actions[weights[0]];
  CHECK(failure_of(own.plan, kTensors, {}).what ==
        "rank 3: 3W0 finds its activations' slot in use or empty");
}

TEST_CASE("activations that overwrite each other are noticed") {
  OwnPlan own(post_messages(make_schedule(*find_schedule("1f1b"), {3, 6}), Comm::Stream));
  CHECK(run_on_host(own.plan, kTensors).parity->holds());
  own.plan.activation_slot[1] = own.plan.activation_slot[0];  // of 0F1 and 0F0, both live
  CHECK(failure_of(own.plan, kTensors, {}).what ==
        "rank 0: 0F1 finds its activations' slot in use or empty");
}

TEST_CASE("a deadlock ends by the watchdog, which names the circle") {
  const OwnPlan own(read_program_file(source_file("data/programs/deadlock.csv")).program);
  CHECK_FALSE(own.plan.can_run());
  const auto begin = std::chrono::steady_clock::now();
  const Failure failure = failure_of(own.plan, {}, {.timeout = milliseconds(200)});
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
  CAPTURE(failure.what);
  CHECK(failure.what.find("ranks wait for one another in a circle:") != std::string::npos);
  CHECK(failure.what.find("which stands behind") != std::string::npos);
}

TEST_CASE("an action that does not end is named, with those that wait for it") {
  const OwnPlan own(post_messages(make_schedule(*find_schedule("1f1b"), {4, 8}), Comm::Stream));
  const auto second = own.plan.posted.schedule.first_action[2] + 3;
  const Failure failure =
      failure_of(own.plan, {.injection = Injection{Injection::Kind::Hang, second}},
                 {.timeout = milliseconds(200)});
  const std::string name = to_string(own.plan.posted.schedule.actions[second]);
  CAPTURE(failure.what);
  CHECK(failure.what.find("rank 2: " + name + " has begun and not ended") != std::string::npos);
  const auto& spans = failure.times.instructions;
  CHECK(spans[own.plan.instruction_of_action[second]].start != kNever);
  CHECK(spans[own.plan.instruction_of_action[second]].end == kNever);
  CHECK(
      std::any_of(spans.begin(), spans.end(), [](const Span& span) { return span.end != kNever; }));
}

/// A step that ends once it was waited for twice; the process is stopped in the first wait.
class StoppedExecutor : public Executor {
 public:
  explicit StoppedExecutor(const Plan& plan) : plan_(plan) {}
  MachineFacts machine() const override { return {}; }
  void start() override {}
  bool wait(milliseconds) override {
    if (waits_++ > 0)
      return true;
    std::this_thread::sleep_for(milliseconds(700));
    return false;
  }
  std::size_t ended() const override { return 0; }
  void abort() noexcept override {}
  RunTimes times() const override {
    return {.instructions = std::vector<Span>(plan_.instructions.size()),
            .messages = std::vector<Span>(plan_.messages.size())};
  }
  std::optional<Parity> parity() override { return std::nullopt; }

 private:
  const Plan& plan_;
  int waits_ = 0;
};

TEST_CASE("time in which the process was stopped does not count to the timeout") {
  const OwnPlan own(post_messages(make_schedule(*find_schedule("1f1b"), {2, 2}), Comm::Ideal));
  StoppedExecutor executor(own.plan);
  CHECK_NOTHROW(replay(own.plan, executor, {.repeats = 1, .timeout = milliseconds(300)}));
}

TEST_CASE("what a stalled step has not begun is not said to run") {
  const OwnPlan own(post_messages(make_schedule(*find_schedule("1f1b"), {2, 2}), Comm::Stream));
  const Span never{kNever, kNever};
  RunTimes times{.instructions = std::vector(own.plan.instructions.size(), never),
                 .messages = std::vector(own.plan.messages.size(), never)};
  CHECK(describe_stall(own.plan, times) == "  rank 0: 0F0 could begin, and has not");
  times.instructions[own.plan.instruction_of_action[0]].start = Time::zero();
  CHECK(describe_stall(own.plan, times) == "  rank 0: 0F0 has begun and not ended");
}

TEST_CASE("an action that fails ends the step and is named") {
  const OwnPlan own(
      post_messages(make_schedule(*find_schedule("dualpipe"), {4, 8}), Comm::Batched));
  const Failure failure =
      failure_of(own.plan, {.injection = Injection{Injection::Kind::Fail, 5}}, {});
  CHECK(failure.what.find("rank 0: ") == 0);
  CHECK(failure.what.find("failed, as it was asked to") != std::string::npos);
}

TEST_CASE("a step that is interrupted ends at once") {
  const OwnPlan own(post_messages(make_schedule(*find_schedule("1f1b"), {2, 4}), Comm::Ideal));
  const std::atomic<bool> interrupted = true;
  const Failure failure = failure_of(own.plan, {.injection = Injection{Injection::Kind::Hang, 0}},
                                     {.interrupted = &interrupted});
  CHECK(failure.what == "interrupted");
}

TEST_CASE("a matrix product that outlives the timeout is ended, and its action named") {
  const OwnPlan own(post_messages(make_schedule(*find_schedule("1f1b"), {1, 1}), Comm::Ideal));
  ExecutorOptions options = kTensors;  // two products, of seconds each
  options.shape = {.tokens = 8192, .hidden = 512, .inner = 4096, .blocks = 1};
  const Failure failure = failure_of(own.plan, options, {.timeout = milliseconds(100)});
  CAPTURE(failure.what);
  CHECK(failure.what.find("rank 0: 0F0 has begun and not ended") != std::string::npos);
}

TEST_CASE("in real time an action lasts at least as long as its costs say, and order holds") {
  const CostSource costs = simple_costs(
      {.forward = 2'000'000, .input_grad = 2'000'000, .weight_grad = 1'000'000, .hop = 500'000});
  for (const Comm comm : kComms) {
    const OwnPlan own(post_messages(make_schedule(*find_schedule("1f1b"), {2, 3}), comm), costs);
    CAPTURE(name_of(own.plan.posted));
    const Replay replay = run_on_host(own.plan, {.real_time = true}, {.repeats = 2});
    const DependencyGraph graph = build_graph(own.plan.posted, own.model);
    const Timeline measured = to_timeline(graph, own.plan, replay.times, "real time");
    for (NodeId node = 0; node < graph.size(); ++node) {
      CHECK(measured.spans[node].length() >= graph.duration()[node]);
      for (EdgeId edge = graph.first_edge()[node]; edge < graph.first_edge()[node + 1]; ++edge)
        CHECK(measured.spans[node].start >=
              measured.spans[graph.producer()[edge]].end + graph.lag()[edge]);
    }
    CHECK(replay.step_time() >= report(graph, simulate(graph)).step_time);
    CHECK(replay.noise() > 0);
  }
}

TEST_CASE("a send without a receive is refused") {
  PostedProgram program =
      post_messages(make_schedule(*find_schedule("1f1b"), {2, 1}), Comm::Stream);
  Transfers without;
  for (std::size_t slot = 0; slot < program.transfers.slots(); ++slot) {
    for (const Transfer& transfer : program.transfers.slot(slot))
      if (transfer.is_send || transfer.output.kind() != OpKind::Forward)
        without.post(transfer);
    without.end_slot();
  }
  program.transfers = without;
  const CostModel costs = free_costs(program.schedule.placement);
  CHECK(error_of([&] { make_plan(program, costs); }) ==
        "schedule 1f1b: rank 0 sends the output of 0F0 to rank 1, where nothing receives it");
}

}  // namespace
}  // namespace bubblescope
