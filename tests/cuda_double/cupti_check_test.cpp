// Stamps beside CUPTI's records of the same kernels.
#include "backend_cuda/cuda/cupti_check.h"

#include <doctest/doctest.h>

namespace bubblescope::gpu {
namespace {

TEST_CASE("timed actions are told apart from other kernels, by start") {
  const std::vector<Span> seen = actions_seen({{"_Z19timed_action_kernel", 2, 500, 700},
                                               {"_Z11gate_kernel", 1, 0, 50},
                                               {"_Z19timed_action_kernel", 1, 100, 300}});
  CHECK(seen == std::vector<Span>{{Time(100), Time(300)}, {Time(500), Time(700)}});
}

TEST_CASE("an action of tensors is what ran on its stream between its stamps") {
  const std::vector<Span> seen = actions_seen({{"stamp_start_kernel", 1, 90, 95},
                                               {"gemm", 1, 100, 150},
                                               {"other stream", 2, 120, 900},
                                               {"tanh", 1, 155, 180},
                                               {"stamp_end_kernel", 1, 190, 195},
                                               {"stamp_start_kernel", 1, 200, 205},
                                               {"gemm", 1, 210, 230},
                                               {"stamp_end_kernel", 1, 240, 245}});
  CHECK(seen == std::vector<Span>{{Time(100), Time(180)}, {Time(210), Time(230)}});
}

TEST_CASE("lengths and starts are compared, those from the first action on") {
  const std::vector<Span> stamped = {{Time(1000), Time(3000)}, {Time(9000), Time(9900)}};
  const std::vector<Span> seen = {{Time(50), Time(2000)}, {Time(8150), Time(9000)}};
  CHECK(compare_actions(stamped, seen) ==
        "2 actions: lengths differ by 0.050 µs (median), 0.050 µs (most), starts by 0.000 µs, "
        "0.100 µs");
  CHECK(compare_actions(stamped, {seen[0]}) == "1 actions told apart, of 2 that ran");
}

}  // namespace
}  // namespace bubblescope::gpu
