// The formulas of a schedule in p and m:
//
//     dualpipe: formulas in p and m, ideal communication
//
//     step time            = (m/2 + 1·p …)·F&B + …
//     idle on rank 0       = …
//     idle on rank p/2     = (p/2 − 1)·F&B + (p/2 − 1)·F − (p − 2)·W
//     holds                  at F 10.000 µs, …; for p = 8, m = 56: where W ≤ I and 3·I ≤ 4·F, …
//     checked              on 24 shapes, p = 4 … 16, m = 8 … 112
//
// Read: a micro-batch more costs half a pair, and the idle time of rank 0 does not grow with m.
#pragma once

#include <string>

#include "analysis/explain/closed_form.h"
#include "analysis/figures/format.h"

namespace bubblescope {

struct ClosedFormSubject {
  std::string schedule;
  Comm comm;
};
std::string closed_form_view(const ClosedFormSubject& subject, const ClosedForm& form,
                             const Style& style);

}  // namespace bubblescope
