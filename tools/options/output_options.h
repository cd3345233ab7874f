// What every subcommand takes, and where its results go.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "analysis/figures/format.h"
#include "tools/output.h"

namespace bubblescope {

/// The options before the subcommand.
struct GlobalOptions {
  ColorWhen color = ColorWhen::Auto;
  bool quiet = false;
  std::string command = {};  ///< The command line, as it could be typed again.

  void add_to(CLI::App& app);
  /// A message on stderr, unless quiet.
  void note(std::string_view text) const;
};

struct OutputOptions {
  std::optional<Format> format = {};
  std::string path = {};
  std::vector<std::string> columns = {};

  void add_to(CLI::App& app);
  /// Colours are for a terminal, never in a file; tables are cut on a terminal alone. UsageError
  /// where columns are named for a format without tables.
  Style style(const GlobalOptions& global) const;
};

/// --format alone.
void add_format(CLI::App& app, std::optional<Format>& format);
/// -o/--output alone, for results that have one format.
void add_output(CLI::App& app, std::string& path);

}  // namespace bubblescope
