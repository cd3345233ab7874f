// The module with the real CUDA runtime, as the program loads it.
#include <dlfcn.h>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "backend_cuda/replay/executor.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"

namespace bubblescope {

TEST_CASE("the CUDA module loads, and runs a step or tells in one line why it cannot") {
  void* const module = dlopen(BUBBLESCOPE_CUDA_MODULE, RTLD_NOW | RTLD_LOCAL);
  REQUIRE_MESSAGE(module != nullptr, dlerror());
  const auto make = reinterpret_cast<MakeExecutor>(dlsym(module, kMakeExecutor));
  REQUIRE((make != nullptr));
  const PostedProgram program = post_messages(*find_schedule("1f1b"), {2, 4}, Comm::Stream);
  const CostModel costs(simple_costs({.forward = 50'000}), program.schedule.placement, {});
  const Plan plan = make_plan(program, costs);
  try {
    const std::unique_ptr<Executor> executor(make(plan, {}));
    executor->start();
    CHECK(executor->wait(std::chrono::seconds(10)));
  } catch (const DeviceError& error) {
    const std::string what = error.what();
    CAPTURE(what);
    CHECK(what.find("(cudaError") != std::string::npos);
    CHECK(what.find('\n') == std::string::npos);
  }
}

}  // namespace bubblescope
