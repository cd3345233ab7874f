#include "backend_cuda/cluster/rank_place.h"

#include <fmt/format.h>

#include "backend_cuda/cluster/control.h"

namespace bubblescope {

RankPlace place_of(int ranks, const Seat& seat) {
  if (seat.world % ranks != 0)
    throw JobError(
        fmt::format("{} processes ({}) for {} pipeline ranks: start {}, or a multiple of it for "
                    "replicas",
                    seat.world, seat.told_by, ranks, ranks));
  const int replicas = seat.world / ranks;
  return {.rank = seat.rank / replicas,
          .replica = seat.rank % replicas,
          .replicas = replicas,
          .gpu = seat.local_rank};
}

}  // namespace bubblescope
