// What messages call processes and ranks, and which rank of a plan a process runs.
#include <numeric>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "backend_cuda/cluster/process_name.h"
#include "backend_cuda/cluster/rank_place.h"
#include "backend_cuda/cluster/socket.h"

namespace bubblescope {

TEST_CASE("ranks are told in ranges, and only some where they are many") {
  CHECK(rank_ranges({2}) == "rank 2");
  CHECK(rank_ranges({2, 5, 6, 7}) == "ranks 2, 5-7");
  CHECK(rank_ranges({0, 1}) == "ranks 0, 1");
  std::vector<int> all(511);
  std::iota(all.begin(), all.end(), 1);
  CHECK(rank_ranges(all) == "ranks 1-511");
  std::vector<int> odd;
  for (int rank = 1; rank < 512; rank += 2)
    odd.push_back(rank);
  CHECK(rank_ranges(odd) == "ranks 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, … (256 in all)");
}

TEST_CASE("processes are told with host and number, without letters that a terminal obeys") {
  CHECK(to_string(ProcessName{2, "gpu7", 4711}) == "rank 2 (host gpu7, process 4711)");
  CHECK(to_string(ProcessName{2, "gpu\x1b[2J\n7", 1}) == "rank 2 (host gpu?[2J?7, process 1)");
  CHECK(seconds_text(std::chrono::milliseconds(60'000)) == "60 s");
  CHECK(seconds_text(std::chrono::milliseconds(500)) == "0.5 s");
  CHECK(address_text("gpu7", 4000) == "gpu7:4000");
  CHECK(address_text("::1", 4000) == "[::1]:4000");
}

TEST_CASE("ranks of a pipeline lie as far apart as there are replicas") {
  Seat seat;
  seat.world = 8;
  seat.told_by = "Slurm";
  for (seat.rank = 0; seat.rank < seat.world; ++seat.rank) {
    seat.local_rank = seat.rank % 4;
    const RankPlace place = place_of(4, seat);
    CHECK(place.rank == seat.rank / 2);
    CHECK(place.replica == seat.rank % 2);
    CHECK(place.replicas == 2);
    CHECK(place.gpu == seat.local_rank);
    CHECK(place.process_of(place.rank) == seat.rank);
  }
  seat.rank = 0;
  CHECK(place_of(8, seat).replicas == 1);
  CHECK_THROWS_WITH_AS(place_of(3, seat),
                       doctest::Contains("8 processes (Slurm) for 3 pipeline ranks"), DeviceError);
  CHECK_THROWS_AS(place_of(16, seat), DeviceError);
}

}  // namespace bubblescope
