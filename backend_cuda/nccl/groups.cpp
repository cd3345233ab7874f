#include "backend_cuda/nccl/groups.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace bubblescope::gpu {

bool Group::has(int process) const {
  return std::find(processes.begin(), processes.end(), process) != processes.end();
}

Groups::Groups(const Plan& plan, const RankPlace& place, bool has_gradients)
    : plan_(plan),
      place_(place),
      group_of_stage_(static_cast<std::size_t>(plan.schedule().placement.stages()), kNone) {
  add_channels();
  if (has_gradients)
    add_gradients();
  if (place.replicas > 1 && plan.costs->most_sent_among_experts() > 0)
    add_experts();
}

Groups::Key Groups::key(Rank from, Rank to) const {
  switch (plan_.channels) {
    case Channels::PerRank:
      return {0, 0};
    case Channels::PerPair:
      return std::minmax(from, to);
    case Channels::PerDirection:
      break;
  }
  return {from, to};
}

void Groups::add_channels() {
  std::set<Key> keys;
  for (const PlanMessage& message : plan_.messages)
    keys.insert(key(message.from, message.to));
  const bool has_one = key(0, 1) == key(1, 2);
  const bool is_directed = key(0, 1) != key(1, 0);
  for (int replica = 0; replica < place_.replicas; ++replica)
    for (const Key& each : keys) {
      const RankPlace there{.replica = replica, .replicas = place_.replicas};
      Group group{.use = Group::Use::Messages,
                  .name = fmt::format(
                      "messages {} rank {} {} rank {}{}", is_directed ? "from" : "between",
                      each.first, is_directed ? "to" : "and", each.second, pipeline_words(replica)),
                  .processes = {there.process_of(each.first), there.process_of(each.second)}};
      if (has_one) {
        group.name = "messages of all ranks" + pipeline_words(replica);
        group.processes.clear();
        for (Rank rank = 0; rank < plan_.ranks(); ++rank)
          group.processes.push_back(there.process_of(rank));
      }
      std::sort(group.processes.begin(), group.processes.end());
      const bool is_ours = replica == place_.replica && group.has(place_.process_of(place_.rank));
      groups_.push_back(std::move(group));
      if (!is_ours)
        continue;
      channels_[each] = group_of_channel_.size();
      group_of_channel_.push_back(groups_.size() - 1);
    }
}

/// Where one rank has two copies of the same weights, each is added up over the replicas alone.
std::vector<Rank> Groups::ranks_with_copies(Stage stage) const {
  const Placement& placement = plan_.schedule().placement;
  const auto weights = [&](Stage of) {
    return placement.weights_of_stage[static_cast<std::size_t>(of)];
  };
  std::vector<Rank> ranks;
  for (Stage other = 0; other < placement.stages(); ++other)
    if (weights(other) == weights(stage))
      ranks.push_back(placement.rank(other));
  std::sort(ranks.begin(), ranks.end());
  if (std::adjacent_find(ranks.begin(), ranks.end()) != ranks.end())
    return {placement.rank(stage)};
  return ranks;
}

void Groups::add_gradients() {
  const Placement& placement = plan_.schedule().placement;
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const std::vector<Rank> ranks = ranks_with_copies(stage);
    Group group{.use = Group::Use::Gradients,
                .name = fmt::format("gradients of stage {}", stage),
                .processes = {}};
    for (const Rank rank : ranks)
      for (int replica = 0; replica < place_.replicas; ++replica)
        group.processes.push_back(
            RankPlace{.replica = replica, .replicas = place_.replicas}.process_of(rank));
    std::sort(group.processes.begin(), group.processes.end());
    if (group.processes.size() > 1)
      group_of_stage_[static_cast<std::size_t>(stage)] = add(std::move(group));
  }
}

void Groups::add_experts() {
  for (Rank rank = 0; rank < plan_.ranks(); ++rank) {
    Group group{.use = Group::Use::Experts,
                .name = fmt::format("experts of rank {}", rank),
                .processes = {}};
    for (int replica = 0; replica < place_.replicas; ++replica)
      group.processes.push_back(
          RankPlace{.replica = replica, .replicas = place_.replicas}.process_of(rank));
    if (rank == place_.rank)
      group_of_experts_ = groups_.size();
    groups_.push_back(std::move(group));
  }
}

std::string Groups::pipeline_words(int replica) const {
  return place_.replicas > 1 ? fmt::format(" of pipeline {}", replica) : "";
}

std::vector<std::size_t> Groups::in_rounds() const {
  std::vector<std::set<int>> busy;           // [round]
  std::vector<std::vector<std::size_t>> in;  // [round]
  for (std::size_t group = 0; group < groups_.size(); ++group) {
    const std::vector<int>& processes = groups_[group].processes;
    std::size_t round = 0;
    const auto is_busy = [&](int process) { return busy[round].contains(process); };
    while (round < busy.size() && std::any_of(processes.begin(), processes.end(), is_busy))
      ++round;
    busy.resize(std::max(busy.size(), round + 1));
    in.resize(busy.size());
    busy[round].insert(processes.begin(), processes.end());
    in[round].push_back(group);
  }
  std::vector<std::size_t> all;
  for (const std::vector<std::size_t>& each : in)
    all.insert(all.end(), each.begin(), each.end());
  return all;
}

/// Stages with copies in the same processes share a group.
std::size_t Groups::add(Group group) {
  const auto found = std::find_if(groups_.begin(), groups_.end(), [&](const Group& each) {
    return each.use == group.use && each.processes == group.processes;
  });
  if (found == groups_.end()) {
    groups_.push_back(std::move(group));
    return groups_.size() - 1;
  }
  return static_cast<std::size_t>(found - groups_.begin());
}

}  // namespace bubblescope::gpu
