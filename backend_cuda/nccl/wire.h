// Messages and sums of gradients by NCCL, between processes that run one rank each.
#pragma once

#include <memory>

#include "backend_cuda/cuda/wire.h"
#include "backend_cuda/cuda/work.h"
#include "backend_cuda/nccl/library.h"
#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope::gpu {

struct WireOptions {
  RankPlace place;
  int max_ctas = 0;  ///< Of each communicator; 0: as many as NCCL likes.
};

/// All processes of the job call it together. A communicator for each channel and for each set of
/// processes with copies of the same weights; each is used once, since NCCL connects then. Messages
/// are as long as their costs say, where that is more than they carry. Throws DeviceError, and
/// PeerLost. What it is given has to outlive it.
std::unique_ptr<Wire> make_nccl_wire(std::shared_ptr<const Nccl> nccl, const Plan& plan,
                                     const Layout& layout, const Work& work, Control& control,
                                     const WireOptions& options);

}  // namespace bubblescope::gpu
