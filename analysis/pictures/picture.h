// What all pictures of a schedule share: colours, hatches and words, and the figures they draw.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/figures/analysis.h"
#include "analysis/pictures/svg.h"

namespace bubblescope {

/// A box is drawn in one of two shades of its kind: that of its pipe where there are two, else that
/// of its chunk. One of a shade has its border in the other, so that it stands out from any paper.
constexpr std::size_t kShades = 2;
struct BoxPaint {
  std::string_view fill;
  std::string_view ink;  ///< Of the number in it, at a contrast of 4.5 and more.
};
/// The same in the light and the dark scheme. Kinds of one shade are told apart by those who lack a
/// kind of cone, too.
BoxPaint box_paint(OpKind kind, std::size_t shade);
/// "forward", "backward for the input", …
std::string_view kind_words(OpKind kind);

/// [stage]
std::vector<std::uint8_t> shade_of_stage(const Placement& placement);
/// "second pipe", "even chunks"; empty where all boxes have one shade.
std::string shade_words(const Placement& placement, std::size_t shade);

/// How a bubble is hatched: lines of an SVG path in a square tile, which may cross its borders.
struct Hatch {
  std::string_view lines;
  bool is_dotted = false;  ///< Each is a dot, by round ends.
};
constexpr int kHatchTile = 8;
Hatch hatch(BubbleCause cause);
constexpr Paint kHatchPaper = {"#f4f5f7", "#1d2229"};
constexpr Paint kHatchInk = {"#98a0ab", "#5f6875"};

constexpr Paint kMemoryArea = {"#d3dae4", "#37414f"};
constexpr Paint kMemoryLine = {"#5f6b7c", "#9aa7b8"};

/// A picture holds all that is drawn, laid out once, and references into the analysis.
struct Picture {
  explicit Picture(const Analysis& run);

  const DependencyGraph& graph;
  const Timeline& timeline;
  Span step;                                ///< First start to last end of the actions.
  std::vector<NodeId> node_of_action = {};  ///< [index in the schedule's actions]
  const std::vector<Bubble>& bubbles;       ///< By rank, then time.
  std::vector<std::uint8_t> shades = {};    ///< [stage]

  const Placement& placement() const { return graph.schedule().placement; }
  const Span& span_of_action(std::size_t action) const {
    return timeline.spans[node_of_action[action]];
  }
  /// The part of a pair's length that its forward's half of the box takes: as both take alone.
  double forward_share(const Action& pair) const;
};

/// Live activations of a rank from `at` on.
struct LiveChange {
  Time at;
  int live;
};
/// One entry for each moment at which they change, in time order.
std::vector<LiveChange> live_changes(const Picture& picture, Rank rank);

}  // namespace bubblescope
