// The tensor workload on the test double of the CUDA runtime: that pipelines compute the gradients
// of an unpipelined run, and that the model's gradients are those of its loss.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "backend_cuda/cuda/cuda_executor.h"
#include "backend_cuda/cuda/tensor_kernels.h"
#include "backend_cuda/cuda/unpipelined.h"
#include "backend_cuda/cuda/work.h"
#include "backend_cuda/host/residual_mlp.h"
#include "backend_cuda/replay/replay.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/cuda_double/cuda_double.h"
#include "tests/support/costs.h"
#include "tests/support/early.h"
#include "tests/support/effort.h"

namespace bubblescope {
namespace {

constexpr const char* kSchedules[] = {"gpipe", "1f1b", "interleaved-1f1b", "zb-h1",
                                      "zb-h2", "zb-v", "dualpipe",         "dualpipev"};
constexpr Comm kComms[] = {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch};
constexpr TensorShape kSmall{.tokens = 3, .hidden = 8, .inner = 16};

struct OwnPlan {
  OwnPlan(const char* schedule, Comm comm, Shape shape = {4, 8})
      : program(post_messages(*find_schedule(schedule), shape, comm)),
        costs(simple_costs({.forward = 1000, .hop = 1000}), program.schedule.placement, {}),
        plan(make_plan(program, costs)) {}
  OwnPlan(const OwnPlan&) = delete;
  OwnPlan& operator=(const OwnPlan&) = delete;

  PostedProgram program;
  CostModel costs;
  Plan plan;
};

Parity parity_of(const Plan& plan, ExecutorOptions options, const ReplayOptions& steps = {},
                 const cuda_double::Machine& machine = {}) {
  cuda_double::install(machine);
  options.workload = Workload::Tensors;
  Parity parity;
  {
    const auto executor = gpu::make_cuda_executor(plan, options);
    parity = replay(plan, *executor, steps).parity.value();
  }
  CHECK(cuda_double::things_left() == 0);
  return parity;
}

TEST_CASE("CUDA double: every schedule computes the gradients of an unpipelined run") {
  for (const char* schedule : kSchedules)
    for (const Comm comm : kComms)
      for (const Launch launch : {Launch::Graph, Launch::Streams}) {
        CAPTURE(schedule);
        CAPTURE(to_string(comm));
        const OwnPlan own(schedule, comm);
        const int partitions = launch == Launch::Graph ? 4 : 0;
        const Parity parity = parity_of(own.plan, {.shape = kSmall, .launch = launch}, {},
                                        {.partitions = partitions});
        CAPTURE(parity.worst_tensor);
        CAPTURE(parity.gradient_error);
        CHECK(parity.holds());
        CHECK(parity.loss > 0);
        CHECK(parity.loss_error < 1e-12);  // each micro-batch's is the same to the last bit
      }
}

TEST_CASE("CUDA double: several blocks, repeated steps and two GPUs compute the same") {
  const OwnPlan own("zb-v", Comm::Stream);
  TensorShape shape = kSmall;
  shape.blocks = 3;
  const Parity once = parity_of(own.plan, {.shape = shape});
  CHECK(once.holds());
  const Parity again = parity_of(own.plan, {.shape = shape}, {.warm_ups = 1, .repeats = 2});
  CHECK(again.holds());
  CHECK(again.loss == once.loss);
  const Parity on_two = parity_of(own.plan, {.shape = shape}, {}, {.gpus = 2});
  CHECK(on_two.holds());
  CHECK(on_two.loss == once.loss);
  shape.seed = 2;
  CHECK(parity_of(own.plan, {.shape = shape}).loss != once.loss);
}

TEST_CASE("CUDA double: every kernel has run in its partition before a step does") {
  for (const Comm comm : kComms)
    for (const bool hangs : {false, true}) {
      CAPTURE(to_string(comm));
      const OwnPlan own("zb-v", comm);
      ExecutorOptions options{
          .workload = Workload::Tensors, .shape = kSmall, .launch = Launch::Streams};
      if (hangs)
        options.injection = Injection{Injection::Kind::Hang, 0};
      cuda_double::install({.partitions = 4});
      {
        const auto executor = gpu::make_cuda_executor(own.plan, options);
        const std::size_t before = cuda_double::kernels_in_partitions();
        CHECK(before > 0);
        executor->start();
        CHECK(executor->wait(std::chrono::milliseconds(hangs ? 20 : 20'000)) != hangs);
        CHECK(cuda_double::kernels_in_partitions() == before);
      }
      CHECK(cuda_double::things_left() == 0);
    }
}

TEST_CASE("CUDA double: the gate opens before the queues of streams are full of tensors' kernels") {
  for (const int blocks : {32, 256}) {  // of the latter, some actions alone would fill a queue
    const OwnPlan own("dualpipe", Comm::Batched, {2, 8});
    ExecutorOptions options{
        .workload = Workload::Tensors, .shape = kSmall, .launch = Launch::Streams};
    options.shape.blocks = blocks;
    cuda_double::install({});
    const auto executor = gpu::make_cuda_executor(own.plan, options);
    executor->start();
    REQUIRE(executor->wait(std::chrono::milliseconds(20'000)));
    for (const auto& [name, value] : executor->machine())
      CHECK(value.find("took too long") == std::string::npos);
  }
}

TEST_CASE("CUDA double: what is read too soon, or is another's, spoils the gradients" *
          doctest::skip(kRefusesRaces)) {
  OwnPlan early("1f1b", Comm::Stream);
  receive_early(early.plan);
  CHECK_FALSE(parity_of(early.plan, {.shape = kSmall}).holds());
  OwnPlan crossed("1f1b", Comm::Batched);
  crossed.plan.messages[0].sent = crossed.plan.messages[1].sent;
  CHECK_FALSE(parity_of(crossed.plan, {.shape = kSmall}).holds());
  OwnPlan shared_slot("1f1b", Comm::Batched);
  for (std::uint32_t& slot : shared_slot.plan.activation_slot)
    slot = 0;
  CHECK_FALSE(parity_of(shared_slot.plan, {.shape = kSmall}).holds());
}

TEST_CASE("CUDA double: sizes that kernels do not take are told") {
  const OwnPlan own("1f1b", Comm::Ideal);
  CHECK_THROWS_AS(parity_of(own.plan, {.shape = {.tokens = 3, .hidden = 7, .inner = 16}}),
                  DeviceError);
  CHECK(cuda_double::things_left() == 0);
}

Matrix matrix_of(const gpu::Bf16* values, Eigen::Index rows, Eigen::Index columns) {
  return Matrix::NullaryExpr(rows, columns, [=](Eigen::Index row, Eigen::Index column) {
    return static_cast<double>(gpu::to_float(values[row * columns + column]));
  });
}

/// The largest difference over the largest entry; `values` are row-major.
double error_of(const float* values, const Matrix& expected) {
  double largest = 0;
  for (Eigen::Index row = 0; row < expected.rows(); ++row)
    for (Eigen::Index column = 0; column < expected.cols(); ++column)
      largest =
          std::max(largest, std::abs(static_cast<double>(values[row * expected.cols() + column]) -
                                     expected(row, column)));
  return largest / expected.cwiseAbs().maxCoeff();
}

TEST_CASE("CUDA double: the gradients in bf16 are near those of the same model in double") {
  constexpr double kBf16 = 0.03;  // a few roundings by 2^-9, one after another
  cuda_double::install({});
  const TensorShape shape{.tokens = 4, .hidden = 16, .inner = 24, .blocks = 2};
  const gpu::Mlp mlp(shape, 1);
  const gpu::Randoms randoms(shape, mlp);
  const gpu::DeviceBuffer<gpu::Bf16> memory(mlp.weights() + mlp.activation());
  const gpu::Stream stream = gpu::make_stream();
  gpu::Unpipelined unpipelined(shape, mlp, loop_placement({.ranks = 1, .chunks = 1}));
  gpu::Bf16* const x = memory.data() + mlp.weights();
  randoms.enqueue_weights(0, memory.data(), stream.get());
  randoms.enqueue_input(5, x, stream.get());
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
  const double found_loss = unpipelined.run(5, 0);

  StageWeights weights;
  for (std::size_t block = 0; block < mlp.blocks(); ++block)
    weights.push_back(
        {matrix_of(memory.data() + 2 * block * mlp.weight(), shape.hidden, shape.inner),
         matrix_of(memory.data() + (2 * block + 1) * mlp.weight(), shape.inner, shape.hidden)});
  const Matrix target =
      Matrix::NullaryExpr(shape.tokens, shape.hidden, [&](Eigen::Index row, Eigen::Index column) {
        const auto i = static_cast<std::uint64_t>(row * shape.hidden + column);
        return static_cast<double>(gpu::kUnitScale * gpu::uniform(randoms.target_key(5), i));
      });
  const AbortFlag goes_on = false;
  SavedStage saved;
  const Matrix y = forward(weights, matrix_of(x, shape.tokens, shape.hidden), saved, goes_on);
  CHECK(found_loss == doctest::Approx(loss(y, target, saved)).epsilon(kBf16));
  backward_input(weights, saved.loss_grad, saved, goes_on);
  StageWeights gradients = zero_weights(shape);
  backward_weights(saved, gradients, goes_on);
  for (std::size_t block = 0; block < mlp.blocks(); ++block) {
    const float* found = unpipelined.gradients(0) + 2 * block * mlp.weight();
    CHECK(error_of(found, gradients[block].w1) < kBf16);
    CHECK(error_of(found + mlp.weight(), gradients[block].w2) < kBf16);
  }
}

}  // namespace
}  // namespace bubblescope
