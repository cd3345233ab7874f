#include "analysis/measurement.h"

namespace bubblescope {

std::string Measurement::device() const {
  return machine.empty() ? "unknown" : machine.front().second;
}

}  // namespace bubblescope
