// Predictions of `simulate` for rows of measured runs.
#pragma once

#include <functional>
#include <vector>

#include "tools/reproduce/measured_rows.h"

namespace bubblescope {

/// The runs with what is predicted for each, or why it cannot be, on all cores; `tell` is called
/// before each, by any thread. A row that has a profile gives one more run for each of its times.
std::vector<PublishedRun> predict(const std::vector<MeasuredRow>& rows,
                                  const std::function<void(const MeasuredRow&)>& tell);

}  // namespace bubblescope
