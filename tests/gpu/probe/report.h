// A probe of a GPU writes the tables that it measures as JSON.
//
//     "kernel_gaps": {"title": "kernel gaps: end of one kernel to start of the next",
//                     "rows": [{"shape": "chain", "gap_between": "kernels", "launched_by": "graph",
//                               "blocks": 1, "n": 756, "min_us": 1.056, "p50_us": 1.088, …}, …],
//                     "notes": []}
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace bubblescope::gpu {

using nlohmann::ordered_json;

struct Table {
  std::string name;
  std::string title;  ///< It says in words what was measured.
  std::vector<ordered_json> rows = {};
  std::vector<std::string> notes = {};
};

struct Report {
  ordered_json facts = {};  ///< "device" is among them.
  std::vector<Table> tables = {};
  bool is_good = true;  ///< Nothing failed.
};

/// A number with three decimals.
ordered_json rounded(double value);

/// Adds "n", "min_<unit>", "p50_<unit>", "p95_<unit>" and "max_<unit>" of the samples to a row and
/// returns the median; percentiles are samples themselves. Throws std::runtime_error without any.
double add_spread(ordered_json& row, const std::string& unit, std::vector<double> samples);

/// The values of so many calls, after some that warm up.
template <class Sample>
std::vector<double> samples_of(int warm_ups, int repeats, Sample&& sample) {
  std::vector<double> samples;
  for (int i = -warm_ups; i < repeats; ++i)
    if (const double value = sample(); i >= 0)
      samples.push_back(value);
  return samples;
}

void complain(const std::string& what);

/// The main function of a probe: `[-o FILE] [--command TEXT]`. Returns its exit code.
int run_probe(int argc, char** argv, void (*measure)(Report&));

}  // namespace bubblescope::gpu
