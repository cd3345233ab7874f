#include "sim/transformer/balanced_layout.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/transformer/analytic_costs.h"

namespace bubblescope {
namespace {

/// Parts before, or behind, the longest run of equal layers whose divisions are all tried.
constexpr std::size_t kMostApart = 10;

/// A model's parts in their order: the embedding, layers, multi-token prediction, the head.
struct Items {
  std::vector<std::int64_t> weight = {};
  std::size_t run_begin = 0;  // the longest run of equal layers
  std::size_t run_end = 0;
};

Items items_of(const LayoutWeights& weights, bool has_predictions, bool& is_exact) {
  Items items;
  items.weight.push_back(weights.embedding.count());
  for (const Time layer : weights.layers)
    items.weight.push_back(layer.count());
  const std::size_t layers_end = items.weight.size();
  const auto find_run = [&] {
    for (std::size_t begin = 1; begin < layers_end;) {
      std::size_t end = begin;
      while (end < layers_end && items.weight[end] == items.weight[begin])
        ++end;
      if (end - begin > items.run_end - items.run_begin)
        std::tie(items.run_begin, items.run_end) = std::pair(begin, end);
      begin = end;
    }
  };
  find_run();
  if (items.run_begin > kMostApart || layers_end - items.run_end + 2 > kMostApart) {
    is_exact = false;
    const std::int64_t sum =
        std::accumulate(items.weight.begin() + 1, items.weight.end(), std::int64_t{0});
    std::fill(items.weight.begin() + 1, items.weight.end(),
              sum / static_cast<std::int64_t>(layers_end - 1));
    items.run_begin = items.run_end = 0;
    find_run();
  }
  if (has_predictions)
    items.weight.push_back(weights.predictions.count());
  items.weight.push_back(weights.head.count());
  return items;
}

/// All ways to cut `count` items, one at least, into parts in order: their sizes.
std::vector<std::vector<std::size_t>> cuts(std::size_t count) {
  std::vector<std::vector<std::size_t>> result;
  for (std::size_t mask = 0; mask < std::size_t{1} << (count - 1); ++mask) {
    std::vector<std::size_t> parts = {1};
    for (std::size_t i = 0; i + 1 < count; ++i)
      if ((mask >> i & 1U) != 0)
        parts.push_back(1);
      else
        ++parts.back();
    result.push_back(std::move(parts));
  }
  return result;
}

/// One way to divide what stands before and behind the run. Layers of the run go into the last
/// stage before it, the first behind it, and those between, which have nothing else.
struct Frame {
  std::vector<std::int64_t> fixed = {};  // [position] weight of what is divided
  std::vector<std::size_t> items = {};   // [position] how many they are
  std::vector<std::int64_t> least = {};  // [position] layers of the run, 1 between
  std::vector<bool> is_open = {};        // [position] takes layers of the run
};

std::vector<Frame> frames_of(const Items& items, std::size_t depth) {
  std::vector<Frame> frames;
  const std::size_t behind = items.weight.size() - items.run_end;
  for (const auto& front : cuts(items.run_begin))
    for (const auto& back : cuts(behind)) {
      const std::size_t parts = front.size() + back.size();
      if (parts > depth + 1)
        continue;
      Frame frame{std::vector<std::int64_t>(depth), std::vector<std::size_t>(depth),
                  std::vector<std::int64_t>(depth), std::vector<bool>(depth)};
      std::size_t item = 0;
      const auto put = [&](std::size_t position, std::size_t count) {
        for (; count > 0; --count) {
          frame.fixed[position] += items.weight[item++];
          ++frame.items[position];
        }
      };
      for (std::size_t i = 0; i < front.size(); ++i)
        put(i, front[i]);
      item = items.run_end;
      for (std::size_t i = 0; i < back.size(); ++i)
        put(depth - back.size() + i, back[i]);
      for (std::size_t position = front.size() - 1; position <= depth - back.size(); ++position) {
        frame.is_open[position] = true;
        frame.least[position] = frame.items[position] == 0 ? 1 : 0;
      }
      frames.push_back(std::move(frame));
    }
  return frames;
}

class Balance {
 public:
  Balance(Items items, const Placement& placement)
      : items_(std::move(items)),
        each_(items_.weight[items_.run_begin]),
        layers_(static_cast<std::int64_t>(items_.run_end - items_.run_begin)),
        depth_(static_cast<std::size_t>(placement.depth)) {
    // Where two pipes cross, two ranks have the same stages: one of them stands for both.
    for (Stage stage = 0; stage < placement.depth; ++stage) {
      Rank rank = placement.rank(stage);
      if (placement.pipes == 2)
        rank = std::min(rank, placement.rank(stage + placement.depth));
      group_.push_back(static_cast<std::size_t>(rank));
    }
    groups_ = static_cast<std::size_t>(placement.ranks);
    frames_ = frames_of(items_, depth_);
  }

  /// Sizes of the stages in items, of each layout that ties.
  std::vector<std::vector<std::size_t>> run(std::size_t most) {
    constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max() / 4;
    const std::int64_t rank = least(
        [&](std::int64_t limit, const Frame& frame) { return is_feasible(frame, limit, kNone); });
    const std::int64_t stage = least(
        [&](std::int64_t limit, const Frame& frame) { return is_feasible(frame, rank, limit); });
    std::vector<std::vector<std::size_t>> result;
    for (const Frame& frame : frames_)
      if (is_feasible(frame, rank, stage)) {
        std::vector<std::int64_t> counts;
        fill(frame, rank, stage, counts, most, result);
      }
    return result;
  }

 private:
  /// The least limit with which some frame is feasible.
  template <typename Feasible>
  std::int64_t least(const Feasible& feasible) const {
    std::int64_t high =
        std::accumulate(items_.weight.begin(), items_.weight.end(), std::int64_t{0}) * 2;
    std::int64_t low = 0;
    const auto any = [&](std::int64_t limit) {
      return std::any_of(frames_.begin(), frames_.end(),
                         [&](const Frame& frame) { return feasible(limit, frame); });
    };
    while (low < high) {
      const std::int64_t middle = low + (high - low) / 2;
      if (any(middle))
        high = middle;
      else
        low = middle + 1;
    }
    return low;
  }

  std::int64_t room(std::int64_t limit, std::int64_t taken) const {
    if (taken > limit)
      return -1;
    return each_ == 0 ? layers_ : std::min(layers_, (limit - taken) / each_);
  }

  /// Positions from `from` on may take so many, beside `counts` of the ones before.
  bool is_feasible(const Frame& frame, std::int64_t rank, std::int64_t stage,
                   const std::vector<std::int64_t>& counts = {}) const {
    std::vector<std::int64_t> taken(groups_);
    std::vector<std::int64_t> most(groups_);
    std::vector<std::int64_t> needed(groups_);
    std::int64_t left = layers_;
    for (std::size_t position = 0; position < depth_; ++position) {
      const std::size_t group = group_[position];
      taken[group] += frame.fixed[position];
      if (position < counts.size()) {
        taken[group] += counts[position] * each_;
        left -= counts[position];
        continue;
      }
      const std::int64_t own = room(stage, frame.fixed[position]);
      if (own < frame.least[position])
        return false;
      needed[group] += frame.least[position];
      most[group] += frame.is_open[position] ? own : 0;
    }
    std::int64_t all = 0;
    std::int64_t all_needed = 0;
    for (std::size_t group = 0; group < groups_; ++group) {
      const std::int64_t own = room(rank, taken[group]);
      if (own < needed[group])
        return false;
      all += std::min(own, most[group]);
      all_needed += needed[group];
    }
    return all_needed <= left && left <= all;
  }

  /// Longer stages first.
  void fill(const Frame& frame, std::int64_t rank, std::int64_t stage,
            std::vector<std::int64_t>& counts, std::size_t most,
            std::vector<std::vector<std::size_t>>& result) const {
    if (result.size() >= most)
      return;
    const std::size_t position = counts.size();
    if (position == depth_) {
      std::vector<std::size_t> sizes = frame.items;
      for (std::size_t i = 0; i < depth_; ++i)
        sizes[i] += static_cast<std::size_t>(counts[i]);
      result.push_back(std::move(sizes));
      return;
    }
    const std::int64_t longest =
        frame.is_open[position] ? room(stage, frame.fixed[position]) : std::int64_t{0};
    for (std::int64_t count = longest; count >= frame.least[position]; --count) {
      counts.push_back(count);
      if (is_feasible(frame, rank, stage, counts))
        fill(frame, rank, stage, counts, most, result);
      counts.pop_back();
    }
  }

  Items items_;
  std::int64_t each_;    // of the run
  std::int64_t layers_;  // of the run
  std::size_t depth_;
  std::size_t groups_ = 0;
  std::vector<std::size_t> group_ = {};  // [position]
  std::vector<Frame> frames_ = {};
};

StageLayout to_layout(const Model& model, const std::vector<std::size_t>& sizes) {
  const std::int64_t layers = model.depth();
  const bool has_predictions = model.prediction_depth() > 0;
  StageLayout layout;
  std::int64_t item = 0;
  std::int64_t next = 0;
  for (const std::size_t size : sizes) {
    StageLayers& stage = layout.emplace_back(StageLayers{.first = next});
    for (std::size_t i = 0; i < size; ++i, ++item) {
      if (item == 0)
        stage.embedding = true;
      else if (item <= layers)
        ++stage.layers;
      else if (has_predictions && item == layers + 1)
        stage.predictions = model.prediction_depth();
      else
        stage.head = true;
    }
    next += stage.layers;
  }
  return layout;
}

/// A stage keeps its rank busy for so long.
Time busy(const StageCost& stage) {
  return run_phases(stage.phases, OpKind::Forward).length +
         run_phases(stage.phases, OpKind::Backward).length;
}

}  // namespace

LayoutWeights layout_weights(const ModelJob& job) {
  const Model& model = job.model;
  ModelJob parts = job;
  parts.layout.emplace();
  std::vector<std::size_t> stage_of_kind(model.kinds.size());  // from 1; 0: not there
  for (std::int64_t layer = 0; layer < model.depth(); ++layer) {
    std::size_t& stage = stage_of_kind[model.layers[static_cast<std::size_t>(layer)]];
    if (stage != 0)
      continue;
    parts.layout->push_back({.first = layer, .layers = 1});
    stage = parts.layout->size();
  }
  const std::size_t kinds = parts.layout->size();
  parts.layout->push_back({.embedding = true, .layers = 1});
  parts.layout->push_back({.layers = 1, .predictions = model.prediction_depth()});
  parts.layout->push_back({.layers = 1, .head = true});
  const auto& stages = analytic_costs(parts, static_cast<int>(kinds + 3)).source.stages;
  LayoutWeights weights;
  for (const auto kind : model.layers)
    weights.layers.push_back(busy(stages[stage_of_kind[kind] - 1]));
  const auto beside = [&](std::size_t stage) {
    return std::max(Time::zero(), busy(stages[kinds + stage]) - weights.layers.front());
  };
  weights.embedding = beside(0);
  weights.predictions = beside(1);
  weights.head = beside(2);
  return weights;
}

LayoutLoad load_of(const LayoutWeights& weights, const StageLayout& layout,
                   const Placement& placement) {
  std::vector<Time> ranks(static_cast<std::size_t>(placement.ranks));
  LayoutLoad load;
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const StageLayers& held = layout[static_cast<std::size_t>(stage % placement.depth)];
    const auto first = weights.layers.begin() + held.first;
    Time sum = std::accumulate(first, first + held.layers, Time::zero());
    sum += (held.embedding ? weights.embedding : Time::zero()) +
           (held.predictions > 0 ? weights.predictions : Time::zero()) +
           (held.head ? weights.head : Time::zero());
    Time& rank = ranks[static_cast<std::size_t>(placement.rank(stage))];
    rank += sum;
    load.stage = std::max(load.stage, sum);
    load.rank = std::max(load.rank, rank);
  }
  return load;
}

BalancedLayouts balanced_layouts(const Model& model, const LayoutWeights& weights,
                                 const Placement& placement, std::size_t most) {
  BalancedLayouts result;
  Items items = items_of(weights, model.prediction_depth() > 0, result.is_exact);
  if (items.weight.size() < static_cast<std::size_t>(placement.depth))
    throw Error(fmt::format("the {} layers of {} do not give each of {} stages something",
                            model.depth(), model.name, placement.depth));
  for (const auto& sizes : Balance(std::move(items), placement).run(std::max<std::size_t>(1, most)))
    result.layouts.push_back(to_layout(model, sizes));
  return result;
}

StageLayout layout_over(const ModelJob& job, const Placement& placement) {
  if (job.layout)
    return *job.layout;
  if (!job.is_balanced)
    return even_layout(job.model, placement.depth);
  return balanced_layouts(job.model, layout_weights(job), placement, 1).layouts.front();
}

}  // namespace bubblescope
