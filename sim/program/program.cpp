#include "sim/program/program.h"

#include <algorithm>
#include <utility>

namespace bubblescope {
namespace {

/// Chains the transfers of each channel of one rank after another.
class ChannelQueues {
 public:
  explicit ChannelQueues(const Program& program)
      : channels_(program.channels),
        transfers_(program.transfers),
        before_(program.transfers.size(), kNoTransfer),
        last_(2 * static_cast<std::size_t>(program.schedule.placement.ranks), kNoTransfer) {}

  void begin_rank() {
    for (const std::size_t channel : used_)
      last_[channel] = kNoTransfer;
    used_.clear();
  }

  void add(std::size_t transfer) {
    const std::size_t own = channel(transfers_[transfer]);
    if (last_[own] == kNoTransfer)
      used_.push_back(own);
    before_[transfer] = std::exchange(last_[own], static_cast<std::uint32_t>(transfer));
  }

  std::vector<std::uint32_t> take() && { return std::move(before_); }

 private:
  /// A number below 2 · ranks that the channels of one rank do not share.
  std::size_t channel(const Transfer& transfer) const {
    const auto peer = static_cast<std::size_t>(transfer.peer);
    switch (channels_) {
      case Channels::PerRank:
        return 0;
      case Channels::PerPair:
        return peer;
      case Channels::PerDirection:
        break;
    }
    return 2 * peer + (transfer.is_send ? 1 : 0);
  }

  Channels channels_;
  const Transfers& transfers_;
  std::vector<std::uint32_t> before_;
  std::vector<std::uint32_t> last_;     // [channel] of the rank at hand
  std::vector<std::size_t> used_ = {};  // its channels that have a last one
};

/// The batches of a slot wait for one another.
std::vector<std::uint32_t> before_in_batches(const Transfers& transfers) {
  std::vector<std::uint32_t> before(transfers.size(), kNoTransfer);
  for (std::size_t slot = 0; slot < transfers.slots(); ++slot) {
    std::uint32_t batch_before = kNoTransfer;
    for (std::size_t batch = transfers.first_of(slot); batch < transfers.first_of(slot + 1);) {
      const std::size_t end = transfers.end_of_batch(batch);
      std::fill(before.begin() + static_cast<std::ptrdiff_t>(batch),
                before.begin() + static_cast<std::ptrdiff_t>(end), batch_before);
      batch_before = static_cast<std::uint32_t>(batch);
      batch = end;
    }
  }
  return before;
}

}  // namespace

std::span<const CommName> comm_names() {
  static constexpr CommName kNames[] = {{"ideal", Comm::Ideal},
                                        {"stream", Comm::Stream},
                                        {"batched", Comm::Batched},
                                        {"torch", Comm::Torch}};
  return kNames;
}

std::string_view to_string(Comm comm) {
  return comm_names()[static_cast<std::size_t>(comm)].name;
}

std::span<const std::string_view> channels_names() {
  static constexpr std::string_view kNames[] = {"rank", "pair", "direction"};
  return kNames;
}

std::string_view to_string(Channels channels) {
  return channels_names()[static_cast<std::size_t>(channels)];
}

Channels default_channels(Comm comm) {
  return comm == Comm::Torch ? Channels::PerPair : Channels::PerDirection;
}

std::vector<std::uint32_t> before_on_channel(const Program& program) {
  const Transfers& transfers = program.transfers;
  if (program.comm == Comm::Batched)
    return before_in_batches(transfers);
  ChannelQueues queues(program);
  const auto add_slot = [&](std::size_t slot, bool sends, bool receives) {
    for (std::size_t i = transfers.first_of(slot); i < transfers.first_of(slot + 1); ++i)
      if (transfers[i].is_send ? sends : receives)
        queues.add(i);
  };
  std::size_t slot = 0;
  for (Rank rank = 0; rank < program.schedule.placement.ranks && slot < transfers.slots(); ++rank) {
    queues.begin_rank();
    const std::size_t end =
        slot_before(rank, program.schedule.first_action[static_cast<std::size_t>(rank) + 1]) + 1;
    for (; slot < end; ++slot)
      if (program.comm ==
          Comm::Stream) {  // sends when an action ends, receives when the next starts
        add_slot(slot, true, false);
        add_slot(slot, false, true);
      } else {
        add_slot(slot, true, true);
      }
  }
  return std::move(queues).take();
}

}  // namespace bubblescope
