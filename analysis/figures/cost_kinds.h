// The six costs that a step is made of, and how often something is made of each.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "sim/engine/dependency_graph.h"

namespace bubblescope {

enum class CostKind : std::uint8_t { Forward, InputGrad, WeightGrad, Backward, Pair, Hop };
constexpr std::size_t kCostKinds = 6;
/// As people write them. In JSON, a pair is "FB".
constexpr std::array<const char*, kCostKinds> kCostNames = {"F", "I", "W", "B", "F&B", "hop"};
constexpr std::array<const char*, kCostKinds> kCostKeys = {"F", "I", "W", "B", "FB", "hop"};

/// [CostKind]
template <typename T>
using PerCost = std::array<T, kCostKinds>;

constexpr std::size_t index(CostKind kind) {
  return static_cast<std::size_t>(kind);
}

/// The parts of a full backward and the whole, as indices.
constexpr std::size_t kI = index(CostKind::InputGrad);
constexpr std::size_t kW = index(CostKind::WeightGrad);
constexpr std::size_t kB = index(CostKind::Backward);

inline CostKind cost_kind(const Action& action) {
  constexpr CostKind kOfOp[] = {CostKind::Forward, CostKind::InputGrad, CostKind::WeightGrad,
                                CostKind::Backward};
  return action.is_pair() ? CostKind::Pair : kOfOp[static_cast<std::size_t>(action.op().kind())];
}

/// Of an action, or of a message that is a node.
inline CostKind cost_kind(const DependencyGraph& graph, NodeId node) {
  return graph.is_message(node) ? CostKind::Hop : cost_kind(graph.action(node));
}

/// Whether an edge of ideal communication is a message: it leads from one rank to another.
inline bool is_hop(const DependencyGraph& graph, NodeId producer, NodeId consumer) {
  return graph.messages().empty() && graph.rank()[producer] != graph.rank()[consumer];
}

}  // namespace bubblescope
