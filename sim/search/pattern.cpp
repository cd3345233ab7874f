#include "sim/search/pattern.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace bubblescope {
namespace {

/// Tries all patterns of one unit in which a micro-batch goes over the ranks with an even stride:
/// a pass for each chunk forward, and back again, and a turn from each pass to the next.
class PatternSearch {
 public:
  struct Limits {
    int unit;
    int longest;  ///< Slots that a stride or a turn may have.
  };

  PatternSearch(const Problem& problem, Limits limits)
      : problem_(problem),
        limits_(limits),
        pattern_{.unit = limits.unit, .slot = std::vector<int>(problem.tracks.size())},
        taken_(static_cast<std::size_t>(problem.ranks),
               std::vector<std::uint8_t>(static_cast<std::size_t>(limits.unit))) {
    for (Track track = problem.first; track != kNoTrack; track = problem.costs(track).next)
      way_.push_back(track);
  }

  std::vector<Pattern> run() {
    add_pass(0, 0);
    return std::move(found_);
  }

 private:
  int& slot(Track track) { return pattern_.slot[static_cast<std::size_t>(track)]; }
  std::uint8_t& taken(Track track, int slot) {
    return taken_[static_cast<std::size_t>(track / problem_.letters())]
                 [static_cast<std::size_t>(slot % limits_.unit)];
  }

  /// All ways to go on from `way_[begin]`, the first of a pass, which is in slot `at`.
  void add_pass(std::size_t begin, int at) {
    const std::size_t end = begin + static_cast<std::size_t>(problem_.ranks);
    for (int stride = 1; stride <= (problem_.ranks == 1 ? 1 : limits_.longest); ++stride) {
      std::size_t placed = begin;
      for (int next = at; placed < end && taken(way_[placed], next) == 0; next += stride) {
        taken(way_[placed], next) = 1;
        slot(way_[placed++]) = next;
      }
      if (placed == end && end == way_.size())
        add_weights();
      for (int turn = 1; placed == end && end < way_.size() && turn <= limits_.longest; ++turn)
        add_pass(end, slot(way_[end - 1]) + turn);
      while (placed-- > begin)
        taken(way_[placed], slot(way_[placed])) = 0;
    }
  }

  /// W's take the first free slots after their I's.
  void add_weights() {
    const auto before = taken_;
    bool fits = true;
    for (Rank rank = 0; rank < problem_.ranks && fits; ++rank) {
      for (int chunk = problem_.chunks; chunk-- > 0;) {
        const Track weight = problem_.track(rank, letter_of(chunk, OpKind::BackwardWeight));
        int at = slot(weight - 1) + 1;
        while (taken(weight, at) != 0)
          ++at;
        taken(weight, at) = 1;
        slot(weight) = at;
      }
      fits = peak(rank) <= problem_.memory_limit;
    }
    taken_ = before;
    if (!fits)
      return;
    found_.push_back(pattern_);
    found_.push_back(with_late_weights());
  }

  /// W's wait for whole units, as long as memory has room.
  Pattern with_late_weights() {
    const Pattern early = pattern_;
    for (Rank rank = 0; rank < problem_.ranks; ++rank)
      for (int units = 1; units <= problem_.microbatches; ++units) {
        const auto shift = [&](int slots) {
          for (int chunk = 0; chunk < problem_.chunks; ++chunk)
            slot(problem_.track(rank, letter_of(chunk, OpKind::BackwardWeight))) += slots;
        };
        shift(limits_.unit);
        if (peak(rank) <= problem_.memory_limit)
          continue;
        shift(-limits_.unit);
        break;
      }
    return std::exchange(pattern_, early);
  }

  static constexpr int kFull = 1 << 16;  // units after which the pipeline surely is full

  /// The most memory that a rank needs once the pipeline is full.
  std::int64_t peak(Rank rank) const {
    std::int64_t most = 0;
    for (int now = 0; now < limits_.unit; ++now) {
      std::int64_t memory = 0;
      for (int letter = 0; letter < problem_.letters(); ++letter) {
        const Track track = problem_.track(rank, letter);
        const int since_first =
            kFull * limits_.unit + now - pattern_.slot[static_cast<std::size_t>(track)];
        memory += (since_first / limits_.unit + 1) * problem_.costs(track).memory;
      }
      most = std::max(most, memory);
    }
    return most;
  }

  const Problem& problem_;
  Limits limits_;
  std::vector<Track> way_;  // of a micro-batch through the pipe and back
  Pattern pattern_;
  std::vector<std::vector<std::uint8_t>> taken_;  // [rank][slot of the unit]
  std::vector<Pattern> found_;
};

}  // namespace

std::vector<Pattern> find_patterns(const Problem& problem) {
  int unit = problem.letters();
  auto patterns = PatternSearch(problem, {.unit = unit, .longest = unit}).run();
  while (patterns.empty())
    patterns = PatternSearch(problem, {.unit = ++unit, .longest = 2}).run();
  return patterns;
}

Letters unroll(const Problem& problem, const Pattern& pattern) {
  Letters letters;
  letters.reserve(problem.order_length() * static_cast<std::size_t>(problem.ranks));
  std::vector<int> done(static_cast<std::size_t>(problem.letters()));
  for (Rank rank = 0; rank < problem.ranks; ++rank) {
    std::fill(done.begin(), done.end(), 0);
    for (std::size_t place = 0; place < problem.order_length(); ++place) {
      int next = 0;
      int soonest = std::numeric_limits<int>::max();
      for (int letter = 0; letter < problem.letters(); ++letter) {
        const auto l = static_cast<std::size_t>(letter);
        const int at = pattern.slot[static_cast<std::size_t>(problem.track(rank, letter))] +
                       pattern.unit * done[l];
        if (done[l] < problem.microbatches && at < soonest) {
          soonest = at;
          next = letter;
        }
      }
      ++done[static_cast<std::size_t>(next)];
      letters.push_back(static_cast<Letter>(next));
    }
  }
  return letters;
}

}  // namespace bubblescope
