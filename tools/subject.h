// What `simulate` and the replays are about: a schedule of the catalogue or a program, with costs.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "tools/predict.h"
#include "tools/program_input.h"

namespace bubblescope {

/// All but the NAME.
struct SubjectOptions {
  ProgramOption program;
  ShapeOptions shape;
  CostCommandOptions costs;
  LimitOptions limits;

  void add_to(CLI::App& app);
  /// UsageError where `output` is the program that is read.
  void refuse_overwrite(const std::string& output) const;
};

struct Subject {
  const CatalogueEntry* entry = nullptr;  ///< None where there is a program.
  std::optional<PostedProgram> program = {};
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

/// Reads and checks the words of the command line; the name is empty where there is a program.
Subject make_subject(const std::string& name, const SubjectOptions& options,
                     const GlobalOptions& global, const SubjectRules& rules = {});

}  // namespace bubblescope
