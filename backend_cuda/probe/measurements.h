// The probe's measurements. Each warms up first, repeats, and shows its spread; one that the device
// or the driver cannot do throws NotSupported.
#pragma once

#include <vector>

#include "backend_cuda/probe/device.h"
#include "backend_cuda/probe/report.h"

namespace bubblescope::gpu {

using Measurement = std::vector<Table> (*)(const Device&);

/// How %globaltimer ticks.
std::vector<Table> measure_timer(const Device& device);
/// %globaltimer against the host's steady clock.
std::vector<Table> measure_drift(const Device& device);
/// The time between kernels that follow each other: in streams and in graphs.
std::vector<Table> measure_gaps(const Device& device);
/// The resolution of CUDA's events, and their error for known lengths.
std::vector<Table> measure_events(const Device& device);
/// How well a kernel that spins keeps to the time it is asked for.
std::vector<Table> measure_spins(const Device& device);
/// Green contexts: what a split gives, and whether kernels and graphs stay inside.
std::vector<Table> measure_partitions(const Device& device);
/// Kernels beside one that holds some of the SMs.
std::vector<Table> measure_contention(const Device& device);
/// Device memory read and written by a kernel.
std::vector<Table> measure_bandwidth(const Device& device);
/// Copies within the device, by size, and what makes them: copy engines or SMs.
std::vector<Table> measure_copies(const Device& device);

}  // namespace bubblescope::gpu
