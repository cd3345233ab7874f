// What `compare` sets side by side.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/schedule_source.h"

namespace bubblescope {

struct Contender {
  ScheduleSource source;
  bool by_name = true;             ///< Asked for by its name, and not with others.
  std::optional<int> chunks = {};  ///< As asked for; none: as many as the schedule has.
  bool is_one_of_several = false;  ///< The schedule stands there with other chunks too.

  /// "1f1b", or "interleaved-1f1b v=4" where it is one of several.
  std::string name() const;
  /// The scenario with its own chunks, and without a group size unless it takes one.
  Scenario own(const Scenario& scenario) const;
};

/// Adds the schedules that `word` means, each once: a name or what it is called elsewhere, a
/// family, a framework that has them, or "all". Throws UsageError with the nearest word.
void choose_schedules(const std::string& word, std::vector<Contender>& schedules);

}  // namespace bubblescope
