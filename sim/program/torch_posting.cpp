#include "sim/program/torch_posting.h"

#include <algorithm>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

/// A rank does the action of an index, or a collective.
struct Item {
  static constexpr std::size_t kNoAction = std::numeric_limits<std::size_t>::max();

  std::size_t action = kNoAction;
  CollectiveKind kind = CollectiveKind::Unshard;
  Stage stage = 0;
};

/// The actions of one rank with its collectives.
class RankItems {
 public:
  RankItems(const Schedule& schedule, Rank rank)
      : schedule_(schedule), rank_(rank), order_(schedule.order(rank)) {
    find_uses();
  }

  std::vector<Item> items() {
    const std::size_t first = schedule_.first_action[static_cast<std::size_t>(rank_)];
    for (std::size_t i = 0; i < order_.size(); ++i) {
      fetch_next();
      items_.push_back({.action = first + i});
      order_[i].for_each_op([&](const Op& op) {
        reduce_after_last(op);
        pass(op);
      });
    }
    for (const Stage stage : active_)
      add(CollectiveKind::Reshard, stage);
    return std::move(items_);
  }

 private:
  static constexpr std::size_t kMostActive = 3;

  /// Where a stage is used: twice the action's place in the order, plus 1 in a pair's second op.
  struct Uses {
    std::vector<std::size_t> places = {};
    std::size_t next = 0;
    int backwards = 0;  // W and B done
  };

  void find_uses() {
    for (std::size_t i = 0; i < order_.size(); ++i) {
      std::size_t place = 2 * i;
      order_[i].for_each_op([&](const Op& op) { uses_[op.stage()].places.push_back(place++); });
    }
    for (const auto& [stage, uses] : uses_)
      soon_.emplace(uses.places.front(), stage);
  }

  void add(CollectiveKind kind, Stage stage) { items_.push_back({.kind = kind, .stage = stage}); }

  /// Reshards what is not among the next stages, and unshards those. PyTorch reshards in the order
  /// of a set, which means nothing; here stages ascend.
  void fetch_next() {
    const std::vector<Stage> next = next_stages();
    std::erase_if(active_, [&](Stage stage) {
      const bool is_over = std::find(next.begin(), next.end(), stage) == next.end();
      if (is_over)
        add(CollectiveKind::Reshard, stage);
      return is_over;
    });
    for (const Stage stage : next)
      if (active_.insert(stage).second)
        add(CollectiveKind::Unshard, stage);
  }

  /// The next three stages in use, or four where the last two come in one pair.
  std::vector<Stage> next_stages() const {
    std::vector<Stage> stages;
    std::size_t last_place = 0;
    for (const auto& [place, stage] : soon_) {
      if (stages.size() > kMostActive ||
          (stages.size() == kMostActive && place / 2 != last_place / 2))
        break;
      stages.push_back(stage);
      last_place = place;
    }
    return stages;
  }

  /// Its stage is next used where the next op of it is.
  void pass(const Op& op) {
    Uses& uses = uses_[op.stage()];
    soon_.erase({uses.places[uses.next], op.stage()});
    if (++uses.next < uses.places.size())
      soon_.emplace(uses.places[uses.next], op.stage());
  }

  void reduce_after_last(const Op& op) {
    if (op.kind() != OpKind::BackwardWeight && op.kind() != OpKind::Backward)
      return;
    if (++uses_[op.stage()].backwards == schedule_.microbatches_per_pipe())
      add(CollectiveKind::ReduceGrad, op.stage());
  }

  const Schedule& schedule_;
  Rank rank_;
  std::span<const Action> order_;
  std::map<Stage, Uses> uses_ = {};
  std::set<std::pair<std::size_t, Stage>> soon_ = {};  // where each stage is used next
  std::set<Stage> active_ = {};                        // unsharded
  std::vector<Item> items_ = {};
};

/// Lets the ranks take turns, and writes down what each does and posts.
class TurnTaker {
 public:
  explicit TurnTaker(const Schedule& schedule)
      : schedule_(schedule),
        number_(schedule.placement, schedule.microbatches),
        is_there_(number_.size()),
        ranks_(static_cast<std::size_t>(schedule.placement.ranks)) {
    for (std::size_t rank = 0; rank < ranks_.size(); ++rank)
      ranks_[rank].items = RankItems(schedule, static_cast<Rank>(rank)).items();
  }

  TorchCommunication run() {
    std::vector<Rank> active(ranks_.size());
    std::iota(active.begin(), active.end(), 0);
    const auto is_done = [&](Rank rank) {
      const RankState& state = ranks_[static_cast<std::size_t>(rank)];
      return state.next == state.items.size();
    };
    std::erase_if(active, is_done);
    while (!active.empty()) {
      bool progress = false;
      for (const Rank rank : active)
        progress = take_turn(rank) || progress;
      if (!progress)
        throw Error(fmt::format("schedule {}: {}", schedule_.name,
                                describe_deadlock(lower({.schedule = schedule_}))));
      std::erase_if(active, is_done);
    }
    return communication();
  }

 private:
  struct RankState {
    std::vector<Item> items;
    std::size_t next = 0;
    /// Transfers, each with the number of items done before it.
    std::vector<std::pair<std::size_t, Transfer>> transfers = {};
  };

  bool take_turn(Rank rank) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    const Item& item = state.items[state.next];
    if (item.action == Item::kNoAction) {
      ++state.next;
      return true;
    }
    const Action& action = schedule_.actions[item.action];
    bool is_ready = true;
    action.for_each_op([&](const Op& op) { is_ready = is_ready && has_input(op); });
    if (!is_ready)
      return false;
    ++state.next;
    action.for_each_op([&](const Op& op) { make_output(op); });
    return true;
  }

  bool has_input(const Op& op) const {
    const auto from = maker_of_input(schedule_.placement, op);
    return !from || is_there_[number_[Op(op.kind(), *from, op.microbatch())]];
  }

  void make_output(const Op& op) {
    if (op.kind() == OpKind::BackwardWeight)
      return;
    is_there_[number_[op]] = true;
    if (const auto message = message_from(schedule_.placement, op)) {
      post(message->from, {message->output, message->to, true});
      post(message->to, {message->output, message->from, false});
    }
  }

  void post(Rank rank, const Transfer& transfer) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    state.transfers.emplace_back(state.next, transfer);
  }

  TorchCommunication communication() const {
    TorchCommunication out;
    std::size_t slot = 0;
    for (const RankState& rank : ranks_) {
      auto transfer = rank.transfers.begin();
      const auto post_until = [&](std::size_t items) {
        for (; transfer != rank.transfers.end() && transfer->first <= items; ++transfer)
          out.transfers.post(transfer->second);
      };
      for (std::size_t i = 0; i < rank.items.size(); ++i) {
        post_until(i);
        const Item& item = rank.items[i];
        if (item.action == Item::kNoAction) {
          out.collectives.push_back({item.kind, item.stage, slot, out.transfers.size()});
        } else {
          out.transfers.end_slot();
          ++slot;
        }
      }
      post_until(rank.items.size());
      out.transfers.end_slot();
      ++slot;
    }
    return out;
  }

  const Schedule& schedule_;
  OutputNumbers number_;
  std::vector<bool> is_there_;  // [output]
  std::vector<RankState> ranks_;
};

}  // namespace

TorchCommunication torch_communication(const Schedule& schedule) {
  return TurnTaker(schedule).run();
}

}  // namespace bubblescope
