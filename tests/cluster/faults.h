// Faults put on purpose into jobs of forked processes, each of which has to end all others in time
// and with one story.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace bubblescope {

struct Fault {
  std::string name;
  /// Lets it happen in a new job: empty if that ended cleanly, else what was not clean.
  std::function<std::string()> happen;
};

/// All of them, in jobs of so many processes, at least 6.
std::vector<Fault> faults(int world);

}  // namespace bubblescope
