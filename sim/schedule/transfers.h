// Between their actions, ranks send and receive messages and join collectives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "sim/base/flat_array.h"
#include "sim/schedule/op.h"

namespace bubblescope {

/// One end of a message.
struct Transfer {
  Op output;  ///< What moves: the activation of an F, or the gradient of an I; of a B too as `I`.
  Rank peer;  ///< The rank at the other end.
  bool is_send;
  bool joins_batch = false;  ///< Starts together with the transfer before it in its slot.
};

/// The ranks post these, slot by slot. A rank has a slot before each of its actions and one after
/// its last.
class Transfers {
 public:
  Transfers() = default;
  /// The transfers of slot s end before `end_of_slot[s]`.
  Transfers(FlatArray<Transfer> transfers, const FlatArray<std::size_t>& end_of_slot)
      : transfers_(std::move(transfers)) {
    first_.reserve(end_of_slot.size() + 1);
    first_.insert(first_.end(), end_of_slot.begin(), end_of_slot.end());
  }

  /// Adds to the slot that is open; `end_slot` opens the next.
  void post(const Transfer& transfer) { transfers_.push_back(transfer); }
  /// Adds to the batch that is in the open slot, or begins one.
  void post_in_batch(Transfer transfer) {
    transfer.joins_batch = transfers_.size() > first_.back();
    post(transfer);
  }
  void end_slot() { first_.push_back(transfers_.size()); }

  std::size_t slots() const { return first_.size() - 1; }
  std::size_t size() const { return transfers_.size(); }
  const Transfer& operator[](std::size_t transfer) const { return transfers_[transfer]; }
  std::span<const Transfer> slot(std::size_t slot) const {
    return std::span(transfers_).subspan(first_[slot], first_[slot + 1] - first_[slot]);
  }
  /// The first transfer of a slot, or of a later one where it is empty.
  std::size_t first_of(std::size_t slot) const { return first_[slot]; }
  /// Behind the last of the batch that `transfer` begins.
  std::size_t end_of_batch(std::size_t transfer) const {
    do
      ++transfer;
    while (transfer < size() && transfers_[transfer].joins_batch);
    return transfer;
  }

 private:
  FlatArray<Transfer> transfers_;
  FlatArray<std::size_t> first_ = {0};  // [slots + 1]
};

/// The slot of `rank` before schedule.actions[action]; its last one where `action` is the first
/// action of the next rank.
inline std::size_t slot_before(Rank rank, std::size_t action) {
  return action + static_cast<std::size_t>(rank);
}

/// Fully sharded data parallelism gathers the weights of a stage, drops them and adds up its
/// gradients, among the ranks that hold the same one. It costs nothing here and is kept for
/// PyTorch.
enum class CollectiveKind : std::uint8_t { Unshard, Reshard, ReduceGrad };

struct Collective {
  CollectiveKind kind;
  Stage stage;
  std::size_t slot;
  std::size_t transfer;  ///< It comes before this one of its slot, or at the slot's end.
};

}  // namespace bubblescope
