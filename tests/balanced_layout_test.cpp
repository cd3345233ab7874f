// Balanced layouts, held against all there are.
#include "sim/transformer/balanced_layout.h"

#include <random>
#include <set>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/transformer/model_file.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

/// A model of so many layers, of which the first few may be of another kind.
Model model_of(std::int64_t layers, std::int64_t dense, std::int64_t predictions) {
  Model model;
  model.name = "small";
  model.kinds.resize(2);
  for (std::int64_t layer = 0; layer < layers; ++layer)
    model.layers.push_back(layer < dense ? 0 : 1);
  model.predictions.assign(static_cast<std::size_t>(predictions), 1);
  return model;
}

LayoutWeights weights_of(const Model& model, Time embedding, Time dense, Time layer, Time head) {
  LayoutWeights weights{.embedding = embedding, .head = head};
  for (const auto kind : model.layers)
    weights.layers.push_back(kind == 0 ? dense : layer);
  if (model.prediction_depth() > 0)
    weights.predictions = layer + head;
  return weights;
}

/// All layouts in which each stage holds something.
void for_each_layout(const Model& model, int stages, const auto& use) {
  const std::int64_t layers = model.depth();
  const std::int64_t items = layers + 2 + (model.prediction_depth() > 0 ? 1 : 0);
  std::vector<std::int64_t> ends;
  const auto go = [&](auto&& self, std::int64_t begin) -> void {
    const auto left = stages - static_cast<int>(ends.size());
    if (left == 1) {
      ends.push_back(items);
      StageLayout layout;
      std::int64_t item = 0;
      for (const std::int64_t end : ends) {
        StageLayers& stage = layout.emplace_back();
        stage.first = std::max<std::int64_t>(0, std::min(layers, item - 1));
        for (; item < end; ++item) {
          stage.embedding = stage.embedding || item == 0;
          stage.layers += item > 0 && item <= layers ? 1 : 0;
          stage.predictions +=
              item == layers + 1 && item + 1 < items ? model.prediction_depth() : 0;
          stage.head = stage.head || item + 1 == items;
        }
      }
      use(layout);
      ends.pop_back();
      return;
    }
    for (std::int64_t end = begin + 1; end <= items - left + 1; ++end) {
      ends.push_back(end);
      self(self, end);
      ends.pop_back();
    }
  };
  go(go, 0);
}

void check_best(const Model& model, const LayoutWeights& weights, const Placement& placement) {
  LayoutLoad least{Time::max(), Time::max()};
  std::size_t ties = 0;
  for_each_layout(model, placement.depth, [&](const StageLayout& layout) {
    const LayoutLoad load = load_of(weights, layout, placement);
    ties = load < least ? 1 : ties + (load == least ? 1 : 0);
    least = std::min(least, load);
  });
  const BalancedLayouts found = balanced_layouts(model, weights, placement, 100'000);
  CHECK(found.is_exact);
  CHECK(found.layouts.size() == ties);
  std::set<std::string> texts;
  for (const StageLayout& layout : found.layouts) {
    CHECK(load_of(weights, layout, placement) == least);
    texts.insert(to_text(layout));
    CHECK(parse_layout(to_text(layout), model) == layout);
  }
  CHECK(texts.size() == ties);
}

}  // namespace

TEST_CASE("A balanced layout has the least load of all layouts, and all that tie are found") {
  for (const std::int64_t layers : {3, 5, 8, 12})
    for (const int ranks : {1, 2, 3, 4, 8})
      for (const int chunks : {1, 2})
        for (const int head : {0, 7, 10, 25, 40}) {
          const std::int64_t stages = std::int64_t{ranks} * chunks;
          if (stages > 8 || stages > layers + 2)
            continue;
          const Model model = model_of(layers, 0, 0);
          CAPTURE(fmt::format("{} layers, p={}, v={}, head {}", layers, ranks, chunks, head));
          const LayoutWeights weights = weights_of(model, Time(2), Time(10), Time(10), Time(head));
          check_best(model, weights, loop_placement({ranks, chunks}));
          if (chunks == 2)
            check_best(model, weights, v_placement(ranks));
          if (chunks == 1 && ranks % 2 == 0)
            check_best(model, weights, bidirectional_placement(ranks));
        }
}

TEST_CASE("Balanced layouts are the best with two kinds of layers and multi-token prediction too") {
  std::mt19937 random(20260918);
  for (int i = 0; i < 60; ++i) {
    const auto below = [&](unsigned most) { return static_cast<int>(random() % most); };
    const Model model = model_of(4 + below(8), below(4), below(3));
    const int chunks = 1 + below(2);
    const int ranks = 1 + below(8U / static_cast<unsigned>(chunks));
    if (std::int64_t{ranks} * chunks > model.depth() + 2)
      continue;
    const LayoutWeights weights = weights_of(model, Time(below(20)), Time(1 + below(20)),
                                             Time(1 + below(20)), Time(below(80)));
    CAPTURE(fmt::format("{} layers, p={}, v={}", model.depth(), ranks, chunks));
    check_best(model, weights,
               chunks == 2 && i % 2 == 0 ? v_placement(ranks) : loop_placement({ranks, chunks}));
  }
}

TEST_CASE(
    "More stages than a model has parts are refused, and layers in turn count by their mean") {
  const Model model = model_of(3, 0, 0);
  const LayoutWeights weights = weights_of(model, Time(1), Time(1), Time(1), Time(1));
  CHECK_THROWS_WITH_AS(balanced_layouts(model, weights, loop_placement({6, 1}), 1),
                       "the 3 layers of small do not give each of 6 stages something", Error);
  Model mixed = model_of(24, 0, 0);
  for (std::size_t i = 0; i < mixed.layers.size(); i += 2)
    mixed.layers[i] = 0;
  const BalancedLayouts found = balanced_layouts(
      mixed, weights_of(mixed, Time(1), Time(9), Time(10), Time(20)), loop_placement({4, 1}), 1);
  CHECK(!found.is_exact);
  CHECK(found.layouts.size() == 1);
}

}  // namespace bubblescope
