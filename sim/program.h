// A schedule with its communication spelled out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sim/schedule.h"

namespace bubblescope {

/// How the ranks talk. Each way is a lowering of its own from Schedule to Program.
enum class Comm : std::uint8_t {
  /// A message costs latency + bytes / bandwidth and occupies neither rank nor link: the papers'
  /// model. It needs no step of its own: it is an edge of the graph.
  Ideal,
  /// Messages run beside the actions, one after another on each ordered pair of ranks. A send is
  /// posted when its producer ends, a receive when the action before its consumer starts, and those
  /// of a rank's first two actions with the step; a message starts when both are posted and the one
  /// before it has arrived.
  Stream,
  /// Before an action, a rank starts sends and receives as one batch and waits for all of them. A
  /// message moves once both ranks have come to the batch that has it.
  Batched,
};

struct CommName {
  std::string_view name;
  Comm comm;
};
/// All ways to talk, by their names on the command line.
std::span<const CommName> comm_names();
std::string_view to_string(Comm comm);

/// One end of a message.
struct Transfer {
  Op output;  ///< What moves: the activation of an F, or the gradient of an I; of a B too as `I`.
  Rank peer;  ///< The rank at the other end.
  bool is_send;
};

/// What the ranks post, slot by slot. A rank has a slot before each of its actions and one after
/// its last.
class Transfers {
 public:
  /// Adds to the slot that is open; `end_slot` opens the next.
  void post(const Transfer& transfer) { transfers_.push_back(transfer); }
  void end_slot() { first_.push_back(transfers_.size()); }

  std::size_t slots() const { return first_.size() - 1; }
  std::size_t size() const { return transfers_.size(); }
  std::span<const Transfer> slot(std::size_t slot) const {
    return std::span(transfers_).subspan(first_[slot], first_[slot + 1] - first_[slot]);
  }

 private:
  std::vector<Transfer> transfers_;
  std::vector<std::size_t> first_ = {0};  // [slots + 1]
};

/// The slot of `rank` before schedule.actions[action]; its last one where `action` is the first
/// action of the next rank.
inline std::size_t slot_before(Rank rank, std::size_t action) {
  return action + static_cast<std::size_t>(rank);
}

/// The schedule's orders, and the transfers, are sound: `lower` has checked them.
struct Program {
  Schedule schedule;
  Comm comm = Comm::Ideal;
  Transfers transfers = {};  ///< None where `comm` is Ideal.
};

}  // namespace bubblescope
