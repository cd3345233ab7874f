// Mixers of each kind: FLOPs, messages and memory against sums by hand.
#include "sim/transformer/mixer_costs.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "sim/transformer/analytic_costs.h"
#include "sim/transformer/layer_phases.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

constexpr Attention kAttention = {.heads = 8, .key_value_heads = 2, .key_dim = 32, .value_dim = 32};
constexpr Recurrence kDelta = {.kind = Recurrence::Kind::GatedDelta,
                               .heads = 8,
                               .key_heads = 4,
                               .key_dim = 16,
                               .value_dim = 32,
                               .convolution = 4};
constexpr Recurrence kMamba2 = {.kind = Recurrence::Kind::Mamba2,
                                .heads = 8,
                                .key_heads = 2,
                                .key_dim = 64,
                                .value_dim = 32,
                                .convolution = 4,
                                .convolution_bias = true};

/// 1,024 tokens of a model of layers of the kinds in turn, on GPUs of H100.
ModelJob job_of(std::vector<LayerKind> kinds, std::int64_t layers = 4) {
  Model model;
  model.name = "made-up";
  model.hidden = 256;
  model.vocabulary = 1000;
  for (std::int64_t i = 0; i < layers; ++i)
    model.layers.push_back(static_cast<std::uint8_t>(static_cast<std::size_t>(i) % kinds.size()));
  model.kinds = std::move(kinds);
  return {.model = std::move(model),
          .hardware = read_hardware(source_file("data/hardware/h100-sxm.json").string()),
          .parallel = {},
          .training = {.sequence = 1024}};
}

LayerKind with_mlp(Mixer mixer) {
  return {.mixers = {mixer}, .mlp = Mlp{.width = 512}};
}

std::vector<std::string> names_of(const ModelJob& job, OpKind kind) {
  std::vector<std::string> names;
  for (const Phase& phase : analytic_phases(job))
    if (phase.of == kind)
      names.push_back(phase.name);
  return names;
}

/// Over all layers, on one stage.
PhaseCost phase(const ModelJob& job, const std::string& name) {
  const std::vector<Phase> phases = analytic_phases(job);
  const AnalyticStage stage = analytic_costs(job, 1).stages[0];
  for (std::size_t i = 0; i < phases.size(); ++i)
    if (phases[i].name == name)
      return stage.phases[i];
  FAIL("no phase " << name);
  return {};
}

/// FLOPs of the mixer's forward beside its matrices, of one layer.
double between_matrices(const ModelJob& job, const std::string& name) {
  double matrices = 0;
  const LayerSetting setting = {job.model, job.hardware, job.parallel, job.training};
  for (const Linear& linear : mixer_linears(setting, job.model.kinds[0].mixers[0]))
    matrices += 2 * setting.tokens() * linear.in * linear.out;
  return phase(job, name).flops / static_cast<double>(job.model.depth()) - matrices;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("Attention counts the pairs of tokens that see each other") {
  Attention attention = kAttention;
  CHECK(mean_keys(attention, 1024) == 512);
  attention.window = 128;  // the first 128 tokens see fewer
  CHECK(mean_keys(attention, 1024) == 128 - 128.0 * 128 / 2 / 1024);
  CHECK(mean_keys(attention, 128) == 64);
  CHECK(mean_keys(attention, 100) == 50);
  attention = kAttention;
  attention.chunk = 256;
  CHECK(mean_keys(attention, 1024) == 128);
  CHECK(mean_keys(attention, 200) == 100);
  CHECK(mean_keys(attention, 320) == (256.0 * 256 + 64.0 * 64) / (2 * 320));  // the last is short
  attention = kAttention;
  attention.indexer = Indexer{.heads = 4, .dim = 16, .kept = 256};
  CHECK(mean_keys(attention, 1024) == 256 - 256.0 * 256 / 2 / 1024);
  // 4 FLOPs a pair, head and dimension; an indexer's 2 for each head, dimension and pair.
  const double pairs = 1024.0 * 512;
  CHECK(between_matrices(job_of({with_mlp(kAttention)}), "attn(F)") ==
        doctest::Approx(4 * pairs * 8 * 32));
  CHECK(between_matrices(job_of({with_mlp(attention)}), "sparse(F)") ==
        doctest::Approx(4 * 1024 * mean_keys(attention, 1024) * 8 * 32 + 2 * pairs * 4 * 16));
}

TEST_CASE("A recurrence computes blocks of tokens, and a state of keys by values") {
  // For each token and head: scores with its block's 64 tokens and what they weigh, read and write
  // the state; the delta rule's keys against keys, what they take from keys and values, and what
  // they read of the state.
  const double delta =
      2.0 * 64 * (16 + 32) + 4.0 * 16 * 32 + 2.0 * 64 * (2 * 16 + 32) + 2.0 * 16 * 32;
  CHECK(between_matrices(job_of({with_mlp(kDelta)}), "delta(F)") ==
        doctest::Approx(1024 * 8 * delta));
  // Two groups of heads share scores with 256 tokens.
  const double mamba = 2 * 2.0 * 256 * 64 + 8 * (2.0 * 256 * 32 + 4.0 * 64 * 32);
  CHECK(between_matrices(job_of({with_mlp(kMamba2)}), "mamba(F)") == doctest::Approx(1024 * mamba));
  const Recurrence scan = {.kind = Recurrence::Kind::Mamba,
                           .heads = 512,
                           .key_heads = 1,
                           .key_dim = 16,
                           .value_dim = 1,
                           .convolution = 4,
                           .rank = 16};
  CHECK(between_matrices(job_of({with_mlp(scan)}), "mamba(F)") ==
        doctest::Approx(1024 * 9.0 * 512 * 16));
  ModelJob job = job_of({with_mlp(kDelta)});
  const double once = phase(job, "delta(F)").flops;
  job.training.sequence = 2048;  // no pair of tokens more than once
  CHECK(phase(job, "delta(F)").flops == doctest::Approx(2 * once));
}

TEST_CASE("Each kind of mixer has phases of its own, and a layer is in one of them") {
  Attention window = kAttention;
  window.window = 128;
  const ModelJob job = job_of({with_mlp(kDelta),
                               with_mlp(kAttention),
                               with_mlp(window),
                               {.mixers = {kAttention, kMamba2}, .mlp = Mlp{.width = 512}}});
  CHECK(names_of(job, OpKind::Forward) == Names{"embedding(F)", "delta(F)", "attn(F)", "window(F)",
                                                "attn+mamba(F)", "mlp(F)", "head(F)"});
  const StageCost stage = analytic_costs(job, 1).source.stages[0];
  for (std::size_t layer = 0; layer < 4; ++layer) {
    int mixers = 0;
    for (std::size_t i = 0; i < stage.phases.phases.size(); ++i) {
      const Phase& each = stage.phases.phases[i];
      const bool is_mixer = each.of == OpKind::Forward && each.name != "mlp(F)" &&
                            each.name != "embedding(F)" && each.name != "head(F)";
      mixers += is_mixer && stage.phases.time(layer, i).elapsed > Time(0) ? 1 : 0;
    }
    CHECK(mixers == 1);
  }
  // Two beside one another take what both do, but for the norm, the sum and a gap each.
  const ModelJob alone = job_of({with_mlp(kAttention), with_mlp(kMamba2)});
  CHECK(phase(job, "attn+mamba(F)").flops ==
        doctest::Approx((phase(alone, "attn(F)").flops + phase(alone, "mamba(F)").flops) / 2));
}

TEST_CASE("Groups of keys are whole where the tensor group has more GPUs than there are") {
  const auto per_gpu = [](std::int64_t tensor) {
    ModelJob job = job_of({{.mixers = {kMamba2}, .norms = 1}});
    job.parallel.tensor = tensor;
    return recurrence_linears(job.model, kMamba2, job.parallel)[0].out;
  };
  CHECK(per_gpu(1) == 2 * 256 + 2 * 128 + 8);
  CHECK(per_gpu(2) == 2 * 128 + 2 * 64 + 4);
  CHECK(per_gpu(4) == 2 * 64 + 2 * 64 + 2);  // two GPUs have the same group
  ModelJob job = job_of({with_mlp(kMamba2)});
  job.parallel = {.tensor = 4, .context = 4};
  CHECK(find_obstacle(job, 1) ==
        "cp=4 beside tp=4 does not divide the 8 heads of a recurrence of made-up");
}

TEST_CASE("Mixers keep what their backward reads") {
  const auto kept = [](const Mixer& mixer, Recompute recompute = kRecomputeNone) {
    ModelJob job = job_of({with_mlp(mixer)});
    job.training.recompute = recompute;
    return mixer_kept({job.model, job.hardware, job.parallel, job.training}, mixer) / 1024;
  };
  // Queries, keys, values and output in bf16, and the softmax's sums in fp32.
  CHECK(kept(kAttention) == 2 * (256 + 2 * 64 + 256) + 4 * 8);
  Attention gated = kAttention;
  gated.output_gate = true;  // and what it gives
  CHECK(kept(gated) == kept(kAttention) + 2 * 2 * 256);
  // The convolution's input and output, the gate, the output before the norm and behind, states.
  const double states = 8.0 * 16 * 32 / 64;
  CHECK(kept(kDelta) == 2 * (2 * (256 + 2 * 64) + 3 * 256 + states));
  CHECK(kept(kDelta, kRecomputeSelective) == 2 * ((256 + 2 * 64) + 2 * 256 + states));
}

TEST_CASE("An indexer scores tokens whether attention is fused or not") {
  Attention sparse = kAttention;
  sparse.indexer = Indexer{.heads = 4, .dim = 16, .kept = 256};
  ModelJob job = job_of({with_mlp(sparse)});
  job.training.attention = AttentionKernels::Unfused;
  ModelJob bare = job_of({with_mlp(kAttention)});
  bare.training.attention = AttentionKernels::Unfused;
  const double linears = 2.0 * 1024 * 256 * (4 * 16 + 16 + 4);
  CHECK(phase(job, "sparse(F)").flops - phase(bare, "attn(F)").flops ==
        doctest::Approx(4 * (linears + 2.0 * 1024 * 512 * 4 * 16)));
}

TEST_CASE("Mixers whose kernels nobody timed are told") {
  Attention sparse = kAttention;
  sparse.indexer = Indexer{.heads = 4, .dim = 16, .kept = 256};
  const Names estimated = {"delta", "sparse", "attn+mamba"};
  CHECK(estimated_mixers(job_of({with_mlp(kDelta),
                                 with_mlp(kAttention),
                                 with_mlp(sparse),
                                 with_mlp(kDelta),
                                 {.mixers = {kAttention, kMamba2}}})
                             .model) == estimated);
}

TEST_CASE("A layer of one part has no phases of the other") {
  const LayerKind mixer = {.mixers = {kMamba2}, .norms = 1};
  const LayerKind mlp = {.mlp = Mlp{.width = 512}, .norms = 1};
  const LayerKind experts = {.experts = Experts{.count = 8, .per_token = 2, .each = {.width = 64}},
                             .norms = 1};
  const ModelJob job = job_of({mixer, mlp, experts}, 3);
  CHECK(names_of(job, OpKind::Forward) ==
        Names{"embedding(F)", "mamba(F)", "router(F)", "mlp(F)", "head(F)"});
  const ModelJob both = job_of({{.mixers = {kMamba2}, .mlp = Mlp{.width = 512}}, experts}, 2);
  for (const char* name : {"mamba(F)", "mlp(F)", "mamba(W)", "mlp(W)"})
    CHECK(phase(job, name).flops == doctest::Approx(phase(both, name).flops));
  CHECK(total_parameters(job.model) == total_parameters(both.model));
}

TEST_CASE("An MLP beside attention gathers no tokens of its own") {
  ModelJob job = job_of({with_mlp(kAttention)});
  job.parallel.tensor = 2;
  const double apart = phase(job, "tp_mlp(F)").seconds();
  CHECK(apart > 0);
  job.model.kinds[0].is_parallel = true;
  CHECK(phase(job, "tp_mlp(F)").seconds() == 0);
  CHECK(phase(job, "tp_attn(F)").seconds() == apart);
}

TEST_CASE("Keys go around the context group as far as they are attended to") {
  Attention window = kAttention;
  window.window = 100;
  const auto ring = [](const Attention& attention) {
    ModelJob job = job_of({with_mlp(attention)});
    job.hardware.efficiency.attention_forward = 1;
    job.hardware.bf16_flops = 1e30;  // so that all of it is seen
    job.hardware.memory_bandwidth = 1e30;
    job.hardware.kernel_gap = Time(0);
    job.parallel.context = 8;  // 128 tokens each
    return phase(job, "cp_ring(F)").seconds();
  };
  CHECK(ring(window) == doctest::Approx(ring(kAttention) / 7));  // the neighbour's alone
  window.window = 200;
  CHECK(ring(window) == doctest::Approx(2 * ring(kAttention) / 7));
}

TEST_CASE("Experts of a narrower width are sent and computed in that width") {
  const Experts wide = {.count = 8, .per_token = 2, .each = {.width = 64}};
  Experts narrow = wide;
  narrow.latent_width = 64;
  const auto job = [](const Experts& experts) {
    ModelJob result = job_of({{.mixers = {kAttention}, .experts = experts}});
    result.parallel = {.expert = 4, .data = 4};
    return result;
  };
  CHECK(phase(job(narrow), "dispatch(F)").traffic ==
        doctest::Approx(phase(job(wide), "dispatch(F)").traffic / 4));
  const double tokens = 4.0 * 1024;  // of four layers
  const double projections = 2 * tokens * 256 * 64;
  CHECK(phase(job(narrow), "mlp(F)").flops ==
        doctest::Approx(phase(job(wide), "mlp(F)").flops / 4 + projections));
  CHECK(phase(job(narrow), "attn(F)").flops ==
        doctest::Approx(phase(job(wide), "attn(F)").flops + projections));
}

}  // namespace bubblescope
