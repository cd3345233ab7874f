// A subcommand: how it is declared and what runs when it is given.
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include "tools/options/options.h"

namespace bubblescope {

struct Command {
  CLI::App* app;
  std::function<int()> run;  ///< Returns the exit code.
};

Command add_check(CLI::App& root, const GlobalOptions& global);
Command add_schedules(CLI::App& root, const GlobalOptions& global);
Command add_order(CLI::App& root, const GlobalOptions& global);
Command add_simulate(CLI::App& root, const GlobalOptions& global);
Command add_costs(CLI::App& root, const GlobalOptions& global);
Command add_compare(CLI::App& root, const GlobalOptions& global);
Command add_explain(CLI::App& root, const GlobalOptions& global);
Command add_calibrate(CLI::App& root, const GlobalOptions& global);
Command add_man(CLI::App& root, const GlobalOptions& global);
Command add_replay(CLI::App& root, const GlobalOptions& global);
Command add_reproduce(CLI::App& root, const GlobalOptions& global);
Command add_analyze(CLI::App& root, const GlobalOptions& global);
Command add_validate(CLI::App& root, const GlobalOptions& global);

}  // namespace bubblescope
