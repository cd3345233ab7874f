#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/nearest.h"
#include "tools/import/launch.h"

namespace bubblescope {
namespace {

constexpr const char* kSchedule = "parallelism.pipeline_parallel_schedule";

constexpr Flag kTorchtitanFlags[] = {
    {"--nproc-per-node", "GPUs of a node, where dp is what is left over"},
    {"--nnodes", "nodes"},
    {"parallelism.pipeline_parallel_degree experimental.pipeline_parallel_degree "
     "training.pipeline_parallel_degree",
     "`-p`"},
    {"parallelism.tensor_parallel_degree training.tensor_parallel_degree", "`--parallel tp=`"},
    {"parallelism.context_parallel_degree experimental.context_parallel_degree",
     "`--parallel cp=`"},
    {"parallelism.expert_parallel_degree", "`--parallel ep=`"},
    {"parallelism.expert_tensor_parallel_degree", "noted unless it is 1: experts are whole"},
    {"parallelism.data_parallel_shard_degree training.data_parallel_shard_degree "
     "training.data_parallel_degree",
     "`--parallel dp=`, times the next one; -1, the default, is what is left of the GPUs"},
    {"parallelism.data_parallel_replicate_degree training.data_parallel_replicate_degree",
     "`--parallel dp=`; where the shard degree is 1, `--zero 0`"},
    {"parallelism.fsdp_reshard_after_forward training.fsdp_reshard_after_forward",
     "`--zero 3` for always, and by default without a pipeline; else `--zero 1`: parameters are "
     "gathered, and gradients reduced, once a step"},
    {"parallelism.pipeline_parallel_schedule experimental.pipeline_parallel_schedule",
     "schedule, see below; `--comm torch`"},
    {"parallelism.pipeline_parallel_schedule_csv experimental.pipeline_parallel_schedule_csv",
     "a `--program`"},
    {"parallelism.pipeline_parallel_layers_per_stage", "`-v`, where the model is built in"},
    {"parallelism.pipeline_parallel_split_points experimental.pipeline_parallel_split_points",
     "`-v` from their number"},
    {"parallelism.pipeline_parallel_first_stage_less_layers",
     "`--layout`, where the model is built in; 1 by default"},
    {"parallelism.pipeline_parallel_last_stage_less_layers", "as the one before"},
    {"parallelism.pipeline_parallel_microbatch_size",
     "`--microbatch-size`, with a pipeline; 1 by default"},
    {"parallelism.num_pp_microbatches experimental.pipeline_parallel_microbatches",
     "`-m`, with a pipeline"},
    {"training.local_batch_size training.batch_size",
     "`-m` local batch / micro-batch size; without a pipeline `--microbatch-size`"},
    {"training.global_batch_size",
     "without a pipeline `-m` global batch / (dp · local batch); else how often a step runs the "
     "pipeline, which is noted"},
    {"training.seq_len training.max_context_length", "`--sequence`, 2048 by default"},
    {"model.name --module", "`--model`, with the next one, where it is built in"},
    {"model.flavor --config", "as the one before"},
    {"activation_checkpoint.mode", "`--recompute`, selective by default"},
    {"activation_checkpoint.selective_ac_option",
     "noted: `--recompute selective` makes norms and activation functions again"},
    {"model.converters quantize.linear.converters",
     "`--precision fp8` where one is of float8; others are noted"},
    {"float8.enable_float8_linear training.enable_float8_linear", "`--precision fp8`"},
};

constexpr Flag kTorchtitanWithoutCounterpart[] = {
    {"job.config_file", "give that file too"},
    {"parallelism.enable_async_tensor_parallel experimental.enable_async_tensor_parallel "
     "compile.enable_async_tensor_parallel",
     "communication of the tensor group is not hidden"},
    {"parallelism.module_fqns_per_model_part", "give `-v` and `--layout`"},
    {"parallelism.enable_sequence_parallel", "tensor parallelism always has it"},
    {"parallelism.expert_parallel_comm_backend",
     "tokens are sent once to each node, as DeepEP does"},
    {"training.enable_cpu_offload", "nothing is offloaded"},
    {"training.num_tokens_per_*", "give batches, not tokens"},
    {"training.dtype", "parameters of the optimizer are in fp32"},
    {"training.mixed_precision_reduce", "give `--gradients`"},
    {"activation_checkpoint.memory_budget*", "give `--recompute`"},
    {"activation_checkpoint.per_op_sac_force_recompute_mm_shapes_by_fqns",
     "`--recompute` chooses no operation"},
    {"memory_estimation.*", "memory is estimated here"},
};

constexpr std::string_view kTorchtitanSilent =
    "job.* profiling.* profiler.* metrics.* optimizer.* lr_scheduler.* checkpoint.* comm.* "
    "fault_tolerance.* validation.* validator.* debug.* dataloader.* training.steps "
    "training.max_norm training.warmup_steps training.dataset* training.seed "
    "training.deterministic training.gc_* training.compile training.mixed_precision_param "
    "training.data_parallel_type training.enable_loss_parallel training.disable_loss_parallel "
    "training.debug* compile.* "
    "model.tokenizer* model.hf_* model.norm_type model.print* model.use_* model.attn_* "
    "parallelism.disable_loss_parallel parallelism.context_parallel_* "
    "parallelism.enable_compiled_autograd parallelism.spmd_* experimental.* "
    "activation_checkpoint.* dump* loss.* hf_assets_path float8.* mx.* quantize.* --rdzv-* --role "
    "--tee --local-ranks-filter --node-rank --master-* --log-dir";

struct Named {
  std::string_view theirs;
  std::string_view ours;
  bool has_one_stage = false;
};
constexpr Named kSchedules[] = {{"1F1B", "1f1b", true},
                                {"GPipe", "gpipe", true},
                                {"Interleaved1F1B", "interleaved-1f1b-torch"},
                                {"InterleavedZeroBubble", "interleaved-zb-torch"},
                                {"LoopedBFS", "looped-bfs"},
                                {"ZBVZeroBubble", "zb-v"},
                                {"DualPipeV", "dualpipev"}};
/// The beginnings of names with flavors, in small letters and digits.
constexpr Named kFlavors[] = {{"llama3405b", "llama-3.1-405b"},
                              {"llama370b", "llama-3.1-70b"},
                              {"llama38b", "llama-3.1-8b"},
                              {"deepseekv3671b", "deepseek-v3"},
                              {"qwen3235ba22b", "qwen3-235b-a22b"}};

std::string plain(std::string_view text) {
  std::string letters;
  for (const char c : lower(text))
    if (std::isalnum(static_cast<unsigned char>(c)) != 0)
      letters += c;
  return letters;
}

void set_flavour(LaunchedJob& launch) {
  const std::string name = launch.text("model.name").value_or("");
  const std::string flavor = launch.text("model.flavor").value_or("");
  for (const Named& each : kFlavors)
    if (plain(name + flavor).starts_with(each.theirs) || plain(flavor).starts_with(each.theirs)) {
      launch.set_built_in(each.ours);
      return;
    }
  launch.note(fmt::format("no model that is built in is '{}' '{}': give --model", name, flavor));
}

Count set_job_division(LaunchedJob& launch) {
  constexpr const char* kShard = "parallelism.data_parallel_shard_degree";
  const Division division{.tensor = launch.count_or_1("parallelism.tensor_parallel_degree"),
                          .context = launch.count_or_1("parallelism.context_parallel_degree"),
                          .pipeline = launch.count_or_1("parallelism.pipeline_parallel_degree"),
                          .expert = launch.count_or_1("parallelism.expert_parallel_degree")};
  const std::int64_t data = launch.count(kShard, -1).value_or(-1) *
                            launch.count_or_1("parallelism.data_parallel_replicate_degree");
  const std::int64_t whole = division.tensor * division.context * division.pipeline * data;
  Count all = launch.gpus;
  if (const auto node = launch.count("--nproc-per-node"); node && !all)
    all = *node * launch.count_or_1("--nnodes");
  if (data > 0 && all.value_or(whole) != whole)
    launch.fail(kShard,
                fmt::format("dp {} · tp {} · cp {} · pp {} are {} GPUs, and there are {}", data,
                            division.tensor, division.context, division.pipeline, whole, *all));
  return launch.set_division(division, data > 0 ? Count(whole) : all,
                             launch.gpus ? "--gpus" : "parallelism");
}

/// The layers of stages, as torchtitan's generate_llm_fqn_per_model_part divides them.
std::vector<std::int64_t> stage_layers(const Model& model, std::int64_t stages, std::int64_t first,
                                       std::int64_t last) {
  const std::int64_t all = model.depth() + first + last;
  std::vector<std::int64_t> layers(static_cast<std::size_t>(stages), all / stages);
  std::fill_n(layers.begin(), all % stages, all / stages + 1);
  layers.front() -= first;
  layers.back() -= last;
  return layers;
}

const Named& find_schedule(const LaunchedJob& launch, std::string name) {
  if (name.starts_with("Schedule"))
    name.erase(0, std::string_view("Schedule").size());
  std::vector<std::string> names;
  for (const Named& each : kSchedules) {
    names.emplace_back(each.theirs);
    if (plain(each.theirs) == plain(name))
      return each;
  }
  launch.fail(kSchedule, fmt::format("there is no schedule '{}'{}", name.substr(0, 60),
                                     did_you_mean(name, names)));
}

void set_schedule(LaunchedJob& launch, std::int64_t p) {
  constexpr const char* kPoints = "parallelism.pipeline_parallel_split_points";
  launch.set("comm", "torch");
  const auto csv = launch.text("parallelism.pipeline_parallel_schedule_csv");
  if (csv && !csv->empty())
    return launch.set("program", *csv);
  const Named& known =
      find_schedule(launch, p > 1 ? launch.text(kSchedule).value_or("1F1B") : "1F1B");
  launch.set("NAME", std::string(known.ours));
  const auto less = [&](const char* flag) { return launch.count(flag, 0).value_or(1); };
  const std::int64_t first = less("parallelism.pipeline_parallel_first_stage_less_layers");
  const std::int64_t last = less("parallelism.pipeline_parallel_last_stage_less_layers");
  std::int64_t stages = p * (known.has_one_stage ? 1 : 2);
  const GivenFlag* points = launch.find(kPoints);
  if (points != nullptr && !points->values.empty()) {
    const std::string all = fmt::format("{}", fmt::join(points->values, ","));
    stages = std::count(all.begin(), all.end(), ',') + 2;
  }
  if (const auto each = launch.count("parallelism.pipeline_parallel_layers_per_stage");
      each && launch.model)
    stages = (launch.model->depth() + first + last + *each - 1) / *each;
  if (stages % p != 0 || (stages == p) != known.has_one_stage)
    launch.fail(kSchedule,
                fmt::format("{} cannot have {} stages on {} ranks", known.theirs, stages, p));
  if (!known.has_one_stage)
    launch.set("chunks", stages / p);
  if (p > 1 && launch.model && points == nullptr)
    launch.set_layout(stage_layers(*launch.model, stages, first, last));
}

/// Micro-batches and their size.
void set_batch(LaunchedJob& launch, std::int64_t p, Count data) {
  constexpr const char* kLocal = "training.local_batch_size";
  constexpr const char* kGlobal = "training.global_batch_size";
  const auto divided = [&](const char* flag, std::int64_t whole, std::int64_t by) {
    if (whole % by != 0)
      launch.fail(flag, fmt::format("{} is no multiple of {}", whole, by));
    return whole / by;
  };
  const auto count = launch.count("parallelism.num_pp_microbatches");
  const std::int64_t local = launch.count(kLocal).value_or(8);
  const std::int64_t size =
      count    ? divided(kLocal, local, *count)
      : p == 1 ? local
               : launch.count_or_1("parallelism.pipeline_parallel_microbatch_size");
  std::int64_t microbatches = divided(kLocal, local, size);
  const std::int64_t global = launch.count(kGlobal, -1).value_or(-1);
  if (global > 0 && data) {
    const std::int64_t runs = divided(kGlobal, global, local * *data);
    if (p == 1)
      microbatches = runs;
    else if (runs > 1)
      launch.note_of(kGlobal, fmt::format("a training step runs the pipeline {} times; one is "
                                          "simulated",
                                          runs));
  }
  launch.set("sequence", launch.count("training.seq_len").value_or(2048));
  launch.set("microbatch-size", size);
  launch.set("microbatches", microbatches);
}

void translate(LaunchedJob& launch) {
  const std::int64_t p = launch.count_or_1("parallelism.pipeline_parallel_degree");
  const Count data = set_job_division(launch);
  set_flavour(launch);
  set_schedule(launch, p);
  set_batch(launch, p, data);
  const std::string mode = launch.text("activation_checkpoint.mode").value_or("selective");
  if (mode == "selective" || mode == "full" || mode == "none")
    launch.set("recompute", mode);
  else
    launch.note_of("activation_checkpoint.mode", mode + " has no counterpart: give --recompute");
  if (mode == "selective")
    launch.note_of("activation_checkpoint.selective_ac_option",
                   "`--recompute selective` makes norms and activation functions again, not what "
                   "this says");
  const std::string reshard =
      launch.text("parallelism.fsdp_reshard_after_forward").value_or("default");
  const bool is_kept = reshard == "never" || (reshard == "default" && p > 1);
  const bool is_whole = launch.count("parallelism.data_parallel_shard_degree", -1) == 1;
  launch.set("zero", is_whole ? 0 : is_kept ? 1 : 3);
  if (launch.count_or_1("parallelism.expert_tensor_parallel_degree") > 1)
    launch.note_of("parallelism.expert_tensor_parallel_degree", "here experts are whole");
  const GivenFlag* converters = launch.find("model.converters");
  const std::string all =
      converters == nullptr ? "" : fmt::format("{}", fmt::join(converters->values, ","));
  if (all.find("float8") != all.npos)
    launch.set("precision", "fp8");
  else if (!all.empty())
    launch.note_of("model.converters", "no counterpart");
}

}  // namespace

const Framework kTorchtitan = {.name = "torchtitan",
                               .title = "torchtitan",
                               .read = kTorchtitanFlags,
                               .without_counterpart = kTorchtitanWithoutCounterpart,
                               .silent = kTorchtitanSilent,
                               .translate = translate};

}  // namespace bubblescope
