// What a process says first to the leader.
#pragma once

#include <cstdint>
#include <string>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/frame.h"
#include "backend_cuda/cluster/process_name.h"

namespace bubblescope {

/// Of how processes speak with each other; of any other number, only a Hello is understood.
constexpr std::int64_t kProtocol = 2;

/// Its fields and their order stay the same in all versions.
struct Hello {
  std::int64_t protocol;
  std::uint64_t token;
  int world;
  ProcessName process;
  std::string version;
};

FrameBytes hello_frame(const Seat& seat, const ControlOptions& options);
/// Throws BadFrame where it is none.
Hello read_hello(const Frame& frame);

}  // namespace bubblescope
