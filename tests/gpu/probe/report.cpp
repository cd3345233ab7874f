#include "tests/gpu/probe/report.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>

#include <CLI/CLI.hpp>

#include "sim/base/json_text.h"
#include "sim/base/statistics.h"
#include "tools/errors.h"
#include "tools/output.h"

namespace bubblescope::gpu {
namespace {

std::string text_of(const Report& report) {
  ordered_json json = {{"format", "bubblescope-gpu-probe/1"}, {"facts", report.facts}};
  for (const Table& table : report.tables)
    json["measurements"][table.name] = {
        {"title", table.title}, {"rows", table.rows}, {"notes", table.notes}};
  return dump_json(json, 2) + "\n";
}

/// "NVIDIA H200" is "nvidia-h200".
std::string file_name_of(const std::string& device) {
  std::string name;
  for (const char c : device)
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      name += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    else if (!name.empty() && name.back() != '-')
      name += '-';
  name.erase(name.find_last_not_of('-') + 1);
  return name.empty() ? "unknown" : name;
}

void write(const std::string& output, const Report& report) {
  if (!output.ends_with('/'))
    return write_output(output, text_of(report));
  std::filesystem::create_directories(output);
  write_output(output + file_name_of(report.facts["device"]) + "-probe.json", text_of(report));
}

}  // namespace

ordered_json rounded(double value) {
  return std::round(value * 1e3) / 1e3;
}

double add_spread(ordered_json& row, const std::string& unit, std::vector<double> samples) {
  if (samples.empty())
    throw std::runtime_error("no repeat of a measurement gave a result");
  std::sort(samples.begin(), samples.end());
  const double median = percentile(samples, 0.5);
  row["n"] = samples.size();
  row["min_" + unit] = rounded(samples.front());
  row["p50_" + unit] = rounded(median);
  row["p95_" + unit] = rounded(percentile(samples, 0.95));
  row["max_" + unit] = rounded(samples.back());
  return median;
}

void complain(const std::string& what) {
  std::fprintf(stderr, "the probe: %s\n", what.c_str());
}

int run_probe(int argc, char** argv, void (*measure)(Report&)) {
  std::string output;
  std::string command;
  for (int i = 0; i < argc; ++i)
    command += (i == 0 ? "" : " ") + std::string(argv[i]);
  CLI::App app("Measures what replays on a GPU are built on, and writes it as JSON");
  app.add_option("-o,--output", output,
                 "FILE instead of stdout; FOLDER/: FOLDER/DEVICE-probe.json");
  app.add_option("--command", command, "the command that the JSON shows");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  try {
    Report report;
    measure(report);
    report.facts["command"] = command;
    write(output, report);
    return report.is_good ? kDone : kDevice;
  } catch (const std::exception& error) {
    complain(error.what());
    return kDevice;
  }
}

}  // namespace bubblescope::gpu
