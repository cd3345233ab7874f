// What stages hold in memory: closed forms, and the Zero Bubble paper's table of peaks.
#include <algorithm>
#include <functional>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/transformer/analytic_costs.h"
#include "sim/transformer/model_file.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

/// A GPT as Korthikanti et al. and Zero Bubble count it: without biases in these sums.
Model gpt(std::int64_t hidden, std::int64_t heads, std::int64_t layers) {
  Model model = uniform_model({.mixers = {Attention{.heads = heads,
                                                    .key_value_heads = heads,
                                                    .key_dim = hidden / heads,
                                                    .value_dim = hidden / heads}},
                               .mlp = Mlp{.width = 4 * hidden, .gated = false}},
                              layers);
  model.name = "gpt";
  model.hidden = hidden;
  model.dropout = true;
  model.vocabulary = 50304;
  model.tied_embeddings = true;
  return model;
}

/// A GPT with 8 experts, of which a token goes to 2, in all layers but the first.
Model gpt_with_experts(bool gated) {
  Model model = gpt(64, 4, 4);
  LayerKind experts = model.kinds[0];
  experts.mlp.reset();
  experts.experts = Experts{.count = 8, .per_token = 2, .each = {.width = 32, .gated = gated}};
  model.kinds.push_back(experts);
  model.layers = {0, 1, 1, 1};
  return model;
}

ModelJob job_of(Model model) {
  return {.model = std::move(model),
          .hardware = read_hardware(source_file("data/hardware/a100-80g.json").string()),
          .parallel = {},
          .training = {}};
}

double real(std::int64_t value) {
  return static_cast<double>(value);
}

LayerActivation activation(const ModelJob& job, std::size_t kind = 0) {
  return layer_activation({job.model, job.hardware, job.parallel, job.training},
                          job.model.kinds[kind]);
}

}  // namespace

TEST_CASE("A GPT layer keeps s·b·h·(34 + 5·a·s/h) bytes, and W needs 32·s·b·h") {
  ModelJob job = job_of(gpt(4096, 32, 30));
  job.training = {.microbatch = 3, .sequence = 1024, .attention = AttentionKernels::Unfused};
  const double sbh = 1024.0 * 3 * 4096;
  CHECK(activation(job).kept == doctest::Approx(sbh * (34 + 5.0 * 32 * 1024 / 4096)));
  CHECK(activation(job).for_weights == doctest::Approx(32 * sbh));
  job.parallel.tensor = 8;  // with sequence parallelism all of it is divided
  CHECK(activation(job).kept == doctest::Approx(sbh / 8 * (34 + 5.0 * 32 * 1024 / 4096)));
  job.training.sequence_parallel = false;  // 10 of the 34 are of norms and dropout, in whole
  CHECK(activation(job).kept ==
        doctest::Approx(sbh * (10 + 24.0 / 8 + 5.0 * 32 * 1024 / 4096 / 8)));
  job.training.sequence_parallel = true;
  job.training.recompute = kRecomputeSelective;  // scores, norms' outputs, the function's output
  CHECK(activation(job).kept == doctest::Approx(sbh / 8 * (34 - 2 * 2 - 8)));
  job.training.recompute = kRecomputeNone;
  job.training.attention = AttentionKernels::Flash;
  const double sums = 4.0 * 1024 * 3 * 32;  // of the softmax
  CHECK(activation(job).kept == doctest::Approx((34 * sbh + sums) / 8));
  job.training.recompute = kRecomputeFull;
  CHECK(activation(job).kept == doctest::Approx(2 * sbh / 8));
}

TEST_CASE("Where I makes activations again, W needs more than F kept") {
  ModelJob job = job_of(gpt(4096, 32, 4));
  job.training = {.microbatch = 1, .sequence = 1024, .recompute = kRecomputeFull};
  const StageMemory memory = analytic_costs(job, 4).stages[1].memory;
  const Bytes sbh = 1024 * 4096;
  CHECK(memory.activation == 2 * sbh);
  CHECK(memory.activation_after_input_grad == 32 * sbh);
  CHECK(memory.buffers - 2 * 2 * sbh == (34 - 2) * sbh + 4 * 1024 * 32);  // the layer at work
}

TEST_CASE("Experts keep the tokens that they got, as they were quantized") {
  ModelJob job = job_of(gpt_with_experts(true));
  job.model.kinds[0].mlp->gated = true;
  job.model.dropout = false;
  job.parallel = {.expert = 4, .data = 4};
  job.training = {.microbatch = 1, .sequence = 16};
  const double dense_part = activation(job).kept - 16 * (2 * 2 * 256 + 2 * 256) * 1.0;
  const double rows = 16 * 2;
  const double experts = rows * (2 * 64 + 2 * 2 * 32 + 2 * 32) + 4.0 * 16 * 8;
  CHECK(activation(job, 1).kept == doctest::Approx(dense_part + experts));
  const double bf16 = activation(job, 1).kept;
  job.training.precision = Precision::Fp8;  // two norms' outputs, the experts' two inputs
  CHECK(bf16 - activation(job, 1).kept == doctest::Approx(2.0 * 16 * 64 + rows * (64 + 32)));
}

TEST_CASE("Parameters, gradients and optimizer state are divided as ZeRO's stage says") {
  ModelJob job = job_of(gpt_with_experts(false));
  job.parallel = {.expert = 4, .data = 8};
  job.training = {.microbatch = 1, .sequence = 16};
  const double plain = 4 * 64 * 64 + 2 * 64 + 64 * 8;  // attention, norms, router
  const double expert = 2.0 * (2 * 64 * 32);           // two of the eight are here
  const auto memory = [&](int zero) {
    job.training.zero = zero;
    return analytic_costs(job, 4).stages[1].memory;
  };
  CHECK(real(memory(0).parameters) == doctest::Approx(2 * (plain + expert)));
  CHECK(real(memory(0).gradients) == doctest::Approx(4 * (plain + expert)));
  CHECK(real(memory(0).optimizer) == doctest::Approx(12 * (plain + expert)));
  CHECK(real(memory(1).optimizer) == doctest::Approx(12 * (plain / 8 + expert / 2)));
  CHECK(memory(1).gradients == memory(0).gradients);
  CHECK(real(memory(2).gradients) == doctest::Approx(4 * (plain / 8 + expert / 2)));
  CHECK(memory(2).parameters == memory(0).parameters);
  CHECK(real(memory(3).parameters) == doctest::Approx(2 * (plain / 8 + expert / 2)));
  job.training.moment_bytes = 2;
  CHECK(real(memory(0).optimizer) == doctest::Approx(8 * (plain + expert)));
}

TEST_CASE("While a layer computes, it has whole what ZeRO divides and what is made again") {
  ModelJob job = job_of(gpt_with_experts(false));
  job.parallel = {.expert = 4, .data = 8};
  job.training = {.microbatch = 1, .sequence = 16, .gradient_bytes = 2};
  const double plain = 4 * 64 * 64 + 2 * 64 + 64 * 8;
  const double expert = 2.0 * (2 * 64 * 32);
  const double messages = 2 * 2.0 * 16 * 64;
  const auto buffers = [&](int zero) {
    job.training.zero = zero;
    return real(analytic_costs(job, 2).stages[1].memory.buffers) - messages / 2;
  };
  CHECK(buffers(1) == 0);
  const double head = 50304.0 * 64;  // counted with the last layer
  CHECK(buffers(2) == doctest::Approx(2 * (plain + expert + head)));
  CHECK(buffers(3) == doctest::Approx(4 * (plain + expert + head)));
  job.parallel = {.expert = 4, .data = 4};  // experts have no copies
  CHECK(buffers(3) == doctest::Approx(4 * (plain + head)));
  job.training.zero = 1;
  for (const Recompute recompute : {kRecomputeSelective, kRecomputeFull}) {
    job.training.recompute = kRecomputeNone;
    const double kept = activation(job, 1).kept;
    job.training.recompute = recompute;
    CHECK(buffers(1) == doctest::Approx(kept - activation(job, 1).kept));
  }
}

TEST_CASE("The first and the last stage hold the vocabulary; the last also logits") {
  ModelJob job = job_of(gpt(64, 4, 4));
  job.training = {.microbatch = 1, .sequence = 16, .zero = 0};
  const auto stages = analytic_costs(job, 4).stages;
  const double matrix = 50304.0 * 64;
  const auto parameters = [&](std::size_t stage) { return real(stages[stage].memory.parameters); };
  CHECK(parameters(0) - parameters(1) == doctest::Approx(2 * matrix));
  CHECK(parameters(3) - parameters(1) == doctest::Approx(2 * matrix));
  const double logits = 2.0 * 16 * 50304 + 4.0 * 16 * 64;  // a fused loss keeps them in bf16
  CHECK(real(stages[3].memory.activation - stages[1].memory.activation) == doctest::Approx(logits));
  const Bytes message = 2 * 16 * 64;
  CHECK(stages[1].memory.buffers == 2 * message);
  CHECK(stages[0].memory.buffers == message);
  const auto whole = analytic_costs(job, 1).stages[0].memory;  // tied: one matrix for both
  CHECK(real(whole.parameters) == doctest::Approx(2 * (matrix + 4 * (12 * 64 * 64 + 2 * 64))));
  CHECK(whole.buffers == 0);
}

// Zero Bubble's models with its own formulas: attention not fused, fp16 gradients, Adam in fp32
// with nothing divided, since each of its pipelines is alone; one layer less on the first and the
// last stage. 1F1B: rank r holds p − r micro-batches. ZB-1p and ZB-2p: up to p and 2p. The paper's
// GB are 10⁹ bytes; its figures have no decimals.
TEST_CASE("Peaks of Zero Bubble's table 4 come out within 10 %") {
  const auto file = reference("published/zb_paper_2401.10241.json");
  if (file.empty())
    return;
  const json paper = json::parse(contents(file));
  std::size_t column = 0;
  for (const char* name : {"1.5B", "6.2B", "14.6B", "28.3B"}) {
    const json& given = paper["models"][name];
    const auto get = [&](const char* key) { return given[key].get<std::int64_t>(); };
    ModelJob job = job_of(gpt(get("hidden"), get("heads"), get("layers")));
    job.training = {.microbatch = get("mbs"),
                    .sequence = get("seq"),
                    .attention = AttentionKernels::Unfused,
                    .gradient_bytes = 2};
    const int p = static_cast<int>(get("p"));
    const std::int64_t each = (get("layers") + 2) / p;
    StageLayout layout(static_cast<std::size_t>(p));
    for (StageLayers& stage : layout)
      stage.layers = each;
    layout.front() = {.embedding = true, .layers = each - 1};
    layout.back() = {.layers = each - 1, .head = true};
    job.layout = layout;
    const auto stages = analytic_costs(job, p).stages;
    const auto peak = [&](const std::function<int(int)>& held) {
      double most = 0;
      for (int rank = 0; rank < p; ++rank) {
        const StageMemory& memory = stages[static_cast<std::size_t>(rank)].memory;
        most = std::max(most, real(memory.weights()) + held(rank) * real(memory.activation));
      }
      return most / 1e9;
    };
    // The last stage of ZB keeps no logits of micro-batches whose I has run; all but one have.
    const auto middle = [&](int microbatches) {
      const StageMemory& memory = stages[1].memory;
      return (real(memory.weights()) + microbatches * real(memory.activation)) / 1e9;
    };
    const json& table = paper["table4_memory_GB"];
    for (std::size_t i = column; i < column + 3; ++i) {
      CAPTURE(name);
      CHECK(peak([&](int rank) { return p - rank; }) ==
            doctest::Approx(table["1F1B"][i].get<double>()).epsilon(0.1));
      CHECK(middle(p) == doctest::Approx(table["ZB-1p"][i].get<double>()).epsilon(0.1));
      CHECK(middle(2 * p) == doctest::Approx(table["ZB-2p"][i].get<double>()).epsilon(0.1));
    }
    column += 3;
  }
}

TEST_CASE("Where products add up gradients, a placeholder a shape and the head's stay in bf16") {
  ModelJob job = job_of(gpt(4096, 32, 4));
  const auto buffers = [&](std::size_t stage) {
    return analytic_costs(job, 2).stages[stage].memory.buffers;
  };
  const Bytes first = buffers(0);
  const Bytes last = buffers(1);
  job.training.gradient_fusion = true;
  // QKV, the attention's output and the MLP's two, of two layers each once; the head.
  const Bytes layer = 2 * Bytes{4096} * 4096 * (3 + 1 + 4 + 4);
  CHECK(buffers(0) - first == layer);
  CHECK(buffers(1) - last == layer + 2 * Bytes{50304} * 4096);
  job.parallel.tensor = 8;
  job.training.gradient_fusion = false;
  const Bytes divided = buffers(0);
  job.training.gradient_fusion = true;
  CHECK(buffers(0) - divided == layer / 8);
}

}  // namespace bubblescope
