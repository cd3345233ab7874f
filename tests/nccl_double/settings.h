// What the test double of NCCL is told by the environment.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace bubblescope::nccl_double {

struct Settings {
  int version;
  std::string address;
  double bandwidth;  ///< 0: no bound.
  std::chrono::nanoseconds latency;
  std::string notes;
  /// A communicator of this process, by its number from 1 on; 0: none.
  struct {
    int communicator = 0;
    enum class Fault : std::uint8_t { Hang, NoMemory } fault = Fault::Hang;
  } init;
  struct {
    int communicator = 0;
    std::uint64_t after = 0;  ///< Messages that it sends.
  } stall;
  std::string spoils;

  /// From when both ends of a message are there until it may arrive.
  std::chrono::nanoseconds duration_of(std::size_t bytes) const;
};

/// Those of this process. Throws std::invalid_argument at a value that cannot be read.
const Settings& settings();

}  // namespace bubblescope::nccl_double
