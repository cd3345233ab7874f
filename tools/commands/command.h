// A subcommand: how it is declared and what runs when it is given.
#pragma once

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

#include "tools/options/option.h"
#include "tools/options/output_options.h"

namespace bubblescope {

struct Command {
  CLI::App* app;
  std::function<int()> run;  ///< Returns the exit code.
};

/// What --help prints: one blank line between groups, and a newline at the end.
std::string help_text(const CLI::App& app);

CLI::App* add_help(CLI::App& root);
Command add_check(CLI::App& root, const GlobalOptions& global);
Command add_schedules(CLI::App& root, const GlobalOptions& global);
Command add_models(CLI::App& root, const GlobalOptions& global);
Command add_hardware(CLI::App& root, const GlobalOptions& global);
Command add_hardware_fit(CLI::App& root, const GlobalOptions& global);
Command add_order(CLI::App& root, const GlobalOptions& global);
Command add_simulate(CLI::App& root, const GlobalOptions& global);
Command add_costs(CLI::App& root, const GlobalOptions& global);
Command add_compare(CLI::App& root, const GlobalOptions& global);
Command add_explain(CLI::App& root, const GlobalOptions& global);
Command add_calibrate(CLI::App& root, const GlobalOptions& global);
Command add_import(CLI::App& root, const GlobalOptions& global);
Command add_man(CLI::App& root, const GlobalOptions& global);
Command add_plan(CLI::App& root, const GlobalOptions& global);
Command add_replay(CLI::App& root, const GlobalOptions& global);
Command add_reproduce(CLI::App& root, const GlobalOptions& global);
Command add_analyze(CLI::App& root, const GlobalOptions& global);
Command add_validate(CLI::App& root, const GlobalOptions& global);

}  // namespace bubblescope
