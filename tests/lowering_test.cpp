// Programs: which messages are posted where, that they can neither cross nor deadlock, and what
// they cost.
#include "sim/program/lowering.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/figures/report.h"
#include "sim/engine/simulate.h"
#include "sim/formats/program_json.h"
#include "sim/program/deadlock.h"
#include "sim/program/posting.h"
#include "sim/program/program_check.h"
#include "sim/schedule/catalogue.h"
#include "sim/schedule/outputs.h"
#include "tests/support/digest.h"
#include "tests/support/effort.h"
#include "tests/support/generated.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

constexpr Comm kSpelledOut[] = {Comm::Stream, Comm::Batched, Comm::Torch};

DependencyGraph graph_with(const Schedule& schedule, const CostSource& costs, Comm comm) {
  const CostModel model(costs, schedule.placement, {});
  return build_graph(post_messages(schedule, comm), model);
}

Time step_time(const DependencyGraph& graph) {
  return report(graph, simulate(graph)).step_time;
}

/// Transfers with their slots, to be changed and put together again.
using Slots = std::vector<std::vector<Transfer>>;
Slots slots_of(const PostedProgram& program) {
  Slots slots;
  for (std::size_t slot = 0; slot < program.transfers.slots(); ++slot) {
    const auto transfers = program.transfers.slot(slot);
    slots.emplace_back(transfers.begin(), transfers.end());
  }
  return slots;
}
PostedProgram with_slots(PostedProgram program, const Slots& slots) {
  program.transfers = {};
  for (const auto& slot : slots) {
    for (const Transfer& transfer : slot)
      program.comm == Comm::Batched ? program.transfers.post_in_batch(transfer)
                                    : program.transfers.post(transfer);
    program.transfers.end_slot();
  }
  return program;
}

/// A slot that posts something.
std::size_t draw_used(std::mt19937_64& engine, const Slots& slots) {
  std::vector<std::size_t> used;
  for (std::size_t slot = 0; slot < slots.size(); ++slot)
    if (!slots[slot].empty())
      used.push_back(slot);
  return used[draw_index(engine, used.size())];
}

/// What one rank posts, in the order in which it does.
std::vector<Transfer> posted_by(const PostedProgram& program, Rank rank) {
  std::vector<Transfer> posted;
  const auto first = program.schedule.first_action[static_cast<std::size_t>(rank)];
  const auto last = program.schedule.first_action[static_cast<std::size_t>(rank) + 1];
  for (std::size_t action = first; action <= last; ++action) {
    const auto slot = program.transfers.slot(slot_before(rank, action));
    const auto begin = static_cast<std::ptrdiff_t>(posted.size());
    posted.insert(posted.end(), slot.begin(), slot.end());
    if (program.comm == Comm::Stream)  // sends when an action ends, receives when the next starts
      std::stable_partition(posted.begin() + begin, posted.end(),
                            [](const Transfer& each) { return each.is_send; });
  }
  return posted;
}

bool share_channel(const PostedProgram& program, const Transfer& a, const Transfer& b) {
  return program.channels == Channels::PerRank ||
         (a.peer == b.peer && (program.channels == Channels::PerPair || a.is_send == b.is_send));
}

/// [action] when it starts and ends, by the words of sim/program/program.h alone: every time is put
/// off until nothing has to be.
std::vector<Span> naive_times(const PostedProgram& program, const CostModel& costs) {
  const Schedule& schedule = program.schedule;
  const OutputNumbers number(schedule.placement, schedule.microbatches);
  struct Posts {
    std::size_t sender = 0;  // the action after the slot, counted over all ranks
    std::size_t receiver = 0;
    Rank from = 0;
    Rank to = 0;
    Span span{};
    bool is_used = false;
    std::vector<std::size_t> before = {};  // messages before it on the channels of its two ends
  };
  std::vector<Posts> messages(number.size());
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    for (std::size_t action = schedule.first_action[static_cast<std::size_t>(rank)];
         action <= schedule.first_action[static_cast<std::size_t>(rank) + 1]; ++action)
      for (const Transfer& transfer : program.transfers.slot(slot_before(rank, action))) {
        Posts& posts = messages[number[transfer.output]];
        posts.is_used = true;
        (transfer.is_send ? posts.sender : posts.receiver) = action;
        (transfer.is_send ? posts.from : posts.to) = rank;
      }
    const std::vector<Transfer> posted = posted_by(program, rank);
    for (std::size_t i = 0; i < posted.size() && program.comm != Comm::Batched; ++i)
      for (std::size_t j = 0; j < i; ++j)
        if (share_channel(program, posted[i], posted[j]))
          messages[number[posted[i].output]].before.push_back(number[posted[j].output]);
  }
  std::vector<Span> times(schedule.actions.size());
  const auto first = [&](Rank rank) {
    return schedule.first_action[static_cast<std::size_t>(rank)];
  };
  const auto end_before = [&](Rank rank, std::size_t action) {
    return action == first(rank) ? Time::zero() : times[action - 1].end;
  };
  bool changed = true;
  const auto put_off = [&](Span& span, Time start, Time length) {
    changed = changed || start != span.start || start + length != span.end;
    span = {start, start + length};
  };
  while (std::exchange(changed, false)) {
    for (std::size_t output = 0; output < messages.size(); ++output) {
      Posts& posts = messages[output];
      if (!posts.is_used)
        continue;
      const bool is_first = posts.receiver == first(posts.to);
      Time start = program.comm != Comm::Stream ? end_before(posts.to, posts.receiver)
                   : is_first                   ? Time::zero()
                                                : times[posts.receiver].start;
      start = std::max(start, end_before(posts.from, posts.sender));
      for (const std::size_t before : posts.before)
        start = std::max(start, messages[before].span.end);
      put_off(posts.span, start, costs.message_time(number.output(output)));
    }
    for (Rank rank = 0; rank < schedule.placement.ranks; ++rank)
      for (std::size_t i = first(rank); i < first(rank + 1); ++i) {
        Time start = end_before(rank, i);
        if (program.comm == Comm::Batched)
          for (const Transfer& transfer : program.transfers.slot(slot_before(rank, i)))
            start = std::max(start, messages[number[transfer.output]].span.end);
        schedule.actions[i].for_each_op([&](const Op& op) {
          if (const auto needed = message_to(schedule.placement, op))
            start = std::max(start, messages[number[needed->output]].span.end);
        });
        put_off(times[i], start, costs.duration(schedule.actions[i]));
      }
  }
  return times;
}

/// ["send", peer, "act", direction, micro-batch of the direction], as the authors' code tells it.
nlohmann::json told(const Transfer& transfer, const Schedule& schedule) {
  const Placement& placement = schedule.placement;
  const Stage stage = transfer.output.stage();
  const bool folded = placement.pipes == 1;
  const int direction = folded ? stage / placement.ranks : stage / placement.depth;
  const MicroBatch first = folded ? 0 : direction * schedule.microbatches_per_pipe();
  return {transfer.is_send ? "send" : "recv", transfer.peer,
          transfer.output.kind() == OpKind::Forward ? "act" : "grad", direction,
          transfer.output.microbatch() - first};
}

}  // namespace

TEST_CASE("DualPipe and DualPipeV post the batches of their authors' code in the same order") {
  const auto folder = reference("oracles/dualpipe-comm");
  if (folder.empty())
    return;
  int compared = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    CAPTURE(file.path());
    const auto theirs = nlohmann::json::parse(contents(file.path()));
    const std::string name = theirs["schedule"] == "DualPipe" ? "dualpipe" : "dualpipev";
    const PostedProgram program =
        post_messages(*find_schedule(name), {theirs["p"], theirs["m"]}, Comm::Batched);
    const Schedule& schedule = program.schedule;
    for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
      const auto& own = theirs["ranks"][static_cast<std::size_t>(rank)];
      REQUIRE(own["ops"].size() == schedule.order(rank).size());
      for (std::size_t i = 0; i <= own["ops"].size(); ++i) {
        const std::size_t action = schedule.first_action[static_cast<std::size_t>(rank)] + i;
        auto batch = nlohmann::json::array();
        for (const Transfer& transfer : program.transfers.slot(slot_before(rank, action)))
          batch.push_back(told(transfer, schedule));
        CAPTURE(rank);
        CAPTURE(i);
        CHECK(batch == (i < own["ops"].size() ? own["ops"][i]["comm"] : own["comm_tail"]));
      }
    }
    ++compared;
  }
  CHECK(compared == 10);
}

TEST_CASE("DualPipe on two ranks posts these batches") {
  const PostedProgram program = post_messages(*find_schedule("dualpipe"), {2, 4}, Comm::Batched);
  const std::string json = to_program_json(program);
  CHECK_MESSAGE(json.find(R"(    [{"action": "0F0"}, {"batch": [["send", 1, "act", 0, 0], )"
                          R"(["recv", 1, "act", 2, 2]]}, {"action": "3F2"}, {"action": "0F1"}, )"
                          R"({"action": "3B2"}, )") != std::string::npos,
                json);
}

TEST_CASE("Every program of the catalogue is the same bytes on every machine") {
  std::string digests = "schedule,p,m,comm,digest\n";
  for (const CatalogueEntry& entry : generated_schedules())
    for (const int ranks : {4, 8})
      for (const Comm comm : kSpelledOut) {
        const PostedProgram program = post_messages(entry, {ranks, 2 * ranks}, comm);
        digests += fmt::format("{},{},{},{},{}\n", entry.name, ranks, 2 * ranks, to_string(comm),
                               digest(to_program_json(program)));
      }
  const auto golden = source_file("tests/golden/program_digests.csv");
  if (std::getenv("BUBBLESCOPE_UPDATE_GOLDEN") != nullptr)
    std::ofstream(golden) << digests;
  CHECK(contents(golden) == digests);
}

TEST_CASE("No schedule of the catalogue deadlocks or crosses messages in any lowering") {
  for (std::uint64_t seed = 0; seed < (kSanitized ? 20 : 60); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    Shape shape{draw_int(engine, {1, 12}), draw_int(engine, {1, 40})};
    for (const CatalogueEntry& entry : generated_schedules()) {
      CAPTURE(entry.name);
      Shape own = shape;
      if (entry.any_chunks)
        own.chunks = draw_int(engine, {1, 4});
      if (entry.any_group_size && draw_chance(engine, 50))
        own.group_size = draw_int(engine, {1, 60});
      if (const auto misfit = find_misfit(entry, own))
        own = misfit->nearest;
      for (const Comm comm : kSpelledOut) {
        CAPTURE(to_string(comm));
        PostedProgram program = post_messages(entry, own, comm);
        CHECK_NOTHROW(check_program(program));
        const CostModel costs(random_costs(engine, program.schedule.placement),
                              program.schedule.placement, {});
        for (const Channels channels :
             {Channels::PerRank, Channels::PerPair, Channels::PerDirection}) {
          program.channels = channels;  // of PyTorch's messages, any will do
          CHECK((comm == Comm::Stream || can_run(lower(program))));
        }
        program.channels = default_channels(comm);
        const std::size_t messages = program.transfers.size() / 2;
        const DependencyGraph graph = build_graph(std::move(program), costs);
        CHECK(graph.messages().size() == messages);
      }
    }
  }
}

TEST_CASE("Random schedules neither deadlock nor cross messages, and both engines agree") {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const Schedule schedule = random_schedule(engine);
    const CostSource costs = random_costs(engine, schedule.placement);
    const DependencyGraph ideal = graph_with(schedule, costs, Comm::Ideal);
    for (const Comm comm : kSpelledOut) {
      CAPTURE(to_string(comm));
      CHECK_NOTHROW(check_program(post_messages(schedule, comm)));
      const DependencyGraph graph = graph_with(schedule, costs, comm);
      const Timeline timeline = simulate(graph);
      const Timeline events = simulate(graph, Engine::Events);
      CHECK(std::equal(timeline.spans.begin(), timeline.spans.end(), events.spans.begin()));
      CHECK(step_time(graph) >= step_time(ideal));
      Time idle{};
      Time by_cause{};
      for (const RankReport& rank : report(graph, timeline).per_rank) {
        idle += rank.idle;
        for (const Time cause : rank.idle_by_cause)
          by_cause += cause;
      }
      CHECK(idle == by_cause);
    }
  }
}

TEST_CASE("Streams and batches take the times that their definitions give") {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const Schedule schedule = random_schedule(engine);
    const CostModel costs(random_costs(engine, schedule.placement), schedule.placement, {});
    for (const Comm comm : kSpelledOut) {
      CAPTURE(to_string(comm));
      const PostedProgram program = post_messages(schedule, comm);
      const std::vector<Span> expected = naive_times(program, costs);
      const DependencyGraph graph = build_graph(program, costs);
      const Timeline timeline = simulate(graph);
      for (NodeId node = 0; node < graph.size(); ++node)
        if (!graph.is_message(node))
          REQUIRE(timeline.spans[node] == expected[graph.action_index()[node]]);
    }
  }
}

TEST_CASE("A stream whose messages take no time is as fast as ideal communication") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const Schedule schedule = random_schedule(engine);
    CostSource costs = random_costs(engine, schedule.placement);
    costs.link = {};
    CHECK(step_time(graph_with(schedule, costs, Comm::Stream)) ==
          step_time(graph_with(schedule, costs, Comm::Ideal)));
  }
}

TEST_CASE("Waiting is told apart: input not made, peer not there, queued, in flight") {
  const Placement placement = loop_placement({.ranks = 2, .chunks = 1});
  const CostSource costs{
      .stages = {{.forward = Time(10), .input_grad = Time(10), .weight_grad = Time(10)}},
      .link = {.latency = Time(15)}};
  const auto idle = [&](const Schedule& schedule, Comm comm, Rank rank, BubbleCause cause) {
    const DependencyGraph graph = graph_with(schedule, costs, comm);
    return report(graph, simulate(graph))
        .per_rank[static_cast<std::size_t>(rank)]
        .idle_by_cause[static_cast<std::size_t>(cause)];
  };
  const Schedule schedule =
      written(placement, 3, {"0F0 0F1 0F2 0B0 0B1 0B2", "1F0 1F1 1F2 1B0 1B1 1B2"});
  // Forwards end at 10, 20 and 30 and travel 15 each. Ideal: they arrive at 25, 35, 45, just when
  // rank 1 is free. In a stream they arrive at 25, 40, 55: F1 and F2 wait 5 each for one in
  // transit.
  CHECK(idle(schedule, Comm::Ideal, 1, BubbleCause::Message) == Time(0));
  CHECK(idle(schedule, Comm::Stream, 1, BubbleCause::Message) == Time(10));
  CHECK(idle(schedule, Comm::Stream, 1, BubbleCause::Peer) == Time(0));
  // Rank 0 ends its forwards at 30; B0 of rank 1 ends at 85 and arrives at 100.
  CHECK(idle(schedule, Comm::Stream, 0, BubbleCause::Dependency) == Time(55));
  // In batches F1 of rank 0 waits from 10 to 25 for its own send, which rank 1 awaits.
  CHECK(idle(schedule, Comm::Batched, 0, BubbleCause::Message) >= Time(15));
}

TEST_CASE("A message queues behind one that is in flight between the same ranks") {
  const Schedule schedule = written(loop_placement({.ranks = 2, .chunks = 2}), 3,
                                    {"0F0 0F1 0F2 2F0 2F1 2F2 2B0 2B1 2B2 0B0 0B1 0B2",
                                     "1F0 3F0 1F1 1F2 3F1 3F2 3B0 3B1 3B2 1B0 1B1 1B2"});
  const CostSource costs{
      .stages = {{.forward = Time(10), .input_grad = Time(10), .weight_grad = Time(10)}},
      .link = {.latency = Time(30)}};
  const CostModel model(costs, schedule.placement, {.per = CostPer::OneStage});
  const DependencyGraph graph = build_graph(post_messages(schedule, Comm::Stream), model);
  // Rank 1 ends 1F0 at 50. 2F0 ends at 90, but until 100 the activation of 0F2 is on the way, whose
  // receive is posted no later than that of 2F0, which travels until 130.
  std::vector<std::string> waits;
  for (const Bubble& bubble : find_bubbles(graph, simulate(graph)))
    if (bubble.rank == 1 && to_string(graph.action(bubble.waiting)) == "3F0")
      waits.push_back(fmt::format("{} {}-{}", static_cast<int>(bubble.cause),
                                  bubble.span.start.count(), bubble.span.end.count()));
  const auto cause = [](BubbleCause each) { return std::to_string(static_cast<int>(each)); };
  CHECK(waits == std::vector<std::string>{cause(BubbleCause::Dependency) + " 50-90",
                                          cause(BubbleCause::Queue) + " 90-100",
                                          cause(BubbleCause::Message) + " 100-130"});
}

TEST_CASE("Exposed communication is the time of messages that no action of a rank hides") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 2, {"0F0 0F1 0B0 0B1", "1F0 1B0 1F1 1B1"});
  const CostSource costs{.stages = {{.forward = Time(10), .backward = Time(10)}},
                         .link = {.latency = Time(4)}};
  const DependencyGraph graph = graph_with(schedule, costs, Comm::Stream);
  const Report figures = report(graph, simulate(graph));
  // Rank 1: F0 14-24, B0 24-34, F1 34-44, B1 44-54. Messages: 10-14, 20-24, 34-38, 54-58. Rank 0:
  // F 0-20, B0 38-48, B1 58-68.
  CHECK(figures.per_rank[0].exposed_comm == Time(4 + 4 + 4));
  CHECK(figures.per_rank[1].exposed_comm == Time(4 + 4));
  CHECK(figures.per_rank[0].idle_by_cause[static_cast<std::size_t>(BubbleCause::Message)] ==
        Time(4 + 4));
}

TEST_CASE("A program with a transfer dropped, doubled, turned or misdirected is refused") {
  int refused = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const PostedProgram program = post_messages(random_schedule(engine), kSpelledOut[seed % 3]);
    if (program.transfers.size() == 0)
      continue;
    Slots slots = slots_of(program);
    auto& slot = slots[draw_used(engine, slots)];
    const std::size_t i = draw_index(engine, slot.size());
    switch (draw_int(engine, {0, 3})) {
      case 0:
        slot.erase(slot.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      case 1:
        slot.push_back(slot[i]);
        break;
      case 2:
        slot[i].is_send = !slot[i].is_send;
        break;
      default:
        slot[i].peer = (slot[i].peer + 1) % std::max(2, program.schedule.placement.ranks);
    }
    CHECK_FALSE(error_of([&] { check_program(with_slots(program, slots)); }).empty());
    ++refused;
  }
  CHECK(refused > 100);
}

TEST_CASE("A program with a transfer moved or two swapped is refused, deadlocks, or still runs") {
  int refused = 0;
  int deadlocks = 0;
  int runs = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const PostedProgram program = post_messages(random_schedule(engine), kSpelledOut[seed % 3]);
    if (program.transfers.size() == 0)
      continue;
    Slots slots = slots_of(program);
    auto& from = slots[draw_used(engine, slots)];
    auto& to = slots[draw_used(engine, slots)];
    const std::size_t i = draw_index(engine, from.size());
    if (draw_chance(engine, 50)) {
      std::swap(from[i], to[draw_index(engine, to.size())]);
    } else {
      const Transfer moved = from[i];
      from.erase(from.begin() + static_cast<std::ptrdiff_t>(i));
      to.push_back(moved);
    }
    const PostedProgram changed = with_slots(program, slots);
    if (!error_of([&] { check_program(changed); }).empty()) {
      ++refused;
      continue;
    }
    const CostModel costs = free_costs(changed.schedule.placement);
    const std::string error = error_of([&] { build_graph(changed, costs); });
    CHECK((error.empty() || error.find("ranks wait for one another") != std::string::npos));
    ++(error.empty() ? runs : deadlocks);
  }
  CHECK(refused > 50);
  CHECK(deadlocks > 5);
  CHECK(runs > 50);
}

TEST_CASE("A deadlock of batches is told by rank and step and message") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 2, {"0F0 0F1 0B0 0B1", "1F0 1F1 1B0 1B1"});
  PostedProgram program = post_messages(schedule, Comm::Batched);
  Slots slots = slots_of(program);
  for (auto& slot : slots)  // rank 0 waits for a gradient before it makes anything
    std::erase_if(slot, [](const Transfer& each) {
      return !each.is_send && each.output == Op(OpKind::BackwardInput, 1, 0);
    });
  slots[0].push_back({Op(OpKind::BackwardInput, 1, 0), 1, false});
  const std::string error =
      error_of([&] { build_graph(with_slots(program, slots), free_costs(schedule.placement)); });
  CHECK(error ==
        "schedule mine: ranks wait for one another in a circle:\n"
        "  rank 0, step 1 (0F0) waits for rank 1, step 5 (1SEND_B0),\n"
        "  which comes after rank 1, step 1 (1F0),\n"
        "  which waits for rank 0, step 2 (0SEND_F0),\n"
        "  which comes after rank 0, step 1 (0F0)");
}

TEST_CASE("Crossed messages are refused with the two that meet") {
  const Schedule schedule =
      written(loop_placement({.ranks = 2, .chunks = 1}), 2, {"0F0 0F1 0B0 0B1", "1F0 1F1 1B0 1B1"});
  PostedProgram program = post_messages(schedule, Comm::Stream);
  Slots slots = slots_of(program);
  std::reverse(slots[5].begin(), slots[5].end());  // rank 1 receives micro-batch 1 first
  CHECK(error_of([&] { check_program(with_slots(program, slots)); }) ==
        "schedule mine, rank 1: step 0 (1RECV_F1): it would get what 0SEND_F0 sends (rank 0, step "
        "2): messages have no tags, and both are number 0 from rank 0 to rank 1");
}

}  // namespace bubblescope
