// --trace FILE: a Chrome trace beside the figures.
#pragma once

#include <functional>
#include <string>

#include "analysis/sink.h"
#include "tools/options.h"

namespace bubblescope {

struct TraceOption {
  std::string path;

  void add_to(CLI::App& app, const char* help = "a Chrome trace, which ui.perfetto.dev opens");
  bool is_given() const { return !path.empty(); }
  /// UsageError unless it has a file of its own.
  void check(const OutputOptions& output) const;
  /// Writes what `writer` gives into the file, whole. Throws Error where that cannot be done.
  void write(const std::function<void(const Sink&)>& writer) const;
};

}  // namespace bubblescope
