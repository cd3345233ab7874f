#include "sim/search/search.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/search/annealing.h"
#include "sim/search/candidates.h"
#include "sim/search/evaluator.h"
#include "sim/search/orders.h"
#include "sim/search/pattern.h"
#include "sim/search/repeat.h"
#include "sim/search/warm_up.h"

namespace bubblescope {
namespace {

/// Enough micro-batches for the pipeline to fill, go on for a while and drain. As many fewer as can
/// be made up for by periods of one or of two.
Problem shortened(const Problem& problem) {
  const int enough = 2 * problem.ranks + 8;
  Problem result = problem;
  result.microbatches =
      std::min(enough + (problem.microbatches - enough) % 2, problem.microbatches);
  return result;
}

/// Tries to find good orders for few micro-batches, and makes them longer. Passes differ in what
/// they try by chance.
class Search {
 public:
  Search(const Problem& problem, Ticks bound, int pass)
      : problem_(problem),
        short_(shortened(problem)),
        bound_(bound),
        seed_(static_cast<std::uint64_t>(pass)),
        evaluator_(problem) {}

  Candidate run(const std::vector<Letters>& seeds) {
    for (const Letters& seed : seeds)
      offer(seed);
    const std::vector<Pattern> patterns = find_patterns(short_);
    const auto make_guide = [&](const Problem& problem, std::size_t i) {
      if (i < patterns.size())
        return unroll(problem, patterns[i]);
      i -= patterns.size();
      return i < seeds.size() ? shorten(problem_, seeds[i], problem.microbatches)
                              : fill_warm_up(problem);
    };
    const std::size_t count = patterns.size() + seeds.size() + (problem_.chunks == 1 ? 1 : 0);
    std::vector<Letters> guides;
    guides.reserve(count);
    for (std::size_t i = 0; i < count; ++i)
      guides.push_back(make_guide(short_, i));
    std::vector<Letters> best_guides;
    std::vector<Letters> long_guides;
    for (const std::size_t i : promising(short_, guides, kGuides)) {
      best_guides.push_back(guides[i]);
      if (is_short() && long_guides.size() < kLongGuides)
        long_guides.push_back(make_guide(problem_, i));
    }
    anneal(make_starts(follow(short_, best_guides, kCandidates)));
    if (is_short() && !is_done())
      anneal_whole(std::move(follow(problem_, long_guides, 1).front().letters));
    return std::move(best_);
  }

 private:
  static constexpr std::size_t kGuides = 8;
  static constexpr std::size_t kLongGuides = 2;
  static constexpr std::size_t kCandidates = 48;

  /// Orders for the short problem, and what becomes of them when they are lengthened.
  struct Start {
    Score score = {};  ///< Of the long orders.
    Letters letters = {};
    std::vector<Window> period = {};  ///< Empty if there is nothing to lengthen.
    Ticks longer = 0;                 ///< What the period's repetitions take.
  };

  bool is_short() const { return short_.microbatches < problem_.microbatches; }
  bool is_done() const { return !best_.letters.empty() && problem_.value(best_.score) <= bound_; }

  void offer(const Letters& letters) {
    if (!evaluator_.run(letters))
      return;
    const Score score = evaluator_.score();
    if (best_.letters.empty() || problem_.is_better(score, best_.score))
      best_ = {.score = score, .letters = letters};
  }

  void offer(const Start& start) {
    offer(start.period.empty()
              ? start.letters
              : lengthen(short_, start.letters, start.period, problem_.microbatches));
  }

  /// Those candidates that can be lengthened, the best first.
  std::vector<Start> make_starts(const std::vector<Candidate>& candidates) {
    std::vector<Start> starts;
    for (const Candidate& each : candidates) {
      const auto start =
          is_short() ? lengthened(each) : Start{.score = each.score, .letters = each.letters};
      if (start && std::none_of(starts.begin(), starts.end(),
                                [&](const Start& other) { return other.score == start->score; }))
        starts.push_back(*start);
    }
    sort(starts);
    return starts;
  }

  std::optional<Start> lengthened(const Candidate& candidate) {
    std::optional<Start> best;
    for (const int microbatches : {1, 2}) {
      const auto period = find_period(short_, candidate.letters, microbatches);
      if (period.empty() ||
          !evaluator_.run(lengthen(short_, candidate.letters, period, problem_.microbatches)))
        continue;
      const Score score = evaluator_.score();
      if (!best || problem_.is_better(score, best->score))
        best = Start{.score = score,
                     .letters = candidate.letters,
                     .period = period,
                     .longer = problem_.value(score) - problem_.value(candidate.score)};
    }
    return best;
  }

  void sort(std::vector<Start>& starts) const {
    std::stable_sort(starts.begin(), starts.end(), [&](const Start& a, const Start& b) {
      return problem_.is_better(a.score, b.score);
    });
  }

  /// Every round goes on with the best of the last, and all rounds have as many trials.
  void anneal(std::vector<Start> starts) {
    Annealing annealing(short_, seed_);
    for (const std::size_t most : {8U, 2U, 1U}) {
      starts.resize(std::min(most, starts.size()));
      for (Start& start : starts) {
        offer(start);
        if (is_done())
          return;
        const Score score = annealing.improve(
            start.letters, {.trials = trials(short_, 3 * static_cast<int>(starts.size())),
                            .enough = bound_ - start.longer,
                            .frozen = start.period});
        start.score = {.step = score.step + start.longer, .span = score.span + start.longer};
        offer(start);
      }
      sort(starts);
    }
  }

  void anneal_whole(Letters letters) {
    offer(letters);
    if (is_done())
      return;
    Annealing(problem_, seed_).improve(letters, {.trials = trials(problem_, 2), .enough = bound_});
    offer(letters);
  }

  /// A part of the trials that orders of this length are worth.
  int trials(const Problem& problem, int parts) const {
    constexpr std::int64_t kLetters = 100'000'000;  // of all trials together
    constexpr std::int64_t kMost = 150'000;
    const auto length = static_cast<std::int64_t>(problem.order_length()) * problem.ranks;
    return static_cast<int>(std::min(kLetters / length, kMost)) / parts;
  }

  const Problem& problem_;
  Problem short_;
  Ticks bound_;
  std::uint64_t seed_;
  Evaluator evaluator_;
  Candidate best_;
};

/// More passes never give a worse one.
Candidate best_of_passes(const Problem& problem, Ticks bound, const std::vector<Letters>& seeds,
                         int passes) {
  Candidate best;
  for (int pass = 1; pass <= passes; ++pass) {
    Candidate found = Search(problem, bound, pass).run(seeds);
    if (pass == 1 || problem.is_better(found.score, best.score))
      best = std::move(found);
    if (problem.value(best.score) <= bound)
      break;
  }
  return best;
}

std::int64_t least_memory_limit(const Problem& problem) {
  std::int64_t least = 0;
  for (Rank rank = 0; rank < problem.ranks; ++rank)
    least = std::max(least, problem.memory_of_microbatch(rank));
  return least;
}

void check_memory_limit(std::int64_t limit, std::int64_t least, MemoryUnit unit) {
  if (limit < least)
    throw Error(fmt::format(
        "no schedule keeps to a memory limit of {} {} on every rank: the least limit is {}", limit,
        unit == MemoryUnit::SizeInBytes ? "bytes" : "live activations", least));
}

/// What can be searched: with I and W apart, and with B's where these are better.
std::vector<Problem> variants(const Problem& problem) {
  std::vector<Problem> result = {problem};
  if (auto with_full_backwards = merged(problem))
    result.push_back(std::move(*with_full_backwards));
  return result;
}

std::int64_t least_memory_limit(const std::vector<Problem>& problems) {
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  for (const Problem& problem : problems)
    least = std::min(least, least_memory_limit(problem));
  return least;
}

}  // namespace

std::int64_t least_memory_limit(const Placement& placement, const CostModel& costs,
                                MemoryUnit unit) {
  return least_memory_limit(variants(make_problem(placement, costs, unit)));
}

SearchResult search_schedule(const Placement& placement, int microbatches, const CostModel& costs,
                             const SearchOptions& options, std::span<const Schedule> seeds) {
  Problem problem = make_problem(placement, costs, options.memory_unit);
  problem.microbatches = microbatches;
  problem.memory_limit = options.memory_limit;
  problem.objective = options.objective;
  const std::vector<Problem> problems = variants(problem);
  check_memory_limit(options.memory_limit, least_memory_limit(problems), options.memory_unit);
  std::vector<Letters> starts;
  for (const Schedule& seed : seeds)
    if (auto letters = to_letters(problem, seed))
      starts.push_back(std::move(*letters));
  const LowerBound bound = lower_bound(relaxed(problem));
  const Problem* best_problem = nullptr;
  Candidate best;
  for (const Problem& variant : problems) {
    if (options.memory_limit < least_memory_limit(variant))
      continue;
    Candidate found = best_of_passes(variant, bound.value(), starts, options.effort);
    if (best_problem == nullptr || problem.is_better(found.score, best.score)) {
      best_problem = &variant;
      best = std::move(found);
    }
  }
  return {.schedule = to_schedule(*best_problem, placement, best.letters),
          .score = best.score,
          .bound = bound};
}

}  // namespace bubblescope
