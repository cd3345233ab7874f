#include "analysis/pictures/svg_layout.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "analysis/pictures/svg.h"

namespace bubblescope {
namespace {

constexpr double kDigitWidth = 0.64;  // of the font's size
constexpr double kLeastNumber = 5.5;  // pixels: smaller ones nobody reads
constexpr double kIdleWidth = 62;     // of the first column right of the plot

int digits(int number) {
  return number < 10 ? 1 : 1 + digits(number / 10);
}

/// The one that a tenth of the values lie below; there are some.
template <typename T>
T tenth(std::vector<T>& values) {
  const auto at = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 10);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}

}  // namespace

SvgLayout::SvgLayout(const Picture& picture)
    : picture_(picture), digits_(digits(picture.graph.schedule().microbatches - 1)) {
  const int ranks = picture.placement().ranks;
  set_rows(ranks);
  left = kMargin + text_width(fmt::format("rank {}", ranks - 1), label) + 8;
  bottom = kTop + row * ranks;
  set_scale();
  set_numbers();
  width = left + plot_width + kIdleWidth + kLiveWidth + kMargin;
}

/// Few rows are tall, many still have numbers.
void SvgLayout::set_rows(int ranks) {
  struct Rows {
    int most;
    double box, memory, gap, label;
  };
  static constexpr Rows kRows[] = {
      {4, 32, 13, 12, 13}, {8, 26, 11, 10, 12}, {16, 20, 9, 7, 12}, {32, 15, 6, 5, 11}};
  Rows rows = {0, 11, 4, 3, 10};
  for (const Rows& each : kRows)
    if (ranks <= each.most) {
      rows = each;
      break;
    }
  box = rows.box;
  memory = rows.memory;
  row = rows.box + rows.memory + rows.gap;
  label = rows.label;
}

/// So wide that short actions have room for their numbers, but not wider than a wall.
void SvgLayout::set_scale() {
  constexpr double kLeast = 760;
  constexpr double kMost = 2800;
  constexpr double kNumberRoom = 15;
  std::vector<Time> lengths;
  for (std::size_t i = 0; i < picture_.node_of_action.size(); ++i)
    if (const Time length = picture_.span_of_action(i).length(); length > Time::zero())
      lengths.push_back(length);
  plot_width = kLeast;
  if (lengths.empty())
    return;
  const auto step = static_cast<double>(picture_.step.length().count());
  const auto shorter = static_cast<double>(tenth(lengths).count());
  plot_width = std::clamp(kNumberRoom * step / shorter, kLeast, kMost);
  scale_ = plot_width / step;
  border = std::clamp(0.12 * scale_ * shorter, 0.1, 0.8);
}

/// The size at which nine of ten numbers fit, as far as it can be read.
void SvgLayout::set_numbers() {
  std::vector<double> sizes;
  for (std::size_t i = 0; i < picture_.node_of_action.size(); ++i)
    for_each_box(i, [&](const Op&, double, double box_width) {
      sizes.push_back((box_width - 2) / (kDigitWidth * digits_));
    });
  const double most = std::min(12.0, 0.72 * box);
  number = sizes.empty() ? most : std::clamp(tenth(sizes), kLeastNumber, most);
}

bool SvgLayout::has_number(double box_width) const {
  return digits_ * kDigitWidth * number + 1.5 <= box_width;
}

}  // namespace bubblescope
