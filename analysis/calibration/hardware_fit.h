// A hardware file of one's own: peaks and links of a base, kernels from timings.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "analysis/calibration/table_fit.h"
#include "analysis/calibration/timing_file.h"
#include "sim/transformer/hardware.h"

namespace bubblescope {

/// The GPU that timings are of, as far as they do not tell it.
struct FitBase {
  Hardware hardware;              ///< As its text says.
  nlohmann::ordered_json json;    ///< Its text.
  nlohmann::ordered_json tables;  ///< bubblescope-kernels/1, or null where it has none.
};

struct HardwareFit {  // NOLINT(bugprone-exception-escape): moving JSON throws nothing
  std::string name;
  std::string base;
  std::vector<std::string> files;
  nlohmann::ordered_json hardware;  ///< bubblescope-hardware/1, with the tables in it.
  std::vector<TableFigures> tables;
  std::vector<std::string> notes;  ///< They limit the result.
};

/// A user asks for this beside giving timings.
struct FitRequest {
  std::string name;
  std::map<std::string, double> sustained;  ///< Factors, by key, that replace the base's.
};

/// Fits all tables that the files have timings of. Throws Error with file and line for timings that
/// cannot be the base's, or are too few.
HardwareFit fit_hardware(const FitBase& base, const std::vector<TimingFile>& files,
                         const FitRequest& request);

/// The text of a hardware file: a key a line, the numbers of a list in lines of at most 100
/// columns.
std::string hardware_text(const nlohmann::ordered_json& hardware);

}  // namespace bubblescope
