#include "tests/bench/figures.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/figures/format.h"
#include "tests/bench/measure.h"

namespace bubblescope::bench {
namespace {

using Json = nlohmann::ordered_json;

std::string name(Shape shape) {
  return fmt::format("{}×{}", shape.ranks, shape.microbatches);
}
std::string millions(double per_s) {
  return fmt::format("{:.1f}", per_s / 1e6);
}
std::string percent(double fraction) {
  return fmt::format("{:.0f} %", 100 * fraction);
}
double best(const std::vector<double>& rates) {
  return *std::max_element(rates.begin(), rates.end());
}

double first_rate(const ShapeFigures& figures) {
  return n_per_s(figures.shape, total_ms(figures.prediction.first));
}

double median_rate(const ShapeFigures& figures) {
  return n_per_s(figures.shape, figures.prediction.median_total_ms);
}

double bytes_per_n(const ShapeFigures& figures) {
  return std::max(figures.prediction.first_bytes, figures.prediction.repeated_bytes) /
         ops_and_messages(figures.shape);
}

double first_bytes_per_n(const ShapeFigures& figures) {
  return figures.prediction.first_bytes / ops_and_messages(figures.shape);
}

/// Rows of cells under a row of headings; all but the first column stand on the right.
struct Grid {
  std::vector<std::vector<std::string>> rows;
};

Grid table(std::vector<std::string> headings) {
  return {{std::move(headings)}};
}

std::string lines_of(const Grid& grid) {
  std::vector<std::size_t> widths(grid.rows.front().size());
  for (const auto& row : grid.rows)
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : grid.rows) {
    text += fmt::format("{:<{}}", row.front(), widths.front());
    for (std::size_t i = 1; i < row.size(); ++i)
      text += fmt::format("  {:>{}}", row[i], widths[i]);
    text += '\n';
  }
  return text;
}

/// With an empty line behind it.
std::string text(const Grid& grid) {
  return lines_of(grid) + "\n";
}

std::string prediction_text(const ShapeFigures& figures) {
  const PredictionFigures& prediction = figures.prediction;
  Grid phases = table({"phase", "first ms", "median ms", "first M N/s", "median M N/s"});
  const auto add = [&](const char* phase, double first, double later) {
    phases.rows.push_back({phase, fmt::format("{:.2f}", first), fmt::format("{:.2f}", later),
                           millions(n_per_s(figures.shape, first)),
                           millions(n_per_s(figures.shape, later))});
  };
  for (std::size_t i = 0; i < kPhases; ++i)
    add(kPhaseNames[i], prediction.first[i], prediction.median[i]);
  add("total", total_ms(prediction.first), prediction.median_total_ms);
  return fmt::format(
             "1F1B at {}: N = {:.0f}, first prediction of a process and median of {} more\n\n",
             name(figures.shape), ops_and_messages(figures.shape), figures.repeats) +
         text(phases) +
         fmt::format("best of all: {:.2f} ms; memory: {:.1f} B/N at first, {:.1f} B/N at most\n\n",
                     prediction.best_total_ms, first_bytes_per_n(figures), bytes_per_n(figures));
}

std::string kernel_text(const Figures& figures) {
  Grid kernels = table({"M N/s", "sweep", "bare sweep", "sweep / bare", "event queue"});
  for (const ShapeFigures& at : figures.shapes)
    kernels.rows.push_back({name(at.shape), millions(n_per_s(at.shape, at.kernel.sweep_ms)),
                            millions(n_per_s(at.shape, at.kernel.bare_ms)),
                            percent(at.kernel.sweep_to_bare),
                            millions(n_per_s(at.shape, at.kernel.events_ms))});
  return text(kernels) + fmt::format("one thread copies {:.1f} GB/s (read + written)\n\n",
                                     figures.copy_bytes_per_s / 1e9);
}

std::string simgrid_text(const SimGridFigures& figures) {
  Grid rates = table({"M N/s at " + name(figures.shape), "best", "median"});
  const auto add = [&](const char* who, const std::vector<double>& of) {
    rates.rows.push_back(
        {who, fmt::format("{:.3f}", best(of) / 1e6), fmt::format("{:.3f}", median(of) / 1e6)});
  };
  add("SimGrid", figures.simgrid);
  add("ours, first prediction", figures.ours_first);
  add("ours, later ones", figures.ours_median);
  return text(rates) + fmt::format("{} runs of each in turn; step times {}\n\n",
                                   figures.simgrid.size(),
                                   figures.same_step_time ? "agree" : "DIFFER");
}

std::string linearity_text(const std::vector<LinearityFigures>& linearity) {
  Grid rates = table({"linearity", "M N/s"});
  for (const LinearityFigures& at : linearity)
    rates.rows.push_back({name(at.shape), millions(at.n_per_s)});
  return text(rates);
}

std::string megabytes(double bytes) {
  return fmt::format("{:.0f}", bytes / 1e6);
}

std::string phases_text(const PhaseFigures& phases) {
  Grid rates = table({"actions made of phases", "M phases/s"});
  rates.rows.push_back({fmt::format("dualpipe, {:.1f} M", static_cast<double>(phases.phases) / 1e6),
                        millions(phases.phases_per_s)});
  return text(rates);
}

std::string traces_text(const TraceFigures& traces) {
  Grid rates = table({"traces, best of their repeats", "MB/s", "MB held"});
  const std::string slices =
      fmt::format("{:.2f} M slices", static_cast<double>(traces.slices) / 1e6);
  rates.rows.push_back(
      {"written for Perfetto, " + slices, megabytes(traces.chrome_bytes_per_s), ""});
  rates.rows.push_back({"written as Kineto, " + slices, megabytes(traces.kineto_bytes_per_s), ""});
  rates.rows.push_back({fmt::format("read, {} MB of a profiler's", megabytes(traces.read_bytes)),
                        megabytes(traces.read_bytes_per_s), megabytes(traces.read_peak_bytes)});
  return text(rates);
}

struct Goal {
  std::string what;
  std::string asked;
  std::string seen;   ///< The median, which is what counts.
  std::string first;  ///< The first prediction of a process, where that differs.
  bool met;
};

Goal sweep_goal(const ShapeFigures& at) {
  return {.what = "sweep / bare sweep at " + name(at.shape),
          .asked = "≥ 70 %",
          .seen = percent(at.kernel.sweep_to_bare),
          .first = "",
          .met = at.kernel.sweep_to_bare >= 0.7};
}

Goal simgrid_goal(const SimGridFigures& rates) {
  const double ratio = median(rates.ours_median) / median(rates.simgrid);
  const double first = median(rates.ours_first) / median(rates.simgrid);
  return {.what = "prediction / SimGrid at " + name(rates.shape),
          .asked = "≥ 100×",
          .seen = fmt::format("{:.0f}×", ratio),
          .first = fmt::format("{:.0f}×", first),
          .met = ratio >= 100};
}

Goal speed_goal(const ShapeFigures& at) {
  return {.what = "prediction at " + name(at.shape),
          .asked = "≥ 20 M N/s",
          .seen = millions(median_rate(at)),
          .first = millions(first_rate(at)),
          .met = median_rate(at) >= 20e6};
}

Goal memory_goal(const ShapeFigures& at) {
  return {.what = "memory at " + name(at.shape),
          .asked = "≤ 64 B/N",
          .seen = fmt::format("{:.1f}", bytes_per_n(at)),
          .first = fmt::format("{:.1f}", first_bytes_per_n(at)),
          .met = bytes_per_n(at) <= 64};
}

Goal trace_goal(const std::string& what, double rate, double least) {
  return {.what = what,
          .asked = fmt::format("≥ {} MB/s", megabytes(least)),
          .seen = megabytes(rate),
          .first = "",
          .met = rate >= least};
}

std::vector<Goal> goals(const Figures& figures) {
  std::vector<Goal> goals;
  for (const ShapeFigures& at : figures.shapes)
    goals.push_back(sweep_goal(at));
  if (figures.simgrid)
    goals.push_back(simgrid_goal(*figures.simgrid));
  goals.push_back(speed_goal(figures.shapes.back()));
  goals.push_back(memory_goal(figures.shapes.back()));
  goals.push_back({.what = "phases",
                   .asked = "≥ 20 M phases/s",
                   .seen = millions(figures.phases.phases_per_s),
                   .first = "",
                   .met = figures.phases.phases_per_s >= 20e6});
  goals.push_back(
      trace_goal("trace written for Perfetto", figures.traces.chrome_bytes_per_s, 100e6));
  goals.push_back(trace_goal("trace written as Kineto", figures.traces.kineto_bytes_per_s, 100e6));
  goals.push_back(trace_goal("trace read", figures.traces.read_bytes_per_s, 300e6));
  return goals;
}

std::string goals_text(const Figures& figures) {
  Grid rows = table({"goal", "asked", "median", "first", "met"});
  for (const Goal& goal : goals(figures))
    rows.rows.push_back({goal.what, goal.asked, goal.seen, goal.first, goal.met ? "yes" : "NO"});
  return lines_of(rows);
}

Json shape_json(const ShapeFigures& figures) {
  Json phases = Json::object();
  for (std::size_t i = 0; i < kPhases; ++i)
    phases[kPhaseNames[i]] = {{"first_ms", figures.prediction.first[i]},
                              {"median_ms", figures.prediction.median[i]}};
  return {{"ranks", figures.shape.ranks},
          {"microbatches", figures.shape.microbatches},
          {"n", ops_and_messages(figures.shape)},
          {"repeats", figures.repeats},
          {"step_time_ns", figures.prediction.step_time_ns},
          {"phases", std::move(phases)},
          {"first_total_ms", total_ms(figures.prediction.first)},
          {"median_total_ms", figures.prediction.median_total_ms},
          {"best_total_ms", figures.prediction.best_total_ms},
          {"first_n_per_s", first_rate(figures)},
          {"median_n_per_s", median_rate(figures)},
          {"first_bytes", figures.prediction.first_bytes},
          {"peak_bytes_per_n", bytes_per_n(figures)},
          {"sweep_ms", figures.kernel.sweep_ms},
          {"bare_sweep_ms", figures.kernel.bare_ms},
          {"sweep_to_bare", figures.kernel.sweep_to_bare},
          {"event_queue_ms", figures.kernel.events_ms},
          {"event_queue_n_per_s", n_per_s(figures.shape, figures.kernel.events_ms)}};
}

}  // namespace

double n_per_s(Shape shape, double ms) {
  return ops_and_messages(shape) / (ms / 1e3);
}

std::string to_text(const Figures& figures) {
  std::string result = fmt::format("{}\n{}\n", figures.machine, figures.compiler);
  result += "mallopt as in the program: M_TRIM_THRESHOLD 1 GiB, M_MMAP_THRESHOLD 32 MiB\n";
  result +=
      "N = ops + messages; first: in a fresh process, on memory that the machine has at hand\n\n";
  for (const ShapeFigures& shape : figures.shapes)
    result += prediction_text(shape);
  result += kernel_text(figures);
  result += figures.simgrid
                ? simgrid_text(*figures.simgrid)
                : "SimGrid was not there when this was built (Debian: libsimgrid-dev)\n\n";
  return result + linearity_text(figures.linearity) + phases_text(figures.phases) +
         traces_text(figures.traces) + goals_text(figures);
}

Json to_json(const Figures& figures) {
  Json json = {{"command", figures.command},
               {"machine", figures.machine},
               {"compiler", figures.compiler},
               {"copy_bytes_per_s", figures.copy_bytes_per_s}};
  for (const ShapeFigures& shape : figures.shapes)
    json["shapes"].push_back(shape_json(shape));
  if (figures.simgrid)
    json["simgrid"] = {{"ranks", figures.simgrid->shape.ranks},
                       {"microbatches", figures.simgrid->shape.microbatches},
                       {"same_step_time", figures.simgrid->same_step_time},
                       {"simgrid_n_per_s", figures.simgrid->simgrid},
                       {"ours_first_n_per_s", figures.simgrid->ours_first},
                       {"ours_median_n_per_s", figures.simgrid->ours_median}};
  for (const LinearityFigures& at : figures.linearity)
    json["linearity"].push_back({{"ranks", at.shape.ranks},
                                 {"microbatches", at.shape.microbatches},
                                 {"n_per_s", at.n_per_s}});
  json["phases"] = {{"phases", figures.phases.phases},
                    {"phases_per_s", figures.phases.phases_per_s}};
  json["traces"] = {{"slices", figures.traces.slices},
                    {"chrome_bytes_per_s", figures.traces.chrome_bytes_per_s},
                    {"kineto_bytes_per_s", figures.traces.kineto_bytes_per_s},
                    {"read_bytes", figures.traces.read_bytes},
                    {"read_bytes_per_s", figures.traces.read_bytes_per_s},
                    {"read_peak_bytes", figures.traces.read_peak_bytes}};
  for (const Goal& goal : goals(figures))
    json["goals"].push_back({{"goal", goal.what},
                             {"asked", goal.asked},
                             {"median", goal.seen},
                             {"first", goal.first},
                             {"met", goal.met}});
  return json;
}

}  // namespace bubblescope::bench
