// What `simulate` and the replays are about: a schedule of the catalogue or a program, with costs.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tools/program_input.h"
#include "tools/schedule_source.h"

namespace bubblescope {

/// All but the NAME.
struct SubjectOptions {
  ProgramOption program;
  ShapeOptions shape;
  CostCommandOptions costs;
  LimitOptions limits;

  void add_to(CLI::App& app);
};

struct Subject {
  ScheduleSource source;
  Scenario scenario = {};

  /// Writes or searches the order, or gives the program away.
  ScheduledProgram take_program(Progress& progress);
  /// Tells on stderr what a reader of the figures should know about the options.
  void note(const SubjectOptions& options, const GlobalOptions& global) const;
};

/// How a subject is read.
struct SubjectRules {
  Soundness soundness = Soundness::All;
  /// Costs that were measured, instead of those of the command line, for ranks and depth.
  std::function<CostSource(const Placement&)> costs = nullptr;
  /// Links that were measured, instead of those of the command line.
  std::optional<MeasuredLinks> links = {};
};

/// Reads what the options name; the name is empty where there is a program.
Subject make_subject(const std::string& name, const SubjectOptions& options,
                     const GlobalOptions& global, const SubjectRules& rules = {});

}  // namespace bubblescope
