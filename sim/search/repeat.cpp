#include "sim/search/repeat.h"

#include <algorithm>
#include <array>
#include <optional>

namespace bubblescope {
namespace {

/// The window nearest to the middle of an order that has `microbatches` letters of every kind.
std::optional<Window> find_balanced(std::span<const Letter> order, int letters, int microbatches) {
  const auto length = static_cast<std::size_t>(letters) * static_cast<std::size_t>(microbatches);
  const auto from_middle = [&](std::size_t begin) {
    const std::size_t twice = 2 * begin + length;
    return std::max(twice, order.size()) - std::min(twice, order.size());
  };
  std::optional<Window> best;
  std::array<int, 256> count{};
  int unbalanced = letters;  // letters of which there are more or fewer
  for (std::size_t end = 1; end <= order.size(); ++end) {
    const auto change = [&](Letter letter, int by) {
      unbalanced += count[letter] == microbatches ? 1 : 0;
      count[letter] += by;
      unbalanced -= count[letter] == microbatches ? 1 : 0;
    };
    change(order[end - 1], +1);
    if (end > length)
      change(order[end - 1 - length], -1);
    if (end >= length && unbalanced == 0 &&
        (!best || from_middle(end - length) < from_middle(best->begin)))
      best = Window{.begin = end - length, .end = end};
  }
  return best;
}

}  // namespace

std::vector<Window> find_period(const Problem& problem, std::span<const Letter> letters,
                                int microbatches) {
  std::vector<Window> windows;
  const std::size_t length = problem.order_length();
  for (std::size_t first = 0; first < letters.size(); first += length) {
    const auto window =
        find_balanced(letters.subspan(first, length), problem.letters(), microbatches);
    if (!window)
      return {};
    windows.push_back(*window);
  }
  return windows;
}

Letters lengthen(const Problem& problem, std::span<const Letter> letters,
                 std::span<const Window> period, int microbatches) {
  Letters longer;
  const std::size_t length = problem.order_length();
  const auto missing = static_cast<std::size_t>(microbatches - problem.microbatches) *
                       static_cast<std::size_t>(problem.letters());
  longer.reserve(letters.size() + missing * period.size());
  for (std::size_t rank = 0; rank < period.size(); ++rank) {
    const auto order = letters.subspan(rank * length, length);
    const Window& window = period[rank];
    const auto append = [&](std::size_t begin, std::size_t end) {
      const auto part = order.subspan(begin, end - begin);
      longer.insert(longer.end(), part.begin(), part.end());
    };
    append(0, window.begin);
    for (std::size_t added = 0; added < missing; added += window.end - window.begin)
      append(window.begin, window.end);
    append(window.begin, length);
  }
  return longer;
}

Letters shorten(const Problem& problem, std::span<const Letter> letters, int microbatches) {
  const int first_left_out = (microbatches + 1) / 2;
  const int left_out = problem.microbatches - microbatches;
  Letters shorter;
  const std::size_t length = problem.order_length();
  for (std::size_t first = 0; first < letters.size(); first += length) {
    std::array<int, 256> count{};
    for (const Letter letter : letters.subspan(first, length)) {
      const int microbatch = count[letter]++;
      if (microbatch < first_left_out || microbatch >= first_left_out + left_out)
        shorter.push_back(letter);
    }
  }
  return shorter;
}

}  // namespace bubblescope
