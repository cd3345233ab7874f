// All that one run of bubblescope_bench finds out, and how it is shown.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tests/bench/kernel.h"
#include "tests/bench/phases.h"
#include "tests/bench/prediction.h"
#include "tests/bench/traces.h"

namespace bubblescope::bench {

struct ShapeFigures {
  Shape shape;
  int repeats = 0;
  PredictionFigures prediction = {};
  KernelFigures kernel = {};
};

/// N/s of either, run in turn, each run in a process of its own.
struct SimGridFigures {
  Shape shape;
  bool same_step_time = true;
  std::vector<double> simgrid = {};      ///< [round] engine set-up and run
  std::vector<double> ours_first = {};   ///< [round] the first prediction of the process
  std::vector<double> ours_median = {};  ///< [round] median of those that follow
};

struct LinearityFigures {
  Shape shape;
  double n_per_s = 0;  ///< Median over rounds.
};

struct Figures {
  std::string command;
  std::string machine;   ///< Processor and number of cores.
  std::string compiler;  ///< With its flags.
  double copy_bytes_per_s = 0;
  std::vector<ShapeFigures> shapes;  ///< The small one, then the large one.
  std::optional<SimGridFigures> simgrid;
  std::vector<LinearityFigures> linearity;
  PhaseFigures phases;
  TraceFigures traces;
};

/// N/s, where N ops and messages of `shape` take `ms`.
double n_per_s(Shape shape, double ms);

std::string to_text(const Figures& figures);
nlohmann::ordered_json to_json(const Figures& figures);

}  // namespace bubblescope::bench
