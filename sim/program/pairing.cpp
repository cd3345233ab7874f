#include "sim/program/pairing.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

/// The messages from one rank to another, which are numbered in turn.
struct Flow {
  Rank from;
  Rank to;
  MessageId first;
  MessageId sent;
  MessageId received = 0;

  std::pair<Rank, Rank> ranks() const { return {from, to}; }
};

/// Pairs the k-th send from one rank to another with the k-th receive.
class InTurn {
 public:
  explicit InTurn(Program& program)
      : program_(program),
        transfers_(program.posted.transfers),
        count_(static_cast<std::size_t>(program.ranks())) {
    for (auto& flows : flow_of_peer_)
      flows.resize(count_.size());
  }

  void pair() {
    for (Rank rank = 0; rank < program_.ranks(); ++rank)
      count_sends(rank);
    program_.message_ends.resize(flows_.empty() ? 0 : flows_.back().first + flows_.back().sent);
    for (Flow& flow : flows_)
      flow.sent = 0;
    for (Rank rank = 0; rank < program_.ranks(); ++rank)
      number(rank);
    for (const Flow& flow : flows_)
      if (flow.sent != flow.received)
        is_paired_ = false;
    if (!is_paired_)
      refuse();
  }

 private:
  static constexpr MessageId kNone = ~MessageId{0};

  std::size_t first_of(Rank rank) const {
    return transfers_.first_of(
        slot_before(rank, program_.schedule().first_action[static_cast<std::size_t>(rank)]));
  }

  void count_sends(Rank rank) {
    std::vector<Rank> peers;
    for (std::size_t i = first_of(rank); i < first_of(rank + 1); ++i)
      if (transfers_[i].is_send && count_[static_cast<std::size_t>(transfers_[i].peer)]++ == 0)
        peers.push_back(transfers_[i].peer);
    std::sort(peers.begin(), peers.end());
    for (const Rank peer : peers) {
      const MessageId first = flows_.empty() ? 0 : flows_.back().first + flows_.back().sent;
      flows_.push_back(
          {rank, peer, first, std::exchange(count_[static_cast<std::size_t>(peer)], 0)});
    }
  }

  /// Null where nothing is sent.
  Flow* flow(Rank from, Rank to) {
    const auto found = std::lower_bound(
        flows_.begin(), flows_.end(), std::pair(from, to),
        [](const Flow& flow, const std::pair<Rank, Rank>& key) { return flow.ranks() < key; });
    return found != flows_.end() && found->ranks() == std::pair(from, to) ? &*found : nullptr;
  }

  void number(Rank rank) {
    for (std::size_t i = first_of(rank); i < first_of(rank + 1); ++i) {
      const Transfer& transfer = transfers_[i];
      const bool is_send = transfer.is_send;
      Flow*& found = flow_of_peer_[is_send ? 1 : 0][static_cast<std::size_t>(transfer.peer)];
      if (found == nullptr || (is_send ? found->from : found->to) != rank)
        found = is_send ? flow(rank, transfer.peer) : flow(transfer.peer, rank);
      const MessageId message =
          found == nullptr ? kNone : found->first + (is_send ? found->sent : found->received)++;
      if (message >= program_.message_ends.size()) {
        is_paired_ = false;
        continue;
      }
      program_.transfers[i] = {message, is_send};
      (is_send ? program_.message_ends[message].send : program_.message_ends[message].receive) =
          static_cast<TransferId>(i);
    }
  }

  /// Names the first send or receive that has no other end, by sender, receiver and turn.
  [[noreturn]] void refuse() const {
    struct End {
      std::pair<Rank, Rank> ranks;
      Op output;
    };
    std::vector<End> ends[2];  // receives, sends
    for (Rank rank = 0; rank < program_.ranks(); ++rank)
      for (std::size_t i = first_of(rank); i < first_of(rank + 1); ++i) {
        const Transfer& each = transfers_[i];
        ends[each.is_send ? 1 : 0].push_back(
            {each.is_send ? std::pair(rank, each.peer) : std::pair(each.peer, rank), each.output});
      }
    const auto by_ranks = [](const End& a, const End& b) { return a.ranks < b.ranks; };
    for (auto& each : ends)
      std::stable_sort(each.begin(), each.end(), by_ranks);
    const auto& [receives, sends] = ends;
    std::size_t i = 0;
    while (i < sends.size() && i < receives.size() && sends[i].ranks == receives[i].ranks)
      ++i;
    if (i == receives.size() || (i < sends.size() && by_ranks(sends[i], receives[i])))
      throw Error(fmt::format(
          "schedule {}: rank {} sends the output of {} to rank {}, where nothing receives it",
          program_.schedule().name, sends[i].ranks.first, to_string(sends[i].output),
          sends[i].ranks.second));
    throw Error(fmt::format(
        "schedule {}: rank {} receives the output of {} from rank {}, which does not send it",
        program_.schedule().name, receives[i].ranks.second, to_string(receives[i].output),
        receives[i].ranks.first));
  }

  Program& program_;
  const Transfers& transfers_;
  std::vector<Flow> flows_ = {};                         // by sender and receiver
  std::array<std::vector<Flow*>, 2> flow_of_peer_ = {};  // [is_send][peer] as found last
  std::vector<MessageId> count_;  // [rank] of what the rank at hand sends to it
  bool is_paired_ = true;
};

void pair_by_output(Program& program) {
  const Transfers& transfers = program.posted.transfers;
  const OutputNumbers number(program.schedule().placement, program.schedule().microbatches);
  std::vector<MessageId> message(number.size());  // [output]
  for (std::size_t i = 0; i < transfers.size(); ++i)
    if (transfers[i].is_send)
      message[number[transfers[i].output]] = 1;
  MessageId messages = 0;
  for (MessageId& each : message)
    messages += std::exchange(each, messages);
  program.message_ends.resize(messages);
  for (std::size_t i = 0; i < transfers.size(); ++i) {
    const MessageId id = message[number[transfers[i].output]];
    const bool is_send = transfers[i].is_send;
    program.transfers[i] = {id, is_send};
    (is_send ? program.message_ends[id].send : program.message_ends[id].receive) =
        static_cast<TransferId>(i);
  }
}

}  // namespace

void pair_transfers(Program& program) {
  program.transfers.resize(program.posted.transfers.size());
  if (program.is_eager)
    pair_by_output(program);
  else
    InTurn(program).pair();
}

}  // namespace bubblescope
