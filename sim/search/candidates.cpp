#include "sim/search/candidates.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

#include "sim/search/greedy.h"

namespace bubblescope {
namespace {

constexpr int kAnyMore = 1 << 20;

std::vector<Policy> all_policies() {
  std::vector<Policy> policies;
  for (const int more : {0, 1, kAnyMore})
    for (const int advance : {0, -3})
      for (const bool yield : {false, true}) {
        const Policy basis{
            .advance_inputs = advance, .forwards_yield = yield, .more_in_flight = more};
        policies.push_back(basis);
        for (const int quarters : {0, 2, 4})
          for (const bool make_room_first : {false, true}) {
            policies.push_back(basis);
            policies.back().gap_quarters = quarters;
            policies.back().make_room_first = make_room_first;
          }
      }
  return policies;
}

const Policy kFewPolicies[] = {
    {.gap_quarters = 2, .make_room_first = true, .more_in_flight = kAnyMore}, {.gap_quarters = 2}};

/// How many of `count` things to try with so many runs of the greedy scheduler: as many as can
/// write their orders within a fixed number of letters, two at least.
std::size_t affordable(const Problem& problem, std::size_t count, std::size_t runs_each) {
  constexpr std::size_t kLetters = 30'000'000;
  const auto letters = problem.order_length() * static_cast<std::size_t>(problem.ranks);
  return std::min(count, std::max(kLetters / letters / runs_each, std::size_t{2}));
}

/// The i-th of `few` that are spread evenly over `all`.
std::size_t spread(std::size_t i, std::size_t few, std::size_t all) {
  return i * all / few;
}

/// The best different candidates; of those with equal scores, the last.
class Shortlist {
 public:
  Shortlist(const Problem& problem, std::size_t most) : problem_(problem), most_(most) {}

  void offer(const Score& score, const Letters& letters) {
    const auto place =
        std::find_if(candidates_.begin(), candidates_.end(),
                     [&](const Candidate& each) { return !problem_.is_better(each.score, score); });
    if (place == candidates_.end() && candidates_.size() == most_)
      return;
    for (auto same = place; same != candidates_.end() && same->score == score; ++same)
      if (same->letters == letters)
        return;
    candidates_.insert(place, {.score = score, .letters = letters});
    if (candidates_.size() > most_)
      candidates_.pop_back();
  }

  std::vector<Candidate> take() { return std::move(candidates_); }

 private:
  const Problem& problem_;
  std::size_t most_;
  std::vector<Candidate> candidates_;
};

}  // namespace

std::vector<std::size_t> promising(const Problem& problem, const std::vector<Letters>& guides,
                                   std::size_t most) {
  Greedy greedy(problem);
  Letters letters;
  std::vector<std::pair<Ticks, std::size_t>> values;
  const std::size_t few = affordable(problem, guides.size(), std::size(kFewPolicies));
  for (std::size_t n = 0; n < few; ++n) {
    const std::size_t i = guides.size() - 1 - spread(n, few, guides.size());  // the last is in
    greedy.follow(guides[i]);
    Ticks value = std::numeric_limits<Ticks>::max();
    for (const Policy& policy : kFewPolicies)
      value = std::min(value, problem.value(greedy.run(policy, letters)));
    values.emplace_back(value, i);
  }
  std::sort(values.begin(), values.end());
  std::vector<std::size_t> result;
  for (std::size_t i = 0; i < std::min(values.size(), most); ++i)
    result.push_back(values[i].second);
  return result;
}

std::vector<Candidate> follow(const Problem& problem, const std::vector<Letters>& guides,
                              std::size_t most) {
  Greedy greedy(problem);
  Letters letters;
  Shortlist shortlist(problem, most);
  const std::vector<Policy> policies = all_policies();
  const std::size_t few = affordable(problem, policies.size(), guides.size());
  for (const Letters& guide : guides) {
    greedy.follow(guide);
    for (std::size_t n = 0; n < few; ++n) {
      const Score score = greedy.run(policies[spread(n, few, policies.size())], letters);
      shortlist.offer(score, letters);
    }
  }
  return shortlist.take();
}

}  // namespace bubblescope
