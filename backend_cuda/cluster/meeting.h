// How the processes of a job come together: all others go to rank 0, say who they are, and are told
// that all have come, or why the job cannot begin.
#pragma once

#include <vector>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/line.h"
#include "backend_cuda/cluster/process_name.h"

namespace bubblescope {

/// Another process, and the line to it.
struct Member {
  ProcessName process;
  Line line;
};

/// Of the leader: [rank − 1] all others. Throws DeviceError, which they are told, too.
std::vector<Member> meet_as_leader(const Seat& seat, const ControlOptions& options);
/// Of another: the leader. Throws DeviceError, and PeerLost where the leader tells the user why.
Member meet_as_follower(const Seat& seat, const ControlOptions& options);

}  // namespace bubblescope
