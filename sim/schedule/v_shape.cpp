// V-Half and V-Min (Pipeline Parallelism with Controllable Memory, arXiv 2405.15362): one pattern,
// repeated every six slots on a V, holds about a half or a third of 1F1B's activations. As in the
// authors' code (sail-sg/zero-bubble-pipeline-parallelism, zbv_greedy.py), the ops before and after
// the steady state are moved into free slots where the memory of the pattern allows it, twice: with
// the W placed first, and without. All slots are of one length, so the order knows no costs.
#include <algorithm>
#include <array>
#include <tuple>
#include <vector>

#include "sim/schedule/generators.h"

namespace bubblescope {
namespace {

constexpr int kPeriod = 6;  // slots of a micro-batch: F, I and W of two chunks

/// F of the first and second chunk, I of the second and first, in the order a micro-batch passes
/// them; then the W of both, first in, first out.
enum Line : std::size_t { kF0, kF1, kI1, kI0, kW, kLines };

/// Of one rank: [line][micro-batch] the slot of its op; kW is [0 … 2m) where W are placed.
using Slots = std::array<std::vector<int>, kLines>;

/// The slots of micro-batch 0 on each rank.
using Pattern = std::array<int, 4> (*)(int ranks, Rank rank);

std::array<int, 4> half_pattern(int p, Rank rank) {
  const int turn = p % 2 == 0 ? 3 : 0;  // so that no two lines meet in a slot
  return {2 * rank, 3 * p - 2 - rank, 3 * p - 1 + turn + 2 * rank, 6 * p - 2 + turn - rank};
}

std::array<int, 4> min_pattern(int p, Rank rank) {
  const int turn = p % 3 == 0 ? 2 : 0;
  return {rank, 2 * p - 1 - rank, 2 * p + turn + rank, 4 * p - 1 + turn - rank};
}

/// What a rank does in each of its slots, and what it holds after it. Where no W are placed, each
/// free slot takes one that is due.
class Occupancy {
 public:
  explicit Occupancy(const Slots& slots) : places_w_(!slots[kW].empty()) {
    std::size_t size = 0;
    for (const std::vector<int>& line : slots)
      size = std::max(size, line.empty() ? 0 : static_cast<std::size_t>(line.back()) + 1);
    line_.assign(size, kLines);
    state_.resize(size + 1);
    for (std::size_t line = 0; line < kLines; ++line)
      for (const int slot : slots[line])
        line_[static_cast<std::size_t>(slot)] = line;
    for (std::size_t slot = 0; slot < size; ++slot)
      state_[slot + 1] = after(slot);
  }

  bool is_free(std::size_t slot) const { return line_[slot] == kLines; }

  /// The most activations held after any slot.
  int most() const {
    int most = 0;
    for (const State& state : state_)
      most = std::max(most, state.held);
    return most;
  }

  /// Moves the op of slot `from` to the free slot `to` before it, if no more than `limit` are held
  /// after any slot then; whether it did.
  bool move(std::size_t from, std::size_t to, int limit) {
    std::swap(line_[from], line_[to]);
    if (refresh({to, from}, limit))
      return true;
    std::swap(line_[from], line_[to]);
    refresh({to, from}, limit);
    return false;
  }

 private:
  struct State {
    int held = 0;
    int due = 0;  // W whose I is done, where none are placed

    friend bool operator==(const State&, const State&) = default;
  };
  struct Changed {
    std::size_t first;
    std::size_t last;
  };

  State after(std::size_t slot) const {
    State state = state_[slot];
    switch (line_[slot]) {
      case kF0:
      case kF1:
        return {state.held + 1, state.due};
      case kI1:
      case kI0:
        return {state.held, state.due + (places_w_ ? 0 : 1)};
      case kW:
        return {state.held - 1, state.due};
      default:
        return state.due > 0 ? State{state.held - 1, state.due - 1} : state;
    }
  }

  /// Follows the changed slots, and those after them until all is as it was; whether `limit` holds.
  bool refresh(Changed changed, int limit) {
    bool holds = true;
    for (std::size_t slot = changed.first; slot < line_.size(); ++slot) {
      const State state = after(slot);
      if (slot > changed.last && state == state_[slot + 1])
        break;
      state_[slot + 1] = state;
      holds = holds && state.held <= limit;
    }
    return holds;
  }

  bool places_w_;
  std::vector<std::size_t> line_;  // [slot], kLines where it is free
  std::vector<State> state_;       // [slot] before it
};

/// The slots of all I of both chunks, in order.
std::vector<int> inputs_of(const Slots& slots) {
  std::vector<int> inputs(2 * slots[kI0].size());
  std::merge(slots[kI1].begin(), slots[kI1].end(), slots[kI0].begin(), slots[kI0].end(),
             inputs.begin());
  return inputs;
}

class VShape {
 public:
  VShape(Shape shape, Pattern pattern) : shape_(shape) {
    for (Rank rank = 0; rank < shape.ranks; ++rank) {
      const auto first = pattern(shape.ranks, rank);
      Slots slots;
      for (std::size_t line = kF0; line < kW; ++line)
        for (int i = 0; i < shape.microbatches; ++i)
          slots[line].push_back(first[line] + kPeriod * i);
      slots_.push_back(std::move(slots));
    }
  }

  Schedule schedule() {
    place_weights();
    fill_gaps();
    squeeze();
    remove_weights();
    fill_gaps();
    place_weights();
    squeeze();
    remove_weights();
    return written();
  }

 private:
  struct PlacedOp {
    int slot;
    Rank rank;
    std::size_t line;
    std::size_t index;  // in its line

    friend bool operator<(const PlacedOp& a, const PlacedOp& b) {
      return std::tie(a.slot, a.rank, a.line) < std::tie(b.slot, b.rank, b.line);
    }
  };

  Slots& slots_of(Rank rank) { return slots_[static_cast<std::size_t>(rank)]; }
  int& slot_of(const PlacedOp& op) { return slots_of(op.rank)[op.line][op.index]; }

  std::vector<PlacedOp> in_time_order() const {
    std::vector<PlacedOp> ops;
    for (Rank rank = 0; rank < shape_.ranks; ++rank)
      for (std::size_t line = 0; line < kLines; ++line) {
        const auto& slots = slots_[static_cast<std::size_t>(rank)][line];
        for (std::size_t i = 0; i < slots.size(); ++i)
          ops.push_back({slots[i], rank, line, i});
      }
    std::sort(ops.begin(), ops.end());
    return ops;
  }

  /// Every free slot takes a W that is due.
  void place_weights() {
    for (Slots& slots : slots_) {
      const Occupancy occupancy(slots);
      const std::vector<int> inputs = inputs_of(slots);
      const int end = slots[kI0].back();  // of all ops that are placed
      for (int slot = 0; slots[kW].size() < inputs.size(); ++slot)
        if ((slot > end || occupancy.is_free(static_cast<std::size_t>(slot))) &&
            inputs[slots[kW].size()] < slot)
          slots[kW].push_back(slot);
    }
  }

  void remove_weights() {
    for (Slots& slots : slots_)
      slots[kW].clear();
  }

  /// The slot of the last op that `op` needs, or −1.
  int last_needed(const PlacedOp& op) {
    const Slots& own = slots_of(op.rank);
    int last = op.index > 0 ? own[op.line][op.index - 1] : -1;
    if (op.line == kW)
      return std::max(last, inputs_of(own)[op.index]);
    if (op.line != kF0)
      last = std::max(last, own[op.line - 1][op.index]);
    const Rank from = op.line == kF0 || op.line == kI1 ? op.rank - 1 : op.rank + 1;
    if (from >= 0 && from < shape_.ranks)
      last = std::max(last, slots_of(from)[op.line][op.index]);
    return last;
  }

  /// Moves ops of the warm-up and the drain into the first free slots that memory allows. Where no
  /// W are placed, the warm-up stays as it is.
  void fill_gaps() {
    enum class Phase { WarmUp, Steady, Drain };
    std::vector<Occupancy> occupancy(slots_.begin(), slots_.end());
    int limit = 0;
    for (const Occupancy& each : occupancy)
      limit = std::max(limit, each.most());
    const bool places_w = !slots_.front()[kW].empty();
    auto phase = Phase::WarmUp;
    for (const PlacedOp& op : in_time_order()) {
      if (phase == Phase::WarmUp && op.line == kI0 && op.rank == 0)
        phase = Phase::Steady;
      const bool stays = phase == Phase::Steady || (phase == Phase::WarmUp && !places_w);
      const bool is_last_f = op.line == kF0 && op.index + 1 == slots_of(op.rank)[kF0].size();
      if (phase == Phase::Steady && is_last_f)
        phase = Phase::Drain;
      if (stays)
        continue;
      Occupancy& own = occupancy[static_cast<std::size_t>(op.rank)];
      for (int slot = last_needed(op) + 1; slot < op.slot; ++slot)
        if (own.is_free(static_cast<std::size_t>(slot)) &&
            own.move(static_cast<std::size_t>(op.slot), static_cast<std::size_t>(slot), limit)) {
          slot_of(op) = slot;
          break;
        }
    }
  }

  /// Keeps the order on each rank and starts every op as early as it can.
  void squeeze() {
    std::vector<int> next(slots_.size(), 0);  // [rank] the slot after its last op
    for (const PlacedOp& op : in_time_order()) {
      int& free = next[static_cast<std::size_t>(op.rank)];
      const int needed = op.line == kW ? -1 : last_needed(op);
      slot_of(op) = std::max(free, needed + 1);
      free = slot_of(op) + 1;
    }
  }

  /// The order of each rank; a free slot takes the W of the second chunk first.
  Schedule written() {
    Schedule schedule{.microbatches = shape_.microbatches, .placement = v_placement(shape_.ranks)};
    OrderWriter order(schedule, most_actions(shape_));
    for (Rank rank = 0; rank < shape_.ranks; ++rank) {
      write_rank(rank, order);
      order.end_rank();
    }
    order.finish();
    return schedule;
  }

  void write_rank(Rank rank, OrderWriter& order) {
    const Slots& slots = slots_of(rank);
    const Stage stages[] = {rank, 2 * shape_.ranks - 1 - rank};  // [chunk]
    std::size_t next[kW] = {};                                   // [line] its next op
    int weights[2] = {};                                         // [chunk] done
    for (int slot = 0; weights[0] + weights[1] < 2 * shape_.microbatches; ++slot) {
      bool is_free = true;
      for (std::size_t line = kF0; line < kW; ++line) {
        if (next[line] == slots[line].size() || slots[line][next[line]] != slot)
          continue;
        const bool second = line == kF1 || line == kI1;
        order.append(Op(line <= kF1 ? OpKind::Forward : OpKind::BackwardInput,
                        stages[second ? 1 : 0], static_cast<MicroBatch>(next[line]++)));
        is_free = false;
      }
      const std::size_t inputs[] = {next[kI0], next[kI1]};  // [chunk] done
      for (const std::size_t chunk : {1U, 0U})
        if (is_free && static_cast<std::size_t>(weights[chunk]) < inputs[chunk]) {
          order.append(Op(OpKind::BackwardWeight, stages[chunk], weights[chunk]++));
          is_free = false;
        }
    }
  }

  Shape shape_;
  std::vector<Slots> slots_;  // [rank]
};

}  // namespace

Schedule v_half(Shape shape) {
  return VShape(shape, half_pattern).schedule();
}

Schedule v_min(Shape shape) {
  return VShape(shape, min_pattern).schedule();
}

}  // namespace bubblescope
