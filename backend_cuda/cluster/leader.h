// The executor of a whole plan whose ranks run in processes of their own: that of rank 0.
#pragma once

#include <chrono>
#include <memory>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/replay/rank_executor.h"

namespace bubblescope {

/// Starts and watches steps in all processes, and puts their times together on the clock of this
/// one. The others have followers. Times are those of the first pipeline, of a step that is cut
/// short those of the pipeline that was at fault. A step in which nothing ends for `timeout` is
/// ended everywhere; the message names who began what and did not end it. The plan and the control
/// have to outlive it. Throws PeerLost.
std::unique_ptr<Executor> make_leader(const Plan& plan, Control& control,
                                      std::unique_ptr<RankExecutor> own, const RankPlace& place,
                                      std::chrono::milliseconds timeout);

}  // namespace bubblescope
