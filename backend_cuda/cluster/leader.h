// The executor of a whole plan whose ranks run in processes of their own: that of rank 0.
#pragma once

#include <memory>

#include "backend_cuda/cluster/rank_executor.h"

namespace bubblescope {

/// Starts and watches steps in all processes, and puts their times together on the clock of this
/// one. The others have followers. Times are those of the first replica. The plan and the control
/// have to outlive it. Throws PeerLost.
std::unique_ptr<Executor> make_leader(const Plan& plan, Control& control,
                                      std::unique_ptr<RankExecutor> own, const RankPlace& place);

}  // namespace bubblescope
