// Reductions, gathers and updates of data parallelism, against sums by hand.
#include "sim/transformer/data_parallel.h"

#include <doctest/doctest.h>

#include "sim/transformer/analytic_costs.h"
#include "sim/transformer/layer_phases.h"
#include "sim/transformer/model_file.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

/// 8 GPUs a node; NVLink 100 GB/s and 1 µs, NIC 10 GB/s and 5 µs, memory 1 TB/s.
Hardware hardware() {
  Hardware result = read_hardware(source_file("data/hardware/h100-sxm.json").string());
  result.nvlink_bandwidth = 100e9;
  result.nvlink_latency = Time(1'000);
  result.nic_bandwidth = 10e9;
  result.nic_latency = Time(5'000);
  result.memory_bandwidth = 1e12;
  result.efficiency.memory = result.efficiency.nvlink = result.efficiency.network = 1;
  return result;
}

struct Job {
  Model model = read_model(source_file("data/models/deepseek-v3.json").string());
  Hardware hardware = bubblescope::hardware();
  Parallel parallel = {};
  Training training = {};

  LayerSetting setting() const { return {model, hardware, parallel, training}; }
};

void check_group(const GpuGroup& group, std::int64_t size, std::int64_t per_node,
                 std::int64_t nodes) {
  CHECK(group.size == size);
  CHECK(group.per_node == per_node);
  CHECK(group.nodes == nodes);
}

}  // namespace

TEST_CASE("replicas lie as far apart as tensor and expert groups are large") {
  Job job;
  job.parallel = {.tensor = 2, .data = 16};
  check_group(plain_replicas(job.setting()), 16, 4, 4);
  check_group(expert_replicas(job.setting()), 16, 4, 4);
  job.parallel = {.tensor = 8, .expert = 4, .data = 6, .context = 2};
  check_group(plain_replicas(job.setting()), 12, 1, 12);
  check_group(expert_replicas(job.setting()), 24, 2, 12);
  job.parallel = {.expert = 64, .data = 128};
  check_group(plain_replicas(job.setting()), 128, 8, 16);
  check_group(expert_replicas(job.setting()), 2, 1, 2);
  job.parallel = {.data = 4};
  check_group(plain_replicas(job.setting()), 4, 4, 1);
}

TEST_CASE("a reduce-scatter passes on all but a GPU's own part, as a ring or by node") {
  Job job;
  const double bytes = 8e9;
  const auto seconds = [&](GpuGroup group) {
    return collective_cost(job.setting(), group, bytes).seconds();
  };
  CHECK(seconds({1, 1, 1}) == 0);
  CHECK(collective_cost(job.setting(), {16, 4, 4}, 0).seconds() == 0);  // no latency either
  CHECK(seconds({4, 4, 1}) == doctest::Approx(0.75 * 8e9 / 100e9 + 3 * 1e-6));
  // Rings over four nodes have four NICs, and 15 steps as slow as the slowest.
  CHECK(seconds({16, 4, 4}) == doctest::Approx(15.0 / 16 * 8e9 / 40e9 + 15 * 5e-6));
  job.training.collectives = Collectives::Hierarchical;
  CHECK(seconds({16, 4, 4}) ==
        doctest::Approx(0.75 * 8e9 / 100e9 + 3 * 1e-6 + 0.75 * 2e9 / 10e9 + 3 * 5e-6));
  CHECK(seconds({4, 4, 1}) == doctest::Approx(0.75 * 8e9 / 100e9 + 3 * 1e-6));
  CHECK(seconds({4, 1, 4}) == doctest::Approx(0.75 * 8e9 / 10e9 + 3 * 5e-6));
  job.training.collectives = Collectives::Ring;  // never faster than NVLink
  job.hardware.nic_bandwidth = 90e9;
  CHECK(seconds({16, 4, 4}) == doctest::Approx(15.0 / 16 * 8e9 / 100e9 + 15 * 5e-6));
}

TEST_CASE("what follows the last backward shrinks with ZeRO's stage") {
  Job job;
  job.parallel = {.expert = 4, .data = 8};  // 8 replicas in a node; of experts 2, a GPU a 4th
  const Parameters parameters{.plain = 1e9, .expert = 4e9};
  // Reduce-scatter of fp32, and the update's 4 + 2 × 12 + 2 bytes for each parameter.
  const double scatter = 7.0 / 8 * 4e9 / 100e9 + 7e-6 + 0.5 * 16e9 / 100e9 + 1e-6;
  const double gather = 7.0 / 8 * 2e9 / 100e9 + 7e-6 + 0.5 * 8e9 / 100e9 + 1e-6;
  const double divided = (1e9 / 8 + 4e9 / 2) * 30 / 1e12;
  const StageUpdate expected[] = {{2 * scatter, 5e9 * 30 / 1e12},
                                  {scatter, divided + gather},
                                  {0, divided + gather},
                                  {0, divided}};
  for (int zero = 0; zero <= 3; ++zero) {
    CAPTURE(zero);
    job.training.zero = zero;
    const StageUpdate update = stage_update(job.setting(), parameters);
    CHECK(update.reduce == doctest::Approx(expected[zero].reduce));
    CHECK(update.optimizer + update.gather == doctest::Approx(expected[zero].optimizer));
  }
  job.training = {.zero = 0, .gradient_bytes = 2, .moment_bytes = 2};
  CHECK(stage_update(job.setting(), parameters).optimizer ==
        doctest::Approx(5e9 * (2 + 2 * 8 + 2) / 1e12));
}

TEST_CASE("what ZeRO 3 gathers is seen where it takes longer than the layer computes") {
  ModelJob job{.model = read_model(source_file("data/models/llama-3.1-405b.json").string()),
               .hardware = hardware(),
               .parallel = {.tensor = 8, .data = 16},
               .training = {.zero = 2}};
  job.hardware.kernel_gap = Time(0);
  const Op forward(OpKind::Forward, 7, 0);
  const Op weight_grad(OpKind::BackwardWeight, 7, 0);
  const auto length = [&](const Op& op) {
    const CostSource source = analytic_costs(job, 126).source;
    return CostModel(source, loop_placement({.ranks = 126, .chunks = 1}), {}).duration(op);
  };
  const LayerSetting setting = {job.model, job.hardware, job.parallel, job.training};
  const Parameters parameters = layer_parameters(setting, {.first = 7, .layers = 1}).front();
  const Time gathered = time_from_us(gather_parameters(setting, parameters).seconds() * 1e6);
  const Time reduced = time_from_us(reduce_gradients(setting, parameters).seconds() * 1e6);
  const Time before = length(forward);
  CHECK(length(weight_grad) == reduced);  // it computes for a shorter time
  job.training.zero = 1;
  CHECK(length(weight_grad) < reduced);
  job.training.zero = 3;
  const LayerCost layer = layer_cost(setting, job.model.kinds[0]);
  const auto seconds = [&](PhaseId id) { return layer[static_cast<std::size_t>(id)].seconds(); };
  const double tensor = seconds(PhaseId::TensorMixerF) + seconds(PhaseId::TensorMlpF);
  CHECK(before < gathered);
  CHECK(std::abs((length(forward) - gathered - time_from_us(tensor * 1e6)).count()) <= 4);
  job.training.microbatch = 64;  // it computes for longer
  const Time long_forward = length(forward);
  job.training.zero = 2;
  CHECK(length(forward) == long_forward);
}

TEST_CASE("a stage without parameters reduces and updates nothing") {
  Job job;
  job.parallel = {.expert = 64, .data = 128};
  for (int zero = 0; zero <= 3; ++zero) {
    job.training.zero = zero;
    CHECK(stage_update(job.setting(), {}).reduce == 0);
    CHECK(stage_update(job.setting(), {}).optimizer == 0);
  }
}

TEST_CASE("experts that alone have copies are divided by ZeRO, too") {
  ModelJob job{.model = read_model(source_file("data/models/mixtral-8x22b.json").string()),
               .hardware = hardware(),
               .parallel = {.tensor = 8, .expert = 4},
               .training = {.zero = 3}};
  const auto phase_seconds = [&](const char* name) {
    const auto phases = analytic_phases(job);
    for (std::size_t i = 0; i < phases.size(); ++i)
      if (phases[i].name == name)
        return analytic_costs(job, 56).stages[1].phases[i].seconds();
    return 0.0;
  };
  CHECK(phase_seconds("gather(F)") > 0);
  CHECK(phase_seconds("reduce(W)") > 0);
  job.parallel.expert = 8;  // one copy of all
  CHECK(phase_seconds("gather(F)") == 0);
}

}  // namespace bubblescope
