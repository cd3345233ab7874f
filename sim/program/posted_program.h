// A schedule with its communication posted: what files hold, and what is lowered to a Program.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sim/schedule/schedule.h"
#include "sim/schedule/transfers.h"

namespace bubblescope {

/// How the ranks talk. `post_messages` has a way for each to place a schedule's transfers, and
/// `lower` knows what each makes them wait for.
enum class Comm : std::uint8_t {
  /// A message costs latency + bytes / bandwidth and occupies neither rank nor link: the papers'
  /// model. It needs no step of its own: it is an edge of the graph.
  Ideal,
  /// Messages run beside the actions, one after another on each ordered pair of ranks. A send is
  /// posted when the action before it ends, a receive when the action after it starts, and those
  /// before a rank's first action with the step; a message starts when both are posted and the one
  /// before it has arrived.
  Stream,
  /// Before an action, a rank starts sends and receives as one batch and waits for all of them. A
  /// message moves once both ranks have come to the batch that has it.
  Batched,
  /// As PyTorch's pipeline runtime talks. A send or receive is posted by itself when the action
  /// before it has ended, and starts when those before it on its channel are through and its peer
  /// has started the other end. An action waits for what it needs, and for no send.
  Torch,
};

struct CommName {
  std::string_view name;
  Comm comm;
};
/// All ways to talk, by their names on the command line.
std::span<const CommName> comm_names();
std::string_view to_string(Comm comm);

/// Transfers of one channel run one after another on their rank: NCCL's operations on one stream.
enum class Channels : std::uint8_t {
  PerRank,       ///< One for all.
  PerPair,       ///< One for each peer, both ways: PyTorch's communicators of two ranks.
  PerDirection,  ///< One for sends to each peer and one for receives from it.
};
/// "rank", "pair", "direction", in the order of the enumerators.
std::span<const std::string_view> channels_names();
std::string_view to_string(Channels channels);
/// Whether they matter: where transfers are posted one by one.
constexpr bool has_channels(Comm comm) {
  return comm == Comm::Stream || comm == Comm::Torch;
}
/// One a pair for Torch, else one a direction.
Channels default_channels(Comm comm);

/// Its orders and transfers are sound: `post_messages` checked them, or `find_fault` has to.
struct PostedProgram {
  Schedule schedule = {};
  Comm comm = Comm::Ideal;
  Transfers transfers = {};  ///< None where `comm` is Ideal.
  /// By slot, then transfer. Only where `comm` is Torch.
  std::vector<Collective> collectives = {};
  Channels channels = default_channels(comm);

  /// Whether messages are spelled out, as sends and receives.
  bool has_transfers() const { return comm != Comm::Ideal; }
};

}  // namespace bubblescope
