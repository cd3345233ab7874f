// What `compare` sets side by side: a schedule of the catalogue, or a program from a file.
#pragma once

#include <optional>
#include <string>

#include "tools/predict.h"

namespace bubblescope {

struct Contender {
  const CatalogueEntry* entry = nullptr;  ///< None where there is a program.
  std::optional<PostedProgram> program = {};
  bool by_name = true;  ///< Asked for by its name, and not with all.

  std::string name() const { return entry ? std::string(entry->name) : program->schedule.name; }
  bool is_searched() const { return entry != nullptr && entry->automatic != nullptr; }
  /// The scenario without the group size, unless it is one of those that have one.
  Scenario own(const Scenario& scenario) const;
};

/// Why it cannot stand beside schedules of the scenario's shape and costs; none where it can.
std::optional<std::string> find_obstacle(const Contender& contender, const Scenario& scenario);

/// Its order with messages. Throws as `schedule_for` does.
ScheduledProgram schedule_for(const Contender& contender, const Scenario& scenario,
                              Progress& progress);

}  // namespace bubblescope
