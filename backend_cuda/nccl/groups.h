// Which processes share a communicator, and for what.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope::gpu {

/// Processes of one communicator, by rising number.
struct Group {
  enum class Use : std::uint8_t { Messages, Gradients, Experts };
  Use use;
  std::string name;  ///< "messages from rank 0 to rank 1", "… of pipeline 2"
  std::vector<int> processes;

  bool has(int process) const;
};

/// The groups of a job. All processes number them alike, so that all make them in one order and
/// none waits for another in a circle.
class Groups {
 public:
  /// With gradients, those that add them up are among them; with phases that send among experts,
  /// those in which the replicas of a rank do.
  Groups(const Plan& plan, const RankPlace& place, bool has_gradients);

  static constexpr std::size_t kNone = ~std::size_t{0};

  const std::vector<Group>& all() const { return groups_; }
  /// All of them, as their communicators are made: in rounds in which a process is in one at most,
  /// so that it does not wait for a chain of others.
  std::vector<std::size_t> in_rounds() const;
  /// Channels of this rank: messages of one keep their order. Where each direction of a pair of
  /// ranks has one, that; else those of the pair; else, as in batches, all share one.
  std::size_t channels() const { return group_of_channel_.size(); }
  std::size_t channel(Rank from, Rank to) const { return channels_.at(key(from, to)); }
  std::size_t group_of_channel(std::size_t channel) const { return group_of_channel_[channel]; }
  /// Those with copies of a stage's weights, or kNone where no other process has one.
  std::size_t group_of_gradients(Stage stage) const {
    return group_of_stage_[static_cast<std::size_t>(stage)];
  }
  /// This rank's replicas, or kNone where they have nothing to send one another.
  std::size_t group_of_experts() const { return group_of_experts_; }

 private:
  using Key = std::pair<Rank, Rank>;
  Key key(Rank from, Rank to) const;
  void add_channels();
  void add_gradients();
  void add_experts();
  std::size_t add(Group group);
  std::string pipeline_words(int replica) const;
  std::vector<Rank> ranks_with_copies(Stage stage) const;

  const Plan& plan_;
  RankPlace place_;
  std::vector<Group> groups_ = {};
  std::map<Key, std::size_t> channels_ = {};  // of this rank
  std::vector<std::size_t> group_of_channel_ = {};
  std::vector<std::size_t> group_of_stage_;  // [stage]
  std::size_t group_of_experts_ = kNone;
};

}  // namespace bubblescope::gpu
