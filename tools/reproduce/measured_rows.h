// Rows of training runs that others measured (docs/accuracy.md), as `simulate` is asked for them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/published/accuracy.h"

namespace bubblescope {

struct MeasuredRow {
  PublishedRun run;
  std::vector<std::string> words = {};  ///< They follow `simulate`; the schedule is first.
  bool is_layer = false;                ///< A layer's forward and backward alone were measured.
  std::optional<int> live_activations = {};  ///< A searched schedule may keep so many.
  /// Times of a stage that the source profiled, for one micro-batch; 0 where it did not.
  Time forward{}, input_grad{}, weight_grad{};
};

/// A key of rows that their source does not tell, or tells wrongly: "hagemann*.gradients=bf16".
struct Assumption {
  std::string table;  ///< A '*' at its end stands for any end.
  std::string key;
  std::string value;  ///< JSON, or else words.
};

/// Reads an array of rows; `file` names it in errors, and hardware and models that are files of
/// their own lie beside it. Throws Error with the JSON path.
std::vector<MeasuredRow> parse_measured_rows(std::string_view text, const std::string& file,
                                             const std::vector<Assumption>& assumed);

}  // namespace bubblescope
