#include "sim/base/nearest.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include <fmt/format.h>

namespace bubblescope {

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return result;
}

namespace {

/// Optimal string alignment distance.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j)
    last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

/// The shortest candidate that has `typed` in it, one that begins with it before others.
const std::string* shortest_around(std::string_view typed,
                                   std::span<const std::string> candidates) {
  constexpr std::size_t kShortestPart = 4;  // shorter ones are in too many
  if (typed.size() < kShortestPart)
    return nullptr;
  const std::string* best = nullptr;
  std::pair<bool, std::size_t> best_rank;
  for (const std::string& candidate : candidates) {
    const std::size_t place = lower(candidate).find(typed);
    const std::pair rank(place != 0, candidate.size());
    if (place != std::string::npos && (best == nullptr || rank < best_rank)) {
      best = &candidate;
      best_rank = rank;
    }
  }
  return best;
}

const std::string* nearest_by_edits(std::string_view typed,
                                    std::span<const std::string> candidates) {
  const std::string* best = nullptr;
  std::size_t best_distance = typed.size() / 3 + 2;  // one more than what is still "near"
  for (const std::string& candidate : candidates) {
    const std::size_t distance = edit_distance(typed, lower(candidate));
    if (distance < best_distance) {
      best = &candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace

std::optional<std::string> nearest_name(std::string_view name,
                                        std::span<const std::string> candidates) {
  constexpr std::size_t kLongestName = 64;  // longer ones are no typing mistake
  if (name.empty() || name.size() > kLongestName)
    return std::nullopt;
  const std::string typed = lower(name);
  const std::string* best = shortest_around(typed, candidates);
  if (best == nullptr)
    best = nearest_by_edits(typed, candidates);
  return best != nullptr ? std::optional(*best) : std::nullopt;
}

std::string did_you_mean(std::string_view name, std::span<const std::string> candidates) {
  const auto nearest = nearest_name(name, candidates);
  return nearest ? fmt::format("; did you mean '{}'?", *nearest) : std::string();
}

}  // namespace bubblescope
