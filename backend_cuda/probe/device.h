// The device that is probed, and the host around it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "backend_cuda/probe/report.h"

namespace bubblescope::gpu {

struct Device {
  int ordinal = 0;
  std::string name = {};
  unsigned int sm_count = 0;
  std::size_t max_shared_bytes = 0;  ///< That a block can have: all that an SM gives.
};

/// Opens the first visible device, loads the kernels, and leaves its context current. Throws
/// std::runtime_error, which says in one line what is missing.
Device open_device();

/// Name, compute capability, versions, clocks and what else a figure has to be read with. Runs the
/// device for a tenth of a second, so that its clocks are up.
std::vector<Fact> describe(const Device& device);

/// MHz of the SM clock: cycles by %globaltimer, at the end of a tenth of a second of arithmetic.
double measure_sm_clock(const Device& device);

/// Shared bytes with which an SM has room for one block only.
std::size_t more_than_half_of_shared(const Device& device);

}  // namespace bubblescope::gpu
