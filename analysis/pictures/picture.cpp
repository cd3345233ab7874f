#include "analysis/pictures/picture.h"

#include <array>
#include <map>
#include <utility>

#include "sim/engine/simulate.h"

namespace bubblescope {
namespace {

constexpr std::string_view kDarkInk = "#10151b";
constexpr std::string_view kLightInk = "#ffffff";

/// [kind][shade]
constexpr std::array<std::array<std::string_view, kShades>, kOpKinds> kFills = {{
    {"#6f9ff2", "#274a96"},
    {"#f2c26b", "#89621a"},
    {"#62dcc2", "#0b7c61"},
    {"#e87f84", "#7a262b"},
}};

constexpr std::string_view kRising = "M0 8 8 0M-1 1 1-1M7 9 9 7";
constexpr std::string_view kFalling = "M0 0 8 8M-1 7 1 9M7-1 9 1";
constexpr std::string_view kBoth = "M0 0 8 8M-1 7 1 9M7-1 9 1M0 8 8 0M-1 1 1-1M7 9 9 7";
constexpr std::string_view kZigzag = "M0 3 2 1 6 5 8 3M0 7 2 5 6 9 8 7M0-1 2-3 6 1 8-1";

Span extent(const DependencyGraph& graph, const Timeline& timeline) {
  Span step = kNoSpan;
  for (const Span& rank : rank_spans(graph, timeline))
    step.include(rank);
  return step == kNoSpan ? Span{} : step;
}

}  // namespace

BoxPaint box_paint(OpKind kind, std::size_t shade) {
  return {kFills[static_cast<std::size_t>(kind)][shade], shade == 0 ? kDarkInk : kLightInk};
}

std::string_view kind_words(OpKind kind) {
  static constexpr std::string_view kWords[] = {"forward", "backward for the input",
                                                "backward for the weights", "full backward"};
  return kWords[static_cast<std::size_t>(kind)];
}

std::vector<std::uint8_t> shade_of_stage(const Placement& placement) {
  std::vector<std::uint8_t> shades;
  std::map<std::pair<int, Rank>, unsigned> chunks;  // so far, of a pipe on a rank
  for (Stage stage = 0; stage < placement.stages(); ++stage) {
    const int pipe = stage / placement.depth;
    const unsigned chunk = chunks[{pipe, placement.rank(stage)}]++;
    const unsigned shade = placement.pipes > 1 ? static_cast<unsigned>(pipe) : chunk;
    shades.push_back(static_cast<std::uint8_t>(shade % kShades));
  }
  return shades;
}

std::string shade_words(const Placement& placement, std::size_t shade) {
  if (placement.pipes > 1)
    return shade == 0 ? "first pipe" : "second pipe";
  if (placement.chunks() == 2)
    return shade == 0 ? "first chunk" : "second chunk";
  if (placement.chunks() > 2)
    return shade == 0 ? "odd chunks: 1st, 3rd, …" : "even chunks: 2nd, 4th, …";
  return "";
}

Hatch hatch(BubbleCause cause) {
  switch (cause) {
    case BubbleCause::WarmUp:
      return {kRising};
    case BubbleCause::Dependency:
      return {"M2 2h0M6 6h0", true};
    case BubbleCause::Imbalance:
      return {"M0 2h8M0 6h8M2 0v8M6 0v8"};
    case BubbleCause::Peer:
      return {kBoth};
    case BubbleCause::Queue:
      return {"M0 2h8M0 6h8"};
    case BubbleCause::Message:
      return {"M2 0v8M6 0v8"};
    case BubbleCause::Contention:
      return {kZigzag};
    case BubbleCause::Drain:
      return {kFalling};
    case BubbleCause::Unknown:
      break;
  }
  return {""};
}

Picture::Picture(const Analysis& run)
    : graph(run.graph),
      timeline(run.timeline),
      step(extent(graph, timeline)),
      bubbles(run.bubbles()) {
  node_of_action.resize(graph.schedule().actions.size());
  for (NodeId node = 0; node < graph.size(); ++node)
    if (!graph.is_message(node))
      node_of_action[graph.action_index()[node]] = node;
  shades = shade_of_stage(placement());
}

double Picture::forward_share(const Action& pair) const {
  const auto alone = [&](const Op& op) {
    return static_cast<double>(graph.costs().duration(op).count());
  };
  const double both = alone(pair.op()) + alone(pair.overlapped());
  return both > 0 ? alone(pair.op()) / both : 0.5;
}

std::vector<LiveChange> live_changes(const Picture& picture, Rank rank) {
  const Schedule& schedule = picture.graph.schedule();
  const auto r = static_cast<std::size_t>(rank);
  std::vector<LiveChange> changes;
  int live = 0;
  for (std::size_t i = schedule.first_action[r]; i < schedule.first_action[r + 1]; ++i)
    schedule.actions[i].for_each_op([&](const Op& op) {
      const int change = live_activation_change(op.kind());
      if (change == 0)
        return;
      live += change;
      const Span& span = picture.span_of_action(i);
      const Time at = change > 0 ? span.start : span.end;
      if (!changes.empty() && changes.back().at == at)
        changes.back().live = live;
      else
        changes.push_back({at, live});
    });
  return changes;
}

}  // namespace bubblescope
