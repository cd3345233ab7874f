// The step and idle times of a schedule as formulas in p and m, found from shapes it is run at.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/rational.hpp>

#include "analysis/explain/linear_form.h"
#include "sim/costs/cost_model.h"
#include "sim/schedule/catalogue.h"

namespace bubblescope {

/// Compared by its numerator: with ==, Boost 1.74 never ends in C++20.
using Fraction = boost::rational<std::int64_t>;

/// How often a cost is paid: constant + of_p · p + of_m · m.
struct CountFormula {
  Fraction constant, of_p, of_m;
};

/// "(m + p − 1)·F + (m + p − 1)·B"
using FormFormula = PerCost<CountFormula>;
std::string to_text(const FormFormula& formula);

struct ClosedForm {
  Shape shape;  ///< The middle one of those tried, for which `region` is told.
  std::string region = {};
  PerCost<std::int64_t> costs{};  ///< In ns, 0 for what does not occur.
  int shapes = 0;                 ///< How many it was held against.
  int least_ranks = 0, most_ranks = 0;
  int least_microbatches = 0, most_microbatches = 0;
  /// None where no such formula gives the times of all shapes.
  std::optional<FormFormula> step = {};
  std::optional<FormFormula> idle_first = {};   ///< On rank 0.
  std::optional<FormFormula> idle_middle = {};  ///< On rank p/2.
  std::optional<FormFormula> idle_last = {};    ///< On rank p − 1.
};

/// How the shapes are run.
struct ClosedFormOptions {
  Comm comm = {};
  Overlap overlap = Overlap::Auto;
};

/// With `costs`, the same for all stages, of one stage each, and v as `chunks` asks for. Throws
/// Error for an automatic schedule, and where the costs differ from stage to stage.
ClosedForm find_closed_form(const CatalogueEntry& entry, const CostSource& costs,
                            ClosedFormOptions options, std::optional<int> chunks);

}  // namespace bubblescope
