// The executor of a plan in every process but the first.
#pragma once

#include <memory>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope {

/// All processes make the same calls for the same plan; the leader decides when a step begins, and
/// alone watches whether it goes on. Its times are those of all ranks, as the leader tells them; of
/// the comparison with a run without a pipeline, it only gives its share. The plan and the control
/// have to outlive it. Throws PeerLost.
std::unique_ptr<Executor> make_follower(const Plan& plan, Control& control,
                                        std::unique_ptr<RankExecutor> own, const RankPlace& place);

}  // namespace bubblescope
