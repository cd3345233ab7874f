// How far predictions are from runs that others measured.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "sim/base/types.h"

namespace bubblescope {

/// A run, and what is predicted for it.
struct PublishedRun {
  std::string id;
  std::string table;  ///< Where it was published.
  std::string kind;   ///< "h100-sxm fp8 dense"
  std::string job;    ///< Runs of one job differ in how it was divided and scheduled.
  std::optional<Time> measured = {};
  bool ran_out = false;      ///< It ran out of memory.
  bool is_run = true;        ///< And not a time of a profile, of a stage.
  bool is_judged = true;     ///< Its configuration is known, and its time is what is compared.
  std::string command = {};  ///< It predicts the run.
  std::optional<Time> predicted = {};
  std::optional<Bytes> measured_memory = {};  ///< The most that tensors held on a GPU.
  std::optional<Bytes> peak_memory = {};      ///< As predicted.
  std::optional<Bytes> device_memory = {};
  bool is_told_to_run_out = false;
  std::string refused = {};  ///< Why it cannot be predicted.

  /// As a fraction of what was measured; none where either is missing.
  std::optional<double> error() const;
  std::optional<double> memory_error() const;
};

/// Runs of one table or kind.
struct Accuracy {
  std::string name;
  std::size_t runs = 0;  ///< Judged and predicted ones.
  double median_error = 0;
  double median_abs_error = 0;
  double mean_abs_error = 0;
  double p90_abs_error = 0;
  std::size_t pairs = 0;  ///< Other configurations of one job, that differ by over 2 %.
  std::size_t pairs_right = 0;
  double worst_choice =
      0;  ///< How much longer the run predicted best takes than the best, at most.
};

/// Counts those that are judged; quantiles between two values lie on the line between them.
Accuracy accuracy(const std::string& name, const std::vector<const PublishedRun*>& runs);
/// Groups them by what `key` gives, in the order in which they come first.
std::vector<Accuracy> accuracies(const std::vector<PublishedRun>& runs,
                                 std::string PublishedRun::*key);

/// Whether runs that ran out of memory, and those that did not, were told so.
struct MemoryVerdicts {
  std::size_t ran = 0, ran_right = 0;
  std::size_t ran_out = 0, ran_out_right = 0;
};
MemoryVerdicts memory_verdicts(const std::vector<PublishedRun>& runs);

}  // namespace bubblescope
