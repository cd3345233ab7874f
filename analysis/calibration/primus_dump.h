// Dumps of AMD's Primus (AMD-AGI/Primus, dump_pp_data): config.json, and pp_rank_N.json with the
// start and end of every micro-batch's forward and backward on one rank, in ms, iteration by
// iteration:
//
//     {"1": {"total": 7322.07, "memory": 60.8, "fwd_start": [2913.3, …], "fwd_end": […],
//            "bwd_start": […], "bwd_end": […]}, "2": …}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/calibration/measured_run.h"

namespace bubblescope {

/// What Primus calls fwd, bwd and wgrad.
enum class PrimusPass : std::uint8_t { Forward, Backward, WeightGrad };
constexpr std::size_t kPrimusPasses = 3;

struct PrimusIteration {
  /// [PrimusPass] in the order in which the rank ran them; moments count from the rank's own start
  /// of the iteration.
  std::vector<Span> spans[kPrimusPasses] = {};
  /// [PrimusPass] which of the rank's chunks and micro-batches each is; empty in older dumps.
  std::vector<int> chunks[kPrimusPasses] = {};
  std::vector<int> microbatches[kPrimusPasses] = {};
};

struct PrimusDump {
  std::string folder = {};
  int ranks = 0;
  int chunks = 0;
  int microbatches = 0;
  std::vector<std::int64_t> iterations = {};               ///< Their numbers, ascending.
  std::vector<std::vector<PrimusIteration>> of_rank = {};  ///< [rank][iteration]
  std::vector<std::string> files = {};                     ///< [rank]

  bool has_weight_grads() const;
};

/// Whether a file's name is that of a dump, or of its configuration.
bool is_primus_file(const std::string& path);

/// Reads the files of one run: pp_rank_N.json of every rank, and config.json, among them or beside
/// the first. Throws Error, with file and JSON path, for what is missing, not a time, or goes
/// backwards, and where ranks differ in their iterations or micro-batches.
PrimusDump read_primus(const std::vector<std::string>& paths);

/// The n-th forward of a rank is the n-th in its order of `schedule`, backwards likewise, unless
/// the dump names chunks and micro-batches. Throws Error where numbers differ.
RunProfile profile_of(const PrimusDump& dump, const Schedule& schedule);

}  // namespace bubblescope
