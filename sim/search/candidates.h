// Orders to start from: what guides become under several policies.
#pragma once

#include <vector>

#include "sim/search/problem.h"

namespace bubblescope {

struct Candidate {
  Score score = {};
  Letters letters = {};
};

/// Which of `guides` do best under a few policies, the best first, and at most `most` of them.
std::vector<std::size_t> promising(const Problem& problem, const std::vector<Letters>& guides,
                                   std::size_t most);

/// The best that come of the guides under all policies, the best first, and at most `most`.
std::vector<Candidate> follow(const Problem& problem, const std::vector<Letters>& guides,
                              std::size_t most);

}  // namespace bubblescope
