// What happens to one process of a job, and how all others end. The bench repeats each a hundred
// times.
#include <string>

#include <doctest/doctest.h>

#include "tests/cluster/faults.h"
#include "tests/cluster/job.h"

namespace bubblescope {

TEST_CASE("each fault ends all processes in time, and all tell of the same rank") {
  for (const Fault& fault : faults(8)) {
    CAPTURE(fault.name);
    CHECK(fault.happen() == "");
  }
}

TEST_CASE("a death among many processes is told to all") {
  for (const Fault& fault : faults(kMany))
    if (fault.name == "a process dies" || fault.name == "the leader dies") {
      CAPTURE(fault.name);
      CHECK(fault.happen() == "");
    }
}

}  // namespace bubblescope
