#include "tools/plan_emit.h"

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "tools/shell_line.h"
#include "tools/version.h"

namespace bubblescope {
namespace {

std::int64_t count(const Json& row, const char* key) {
  return row[key].get<std::int64_t>();
}

void require_schedule(const Json& row, const std::string& framework) {
  const auto name = row["schedule"].get<std::string>();
  const std::vector<std::string> having = words_in(find_schedule(name)->frameworks);
  if (std::find(having.begin(), having.end(), framework) == having.end())
    throw Error(fmt::format("{} has no {}: narrow the plan with --schedules {}", framework, name,
                            framework));
}

/// Whether all stages have as many layers, and the ends nothing but what belongs there.
bool is_even(const PlanQuestion& question, const Json& row) {
  const Model& model = question.job.model;
  const std::int64_t stages = count(row, "pp") * count(row, "chunks");
  return model.depth() % stages == 0 &&
         row["layout"] == to_text(even_layout(model, static_cast<int>(stages)));
}

/// Flags with their values, each in a line of its own.
class Flags {
 public:
  void add(const std::string& name) { lines_.push_back(name); }
  template <typename T>
  void add(const std::string& name, const T& value) {
    const std::string line = shell_line({fmt::format("{}", value)});
    lines_.push_back(name + line.substr(line.find(' ')));
  }
  void add_if(bool is_so, const std::string& name) {
    if (is_so)
      add(name);
  }
  std::string text() const { return fmt::format("    {}\n", fmt::join(lines_, " \\\n    ")); }

 private:
  std::vector<std::string> lines_ = {};
};

void add_division(Flags& flags, const PlanQuestion& question, const Json& row) {
  const std::int64_t chunks = count(row, "chunks");
  flags.add("--num-layers", question.job.model.depth());
  flags.add("--tensor-model-parallel-size", count(row, "tp"));
  flags.add("--pipeline-model-parallel-size", count(row, "pp"));
  flags.add("--context-parallel-size", count(row, "cp"));
  if (count(row, "ep") > 1) {
    flags.add("--expert-model-parallel-size", count(row, "ep"));
    flags.add("--expert-tensor-parallel-size", 1);
  }
  if (count(row, "pp") > 1 && !is_even(question, row))
    flags.add("--pipeline-model-parallel-layout", row["layout"].get<std::string>());
  else if (chunks > 1)
    flags.add("--num-virtual-stages-per-pipeline-rank", chunks);
  flags.add_if(row["schedule"] == "interleaved-1f1b-overlap", "--overlap-moe-expert-parallel-comm");
  flags.add_if(count(row, "tp") > 1 && row["sequence_parallel"].get<bool>(), "--sequence-parallel");
}

/// A domain of NVL72 is made of hosts with four GPUs each.
std::int64_t gpus_per_host(const Hardware& hardware) {
  constexpr std::int64_t kMost = 8;
  constexpr std::int64_t kOfDomain = 4;
  return hardware.gpus_per_node > kMost ? kOfDomain : hardware.gpus_per_node;
}

bool gathers_beside_forwards(const Training& training) {
  return training.gather_overlap && (training.zero == 1 || training.zero == 2);
}

void add_data_parallel(Flags& flags, const PlanQuestion& question) {
  const Training& training = question.job.training;
  constexpr const char* kStrategies[] = {"no_shard", "optim", "optim_grads", "optim_grads_params"};
  flags.add_if(training.zero == 1 || (training.zero > 1 && training.moment_bytes == 2),
               "--use-distributed-optimizer");
  if (training.zero >= 2) {
    flags.add("--use-megatron-fsdp");
    flags.add("--ckpt-format", "fsdp_dtensor");
    flags.add("--data-parallel-sharding-strategy", kStrategies[training.zero]);
  }
  flags.add_if(question.iteration.reduce == GradReduce::Overlapped, "--overlap-grad-reduce");
  flags.add_if(gathers_beside_forwards(training), "--overlap-param-gather");
  flags.add_if(training.gradient_bytes == 2, "--grad-reduce-in-bf16");
  if (training.moment_bytes == 2) {
    flags.add("--use-precision-aware-optimizer");
    flags.add("--exp-avg-dtype", "bf16");
    flags.add("--exp-avg-sq-dtype", "bf16");
  }
}

/// Modules of `--recompute selective` that the model has: Megatron-LM refuses the others.
std::string selective_modules(const PlanQuestion& question) {
  std::string modules = "layernorm";
  const Model& model = question.job.model;
  if (model.has_experts())
    modules += " moe_act";
  const auto is_latent = [](const Mixer& mixer) {
    const auto* attention = std::get_if<Attention>(&mixer);
    return attention != nullptr && attention->latent;
  };
  if (std::any_of(model.kinds.begin(), model.kinds.end(), [&](const LayerKind& kind) {
        return std::any_of(kind.mixers.begin(), kind.mixers.end(), is_latent);
      }))
    modules += " mla_up_proj";
  if (question.job.training.attention == AttentionKernels::Unfused)
    modules += " core_attn";
  return modules;
}

void add_recompute(Flags& flags, const PlanQuestion& question, const Json& row) {
  const auto& layers = question.job.training.recomputed_layers;
  if (row["recompute"] == "full") {
    flags.add("--recompute-granularity", "full");
    flags.add("--recompute-method", layers ? "block" : "uniform");
    flags.add("--recompute-num-layers", layers.value_or(1));
  } else if (row["recompute"] == "selective") {
    flags.add("--recompute-granularity", "selective");
    flags.add("--recompute-modules " + selective_modules(question));
  }
}

/// Comments on what was predicted and has no flag here.
std::string unexpressed(const PlanQuestion& question, const Json& row, EmitFor framework) {
  const Training& training = question.job.training;
  std::vector<std::string> options;
  const auto note = [&](bool is_set, const char* option) {
    if (is_set)
      options.emplace_back(option);
  };
  note(training.cuda_graphs != CudaGraphs::None, "--cuda-graphs");
  note(training.fused_experts, "--fused-experts");
  note(training.dispatch_overlap, "--dispatch-overlap");
  note(training.expert_imbalance > 1, "--expert-imbalance");
  note(training.collectives != Collectives::Ring, "--collectives");
  note(!training.fused_norms, "--norms");
  note(training.loss == LossKernels::Gathered, "--loss");
  note(training.attention == AttentionKernels::Fp8, "--attention");
  note(question.job.hardware.compute_scale != 1, "--compute-scale");
  note(framework == EmitFor::Torchtitan && training.precision == Precision::Fp8 &&
           training.fp8_recipe != Fp8Recipe::Tensor,
       "--fp8-recipe");
  note(framework == EmitFor::Megatron && row["recompute"] == "selective" &&
           !question.job.model.has_experts(),
       "activation functions of dense MLPs, which selective recomputes");
  note(framework == EmitFor::Torchtitan && row["recompute"] == "selective",
       "which tensors selective keeps, so that memory differs");
  return options.empty() ? ""
                         : fmt::format("# Not expressed here: {}.\n", fmt::join(options, ", "));
}

void add_training(Flags& flags, const PlanQuestion& question, const Json& row) {
  const Training& training = question.job.training;
  flags.add("--micro-batch-size", count(row, "microbatch_size"));
  flags.add("--global-batch-size", question.global_batch);
  flags.add("--seq-length", training.sequence);
  add_recompute(flags, question, row);
  if (training.attention == AttentionKernels::Unfused)
    flags.add("--attention-backend", "unfused");
  if (count(row, "cp") > 1 && training.context != ContextMessages::Ring)
    flags.add("--cp-comm-type",
              training.context == ContextMessages::AllGather ? "all_gather" : "a2a");
  flags.add_if(training.loss == LossKernels::Fused, "--cross-entropy-loss-fusion");
  flags.add("--bf16");
  if (training.precision == Precision::Fp8) {
    constexpr const char* kRecipes[] = {"blockwise", "tensorwise", "mxfp8"};
    const std::size_t recipe = training.fp8_recipe == Fp8Recipe::Block    ? 0
                               : training.fp8_recipe == Fp8Recipe::Tensor ? 1
                                                                          : 2;
    flags.add("--fp8-format", recipe == 0 ? "e4m3" : "hybrid");
    flags.add("--fp8-recipe", kRecipes[recipe]);
  }
  flags.add_if(training.tensor_overlap && count(row, "tp") > 1, "--tp-comm-overlap");
  if (!question.job.model.has_experts())
    return;
  flags.add("--moe-grouped-gemm");
  flags.add("--moe-token-dispatcher-type",
            training.dispatch == Dispatch::AllToAll ? "alltoall" : "flex");
  if (training.dispatch == Dispatch::DeepEp)
    flags.add("--moe-flex-dispatcher-backend", "deepep");
  if (training.dispatch == Dispatch::HybridEp)
    flags.add("--moe-flex-dispatcher-backend", "hybridep");
}

/// Megatron-LM asks for it before Blackwell where tensor or context parallelism is on, and refuses
/// it beside FSDP; it is written for every GPU.
bool needs_one_connection(const PlanQuestion& question, const Json& row) {
  return count(row, "tp") * count(row, "cp") > 1 && question.job.training.zero < 2 &&
         row["schedule"] != "interleaved-1f1b-overlap";
}

std::string for_megatron(const PlanQuestion& question, const Json& row) {
  require_schedule(row, "megatron");
  if (row["schedule"] == "interleaved-1f1b-overlap" && count(row, "pp") == 1 &&
      question.job.model.prediction_depth() > 0)
    throw Error(
        "Megatron-Core before 0.19 has no overlap of experts' messages for multi-token prediction "
        "on one pipeline rank: give --pp");
  Flags flags;
  add_division(flags, question, row);
  add_data_parallel(flags, question);
  add_training(flags, question, row);
  const std::int64_t each = std::min(question.gpus, gpus_per_host(question.job.hardware));
  return fmt::format(
      "# {} on {} {}, by bubblescope plan {}; flags of the model, its data and the optimizer\n"
      "# are to be added.\n"
      "{}{}torchrun --nproc-per-node={} --nnodes={} pretrain_gpt.py \\\n{}",
      question.job.model.name, question.gpus, question.job.hardware.name, kVersion,
      unexpressed(question, row, EmitFor::Megatron),
      needs_one_connection(question, row) ? "CUDA_DEVICE_MAX_CONNECTIONS=1 " : "", each,
      question.gpus / each, flags.text());
}

/// torchtitan's name and flavor of a built-in model.
std::string model_toml(const std::string& name) {
  constexpr const char* kModels[][3] = {{"llama-3.1-405b", "llama3", "405B"},
                                        {"llama-3.1-70b", "llama3", "70B"},
                                        {"llama-3.1-8b", "llama3", "8B"},
                                        {"deepseek-v3", "deepseek_v3", "671B"},
                                        {"qwen3-235b-a22b", "qwen3", "235B-A22B"}};
  for (const auto& [ours, theirs, flavor] : kModels)
    if (name == ours)
      return fmt::format("[model]\nname = \"{}\"\nflavor = \"{}\"\n", theirs, flavor);
  return fmt::format("# The name and the flavor of {} are to be added.\n[model]\n", name);
}

/// torchtitan calls a schedule by PyTorch's class without its first word.
std::string torchtitan_schedule(const std::string& name) {
  for (const std::string& alias : words_in(find_schedule(name)->aliases))
    if (constexpr std::string_view kPrefix = "Schedule"; alias.starts_with(kPrefix))
      return alias.substr(kPrefix.size());
  return name;
}

/// Throws Error where torchtitan 0.2.2 refuses such a job.
void require_torchtitan(const PlanQuestion& question, const Json& row) {
  require_schedule(row, "torchtitan");
  const std::int64_t ranks = count(row, "pp");
  const bool has_pairs = row["schedule"] == "dualpipev";
  if (question.job.training.zero == 0 && count(row, "cp") == 1 && count(row, "tp") * ranks > 1)
    throw Error(
        "torchtitan's DDP goes with neither tensor nor pipeline parallelism: give --zero 1 "
        "or 3");
  if (has_pairs && count(row, "ep") > 1 && row["recompute"] != "none")
    throw Error("torchtitan's dualpipev with experts recomputes nothing: give --recompute none");
  if (has_pairs && ranks == 1)
    throw Error("torchtitan has no F&B pairs on one pipeline rank: give --pp");
  if (ranks > 1 && question.job.model.name.starts_with("qwen3"))
    throw Error("torchtitan has no pipelines of qwen3: give --pp 1");
}

std::string pipeline_toml(const PlanQuestion& question, const Json& row) {
  const std::int64_t ranks = count(row, "pp");
  if (ranks == 1)
    return "";
  const std::int64_t stages = ranks * count(row, "chunks");
  const std::int64_t depth = question.job.model.depth();
  const std::int64_t each = (depth + stages - 1) / stages;
  if (row["layout"] != to_text(even_layout(question.job.model, static_cast<int>(stages))) ||
      (depth + each - 1) / each != stages)
    throw Error(fmt::format("torchtitan has no option for the layout {} of {} stages",
                            row["layout"].get<std::string>(), stages));
  return fmt::format(
      "pipeline_parallel_schedule = \"{}\"\n"
      "pipeline_parallel_microbatch_size = {}\n"
      "pipeline_parallel_layers_per_stage = {}\n"
      "pipeline_parallel_first_stage_less_layers = 0\n"
      "pipeline_parallel_last_stage_less_layers = 0\n",
      torchtitan_schedule(row["schedule"].get<std::string>()), count(row, "microbatch_size"), each);
}

std::string for_torchtitan(const PlanQuestion& question, const Json& row) {
  require_torchtitan(question, row);
  const Training& training = question.job.training;
  const std::int64_t data = count(row, "dp");
  const bool is_whole = training.zero == 0;
  std::string text = fmt::format("# {} on {} {}, by bubblescope plan {}\n{}",
                                 question.job.model.name, question.gpus, question.job.hardware.name,
                                 kVersion, unexpressed(question, row, EmitFor::Torchtitan));
  text += model_toml(question.job.model.name);
  text += fmt::format(
      "{}\n[training]\nseq_len = {}\nlocal_batch_size = {}\nglobal_batch_size = {}\n",
      training.precision == Precision::Fp8 ? "converters = [\"quantize.linear.float8\"]\n" : "",
      training.sequence,
      count(row, "microbatch_size") * (count(row, "pp") > 1 ? count(row, "microbatches") : 1),
      question.global_batch);
  text += fmt::format(
      "\n[parallelism]\ndata_parallel_replicate_degree = {}\n"
      "data_parallel_shard_degree = {}\nfsdp_reshard_after_forward = \"{}\"\n"
      "tensor_parallel_degree = {}\ncontext_parallel_degree = {}\n"
      "expert_parallel_degree = {}\npipeline_parallel_degree = {}\n",
      is_whole ? data : 1, is_whole ? 1 : data, training.zero >= 3 ? "always" : "never",
      count(row, "tp"), count(row, "cp"), count(row, "ep"), count(row, "pp"));
  text += pipeline_toml(question, row);
  text += fmt::format("\n[activation_checkpoint]\nmode = \"{}\"\n",
                      row["recompute"].get<std::string>());
  if (row["recompute"] == "selective")
    text += "selective_ac_option = \"op\"\n";
  return text;
}

}  // namespace

void check_emitted(const PlanQuestion& question, EmitFor framework) {
  if (framework != EmitFor::Megatron)
    return;
  const Training& training = question.job.training;
  if (training.moment_bytes == 2 && training.zero == 0)
    throw Error(
        "Megatron-LM keeps moments in bf16 only with its distributed optimizer: give "
        "--zero 1, 2 or 3");
  if (training.tensor_overlap && !training.sequence_parallel)
    throw Error(
        "Megatron-LM overlaps tensor parallelism only with sequence parallelism: leave out "
        "--sequence-parallel off");
  if (const std::int64_t each = gpus_per_host(question.job.hardware);
      question.gpus > each && question.gpus % each != 0)
    throw Error(fmt::format("{} GPUs do not fill nodes of {}: torchrun starts as many on each",
                            question.gpus, each));
  if (gathers_beside_forwards(training) && question.iteration.reduce != GradReduce::Overlapped)
    throw Error(
        "Megatron-LM gathers parameters beside forwards only where it reduces gradients beside "
        "backwards: give --reduce overlapped too");
}

std::string emitted(const PlanQuestion& question, const Json& row, EmitFor framework) {
  return framework == EmitFor::Megatron ? for_megatron(question, row)
                                        : for_torchtitan(question, row);
}

}  // namespace bubblescope
