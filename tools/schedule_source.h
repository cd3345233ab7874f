// Where a schedule comes from: the catalogue, or a file.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "tools/predict.h"

namespace bubblescope {

struct ScheduleSource {
  std::variant<const CatalogueEntry*, PostedProgram> from;

  /// Null for a program.
  const CatalogueEntry* entry() const {
    const auto* entry = std::get_if<const CatalogueEntry*>(&from);
    return entry ? *entry : nullptr;
  }
  /// Null for a schedule of the catalogue.
  const PostedProgram* program() const { return std::get_if<PostedProgram>(&from); }
  std::string name() const {
    return entry() ? std::string(entry()->name) : program()->schedule.name;
  }
  bool is_searched() const { return entry() != nullptr && entry()->automatic != nullptr; }
};

/// Why it cannot stand beside schedules of the scenario's shape and costs; none where it can.
std::optional<std::string> find_obstacle(const ScheduleSource& source, const Scenario& scenario);

/// Its order with messages. Throws as `schedule_for` a CatalogueEntry does.
ScheduledProgram schedule_for(const ScheduleSource& source, const Scenario& scenario,
                              Progress& progress);

}  // namespace bubblescope
