// How the processes of a communicator of the double come together: the maker of its id tells all
// where each of them listens; then each pair connects.
#pragma once

#include <functional>
#include <nccl.h>
#include <vector>

#include "backend_cuda/cluster/socket.h"

namespace bubblescope::nccl_double {

/// Listens from now on, in a thread of its own, until all processes of one communicator have come.
/// Throws std::runtime_error.
ncclUniqueId make_id();

struct MeshSeat {
  ncclUniqueId id;
  int ranks;
  int rank;
};

/// [rank] A connection to every other process; none to this one. Waits for as long as it takes, or
/// until `is_over()`. Throws std::runtime_error.
std::vector<Socket> connect_mesh(const MeshSeat& seat, const std::function<bool()>& is_over);

}  // namespace bubblescope::nccl_double
