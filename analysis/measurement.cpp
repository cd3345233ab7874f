#include "analysis/measurement.h"

namespace bubblescope {

std::string Measurement::device() const {
  return machine.empty() ? "unknown" : machine.front().second;
}

std::string Measurement::source() const {
  return backend + ", " + (virtual_clock ? "virtual clock" : device());
}

}  // namespace bubblescope
