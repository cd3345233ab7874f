// --trace FILE: a trace beside the figures, in one file or as a profiler writes it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "analysis/figures/measurement.h"
#include "analysis/traces/chrome_trace.h"

namespace bubblescope {

struct TraceOption {
  enum class Flavour : std::uint8_t { Perfetto, Kineto };
  std::string path;
  Flavour flavour = Flavour::Perfetto;

  void add_to(CLI::App& app, const char* help = "a Chrome trace, which ui.perfetto.dev opens");
  bool is_given() const { return !path.empty(); }
  /// UsageError where a file stands in the place of Kineto's folder.
  void check() const;
  /// Throws Error, before long work, where `write` would.
  void require_writable() const;

  /// In the flavour asked for; each file is whole or absent. Kineto's are rank0.json.gz, … in the
  /// folder, which must have none of more ranks. Throw Error where that cannot be done.
  /// What was `predicted` of a measured run stands beside it, but not in Kineto's flavour.
  void write(const Analysis& run, const Timeline* predicted = nullptr) const;
  /// Of a run cut short, as a Chrome trace in any flavour. The path of the file.
  std::string write_partial(const RunRecord& record) const;

 private:
  bool is_kineto() const { return flavour == Flavour::Kineto; }
  std::string partial_path() const;
};

}  // namespace bubblescope
