// What is told of a program that somebody changed, held against a simulation by brute force.
#include "sim/program/program_check.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"
#include "sim/program/posting.h"
#include "tests/support/random_schedule.h"

namespace bubblescope {
namespace {

/// A program to be changed at will: per rank, actions and batches of transfers.
struct LooseStep {
  std::optional<Action> action = {};
  std::vector<Transfer> transfers = {};
};
using LooseProgram = std::vector<std::vector<LooseStep>>;

LooseProgram loose(const PostedProgram& program) {
  LooseProgram steps(static_cast<std::size_t>(program.schedule.placement.ranks));
  for (Rank rank = 0; rank < program.schedule.placement.ranks; ++rank) {
    auto& own = steps[static_cast<std::size_t>(rank)];
    const auto end = program.schedule.first_action[static_cast<std::size_t>(rank) + 1];
    for (auto i = program.schedule.first_action[static_cast<std::size_t>(rank)]; i <= end; ++i) {
      for (const Transfer& transfer : program.transfers.slot(slot_before(rank, i)))
        if (transfer.joins_batch)
          own.back().transfers.push_back(transfer);
        else
          own.push_back({{}, {transfer}});
      if (i < end)
        own.push_back({program.schedule.actions[i], {}});
    }
  }
  return steps;
}

PostedProgram program_of(PostedProgram program, const LooseProgram& steps) {
  program.transfers = {};
  Orders orders;
  for (const auto& own : steps) {
    auto& order = orders.emplace_back();
    for (const LooseStep& step : own) {
      for (std::size_t i = 0; i < step.transfers.size(); ++i) {
        Transfer transfer = step.transfers[i];
        transfer.joins_batch = i > 0;
        program.transfers.post(transfer);
      }
      if (step.action) {
        order.push_back(*step.action);
        program.transfers.end_slot();
      }
    }
    program.transfers.end_slot();
  }
  set_orders(program.schedule, orders);
  return program;
}

/// Drops, doubles, swaps or mislabels an action or a transfer somewhere.
void mutate(std::mt19937_64& engine, LooseProgram& steps, const PostedProgram& program) {
  const Placement& placement = program.schedule.placement;
  auto& own = steps[draw_index(engine, steps.size())];
  if (own.empty())
    return;
  const std::size_t i = draw_index(engine, own.size());
  const auto place = own.begin() + static_cast<std::ptrdiff_t>(i);
  const int kind = draw_int(engine, {0, 6});
  const auto other = [&](const Op& op) {
    const auto stage = draw_int(engine, {0, placement.stages() - 1});
    const auto microbatch = draw_int(engine, {0, program.schedule.microbatches - 1});
    const auto any = static_cast<OpKind>(draw_int(engine, {0, 3}));
    switch (draw_int(engine, {0, 2})) {
      case 0:
        return Op(op.kind(), stage, op.microbatch());
      case 1:
        return Op(op.kind(), op.stage(), microbatch);
      default:
        return Op(any, op.stage(), op.microbatch());
    }
  };
  if (kind == 6) {
    const Op output(draw_chance(engine, 50) ? OpKind::Forward : OpKind::BackwardInput,
                    draw_int(engine, {0, placement.stages() - 1}),
                    draw_int(engine, {0, program.schedule.microbatches - 1}));
    own.insert(
        place,
        {{}, {{output, draw_int(engine, {0, placement.ranks - 1}), draw_chance(engine, 30)}}});
  } else if (kind == 0) {
    own.erase(place);
  } else if (kind == 1) {
    const LooseStep again = *place;
    own.insert(own.begin() + draw_int(engine, {0, static_cast<int>(own.size())}), again);
  } else if (kind <= 4) {  // the most, since it is what may go well
    auto& rank = draw_chance(engine, 90) ? own : steps[draw_index(engine, steps.size())];
    if (!rank.empty())
      std::swap(own[i], rank[kind == 4 && &rank == &own ? std::min(i + 1, own.size() - 1)
                                                        : draw_index(engine, rank.size())]);
  } else if (place->action) {
    place->action = other(place->action->op());
  } else {
    Transfer& transfer = place->transfers[draw_index(engine, place->transfers.size())];
    const Op op = other(transfer.output);
    if (op.kind() == OpKind::Forward || op.kind() == OpKind::BackwardInput)
      transfer.output = op;
    else if (draw_chance(engine, 50))
      transfer.is_send = !transfer.is_send;
    else
      transfer.peer = draw_int(engine, {0, placement.ranks - 1});
  }
}

enum class Outcome { Runs, Deadlock, Crossed, Unsound };

/// Does what a program says, step by step, by the words of docs/manual.md alone, with sets and
/// lists.
class BruteForce {
 public:
  BruteForce(const PostedProgram& program, const LooseProgram& steps)
      : placement_(program.schedule.placement),
        microbatches_(program.schedule.microbatches),
        comm_(program.comm),
        channels_(program.channels),
        steps_(steps) {}

  Outcome run() {
    for (std::size_t rank = 0; rank < steps_.size(); ++rank)
      if (!is_sound(static_cast<Rank>(rank)))
        return Outcome::Unsound;
    for (const auto& [ranks, sends] : sends_)
      if (sends != receives_[ranks])
        return Outcome::Crossed;
    return goes_through() ? Outcome::Runs : Outcome::Deadlock;
  }

 private:
  using Name = std::tuple<char, Stage, MicroBatch>;  // 'F' or 'I', of what makes it
  static Name name(const Op& op) {
    return {op.kind() == OpKind::Forward ? 'F' : 'I', op.stage(), op.microbatch()};
  }

  /// The stage that makes what an op reads, and the one that reads what it makes.
  std::optional<Stage> source(const Op& op) const {
    return op.kind() == OpKind::Forward ? placement_.before(op.stage())
                                        : placement_.after(op.stage());
  }
  std::optional<Stage> reader(const Op& op) const {
    return op.kind() == OpKind::Forward ? placement_.after(op.stage())
                                        : placement_.before(op.stage());
  }

  bool is_sound(Rank rank) {
    std::set<std::pair<char, std::pair<Stage, MicroBatch>>> done;
    std::set<Name> sent;
    std::set<Name> received;
    for (const LooseStep& step : steps_[static_cast<std::size_t>(rank)]) {
      bool sound = true;
      for (const Transfer& transfer : step.transfers)
        sound = sound && posts(rank, transfer, done, sent, received);
      if (step.action)
        step.action->for_each_op(
            [&](const Op& op) { sound = sound && does(rank, op, done, received); });
      if (!sound)
        return false;
    }
    // Everything is done, and what others read is sent.
    const int per_pipe = microbatches_ / placement_.pipes;
    for (Stage stage = 0; stage < placement_.stages(); ++stage)
      for (int i = 0; i < per_pipe && placement_.rank(stage) == rank; ++i) {
        const MicroBatch microbatch = stage / placement_.depth * per_pipe + i;
        for (const char kind : {'F', 'I', 'W'})
          if (!done.contains({kind, {stage, microbatch}}))
            return false;
        for (const OpKind kind : {OpKind::Forward, OpKind::BackwardInput}) {
          const Op op(kind, stage, microbatch);
          if (const auto to = reader(op); comm_ != Comm::Ideal && to &&
                                          placement_.rank(*to) != rank && !sent.contains(name(op)))
            return false;
        }
      }
    return true;
  }

  template <typename Done, typename Names>
  bool does(Rank rank, const Op& op, Done& done, const Names& received) const {
    const std::pair where(op.stage(), op.microbatch());
    const int per_pipe = microbatches_ / placement_.pipes;
    if (op.stage() >= placement_.stages() || placement_.rank(op.stage()) != rank ||
        op.microbatch() / per_pipe != op.stage() / placement_.depth)
      return false;
    const auto first = [&](char kind) { return done.insert({kind, where}).second; };
    const bool has_f = done.contains({'F', where});
    const bool has_i = done.contains({'I', where});
    bool sound = true;
    if (op.kind() == OpKind::Forward)
      sound = first('F');
    else if (op.kind() == OpKind::BackwardInput)
      sound = has_f && first('I');
    else if (op.kind() == OpKind::BackwardWeight)
      sound = has_f && has_i && first('W');
    else
      sound = has_f && first('I') && first('W');
    const auto from = source(op);
    if (comm_ != Comm::Ideal && op.kind() != OpKind::BackwardWeight && from &&
        placement_.rank(*from) != rank)
      sound = sound && received.contains(name({op.kind(), *from, op.microbatch()}));
    return sound;
  }

  template <typename Done, typename Names>
  bool posts(Rank rank, const Transfer& transfer, const Done& done, Names& sent, Names& received) {
    const Op& output = transfer.output;
    const auto to = reader(output);
    const int per_pipe = microbatches_ / placement_.pipes;
    if (!to || output.microbatch() / per_pipe != output.stage() / placement_.depth)
      return false;
    const Rank from_rank = placement_.rank(output.stage());
    const Rank to_rank = placement_.rank(*to);
    if (from_rank == to_rank || (transfer.is_send ? from_rank : to_rank) != rank ||
        (transfer.is_send ? to_rank : from_rank) != transfer.peer)
      return false;
    (transfer.is_send ? sends_ : receives_)[{from_rank, to_rank}].push_back(name(output));
    if (!transfer.is_send)
      return received.insert(name(output)).second;
    const char kind = output.kind() == OpKind::Forward ? 'F' : 'I';
    return done.contains({kind, {output.stage(), output.microbatch()}}) &&
           sent.insert(name(output)).second;
  }

  /// An end of a message that is posted.
  struct End {
    Transfer transfer;
    bool is_through = false;
  };
  struct RankRun {
    std::size_t next = 0;  // step
    std::size_t last_posted = ~std::size_t{0};
    std::vector<End> posted = {};  // in order
    std::set<Name> arrived = {};
    std::set<Name> made = {};
  };

  bool share_channel(const Transfer& a, const Transfer& b) const {
    if (comm_ == Comm::Batched)  // a batch is waited for before the next
      return false;
    return channels_ == Channels::PerRank ||
           (a.peer == b.peer && (channels_ == Channels::PerPair || a.is_send == b.is_send));
  }
  /// Whether an end has started: nothing before it on its channel is under way.
  bool has_started(const RankRun& run, std::size_t end) const {
    for (std::size_t i = 0; i < end; ++i)
      if (!run.posted[i].is_through &&
          share_channel(run.posted[i].transfer, run.posted[end].transfer))
        return false;
    return true;
  }

  bool goes_through() {
    runs_.resize(steps_.size());
    bool changed = true;
    while (std::exchange(changed, false)) {
      for (std::size_t rank = 0; rank < steps_.size(); ++rank)
        while (advance(rank))
          changed = true;
      for (std::size_t from = 0; from < steps_.size(); ++from)
        for (std::size_t to = 0; to < steps_.size(); ++to)
          changed = deliver(from, to) || changed;
    }
    for (std::size_t rank = 0; rank < steps_.size(); ++rank)
      if (runs_[rank].next < steps_[rank].size() ||
          std::any_of(runs_[rank].posted.begin(), runs_[rank].posted.end(),
                      [](const End& end) { return !end.is_through; }))
        return false;
    return true;
  }

  /// A batch is looked at again until it is through.
  static void post_once(RankRun& run, const LooseStep& step) {
    if (std::exchange(run.last_posted, run.next) != run.next)
      post(run, step);
  }
  static void post(RankRun& run, const LooseStep& step) {
    for (const Transfer& transfer : step.transfers)
      run.posted.push_back({transfer});
  }

  bool has_inputs(const RankRun& run, const Action& action, Rank rank) const {
    bool has = true;
    action.for_each_op([&](const Op& op) {
      const auto from = source(op);
      if (op.kind() == OpKind::BackwardWeight || !from)
        return;
      const Name needed = name({op.kind(), *from, op.microbatch()});
      const Rank maker = placement_.rank(*from);
      if (maker == rank)
        has = has && run.made.contains(needed);
      else if (comm_ == Comm::Ideal)
        has = has && runs_[static_cast<std::size_t>(maker)].made.contains(needed);
      else
        has = has && run.arrived.contains(needed);
    });
    return has;
  }

  /// Lets a rank do its next step, if it can.
  bool advance(std::size_t rank) {
    RankRun& run = runs_[rank];
    const auto& own = steps_[rank];
    if (run.next == own.size())
      return false;
    const LooseStep& step = own[run.next];
    if (!step.action) {
      if (comm_ != Comm::Stream || step.transfers[0].is_send || first_of_slot(own, run.next) == 0)
        post_once(run, step);
      if (comm_ == Comm::Batched && std::any_of(run.posted.begin(), run.posted.end(),
                                                [](const End& end) { return !end.is_through; }))
        return false;
      ++run.next;
      return true;
    }
    if (!has_inputs(run, *step.action, static_cast<Rank>(rank)))
      return false;
    for (std::size_t i = first_of_slot(own, run.next);
         comm_ == Comm::Stream && i > 0 && i < run.next; ++i)
      if (!own[i].transfers[0].is_send)
        post(run, own[i]);  // as this one starts
    step.action->for_each_op([&](const Op& op) {
      if (op.kind() != OpKind::BackwardWeight)
        run.made.insert(name(op));
    });
    ++run.next;
    return true;
  }

  /// The first step behind the action before `step`.
  static std::size_t first_of_slot(const std::vector<LooseStep>& own, std::size_t step) {
    while (step > 0 && !own[step - 1].action)
      --step;
    return step;
  }

  /// The first send from one rank to another that is under way, if both its ends have started.
  bool deliver(std::size_t from, std::size_t to) {
    const auto under_way = [&](RankRun& run, std::size_t peer, bool is_send) {
      std::vector<std::size_t> ends;
      for (std::size_t i = 0; i < run.posted.size(); ++i)
        if (run.posted[i].transfer.peer == static_cast<Rank>(peer) &&
            run.posted[i].transfer.is_send == is_send)
          ends.push_back(i);
      return ends;
    };
    const auto sends = under_way(runs_[from], to, true);
    const auto receives = under_way(runs_[to], from, false);
    bool changed = false;
    for (std::size_t k = 0; k < std::min(sends.size(), receives.size()); ++k) {
      End& send = runs_[from].posted[sends[k]];
      End& receive = runs_[to].posted[receives[k]];
      if (send.is_through || !has_started(runs_[from], sends[k]) ||
          !has_started(runs_[to], receives[k]))
        continue;
      send.is_through = receive.is_through = true;
      runs_[to].arrived.insert(name(send.transfer.output));
      changed = true;
    }
    return changed;
  }

  const Placement& placement_;
  int microbatches_;
  Comm comm_;
  Channels channels_;
  const LooseProgram& steps_;
  std::map<std::pair<Rank, Rank>, std::vector<Name>> sends_ = {};
  std::map<std::pair<Rank, Rank>, std::vector<Name>> receives_ = {};
  std::vector<RankRun> runs_ = {};
};

Outcome outcome(const PostedProgram& program) {
  if (const auto fault = find_fault(program))
    return fault->kind == ProgramFault::Kind::Crossed ? Outcome::Crossed : Outcome::Unsound;
  return can_run(lower(program)) ? Outcome::Runs : Outcome::Deadlock;
}

}  // namespace

TEST_CASE("The verdict on 12000 changed programs is that of a simulation by brute force") {
  constexpr std::uint64_t kPrograms = 12'000;
  constexpr Comm kComms[] = {Comm::Torch, Comm::Stream, Comm::Batched, Comm::Torch};
  std::map<Outcome, int> counts;
  for (std::uint64_t seed = 0; seed < kPrograms; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const Schedule schedule =
        random_schedule(engine, {.ranks = 3, .chunks = 2, .microbatches = 3, .pair_percent = 30});
    PostedProgram program = post_messages(schedule, kComms[seed % std::size(kComms)]);
    program.channels = static_cast<Channels>(draw_int(engine, {0, 2}));
    LooseProgram steps = loose(program);
    const int mutations = draw_int(engine, {0, 2});
    for (int i = 0; i < mutations; ++i)
      mutate(engine, steps, program);
    program = program_of(std::move(program), steps);
    const Outcome expected = BruteForce(program, steps).run();
    REQUIRE(static_cast<int>(outcome(program)) == static_cast<int>(expected));
    if (expected == Outcome::Runs || expected == Outcome::Deadlock) {
      const std::string error =
          error_of([&] { build_graph(program, free_costs(program.schedule.placement)); });
      REQUIRE(error.empty() == (expected == Outcome::Runs));
    }
    ++counts[expected];
  }
  for (const auto& [each, count] : counts)
    MESSAGE("outcome " << static_cast<int>(each) << ": " << count);
  CHECK(counts[Outcome::Runs] > 500);
  CHECK(counts[Outcome::Deadlock] > 500);
  CHECK(counts[Outcome::Crossed] > 30);
  CHECK(counts[Outcome::Unsound] > 500);
}

}  // namespace bubblescope
