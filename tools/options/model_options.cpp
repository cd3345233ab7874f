#include "tools/options/model_options.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/transformer/mixer_costs.h"
#include "sim/transformer/model_file.h"
#include "sim/transformer/parameters.h"
#include "tools/options/named_input.h"
#include "tools/options/units.h"

namespace bubblescope {
namespace {

constexpr std::int64_t kMost = 100'000'000;
constexpr double kMostImbalance = 1000;
constexpr double kMostScale = 10;

const Choices<Precision> kPrecisions = {{"bf16", Precision::Bf16}, {"fp8", Precision::Fp8}};
const Choices<Fp8Recipe> kRecipes = {
    {"block", Fp8Recipe::Block}, {"tensor", Fp8Recipe::Tensor}, {"mxfp8", Fp8Recipe::Mx}};
const Choices<Recompute> kRecomputes = {
    {"none", kRecomputeNone}, {"selective", kRecomputeSelective}, {"full", kRecomputeFull}};
/// Megatron-Core's names of what a layer may make again.
const Choices<bool Recompute::*> kModules = {{"core_attn", &Recompute::scores},
                                             {"layernorm", &Recompute::norms},
                                             {"moe_act", &Recompute::activation},
                                             {"mla_up_proj", &Recompute::latent_up},
                                             {"mlp", &Recompute::mlp},
                                             {"moe", &Recompute::experts}};
const Choices<Dispatch> kDispatches = {{"alltoall", Dispatch::AllToAll},
                                       {"deepep", Dispatch::DeepEp},
                                       {"hybridep", Dispatch::HybridEp}};
const Choices<CudaGraphs> kCudaGraphs = {{"none", CudaGraphs::None},
                                         {"moe", CudaGraphs::Moe},
                                         {"attention", CudaGraphs::Attention},
                                         {"full", CudaGraphs::Full}};
const Choices<bool> kFused = {{"fused", true}, {"unfused", false}};
const Choices<LossKernels> kLosses = {{"fused", LossKernels::Fused},
                                      {"unfused", LossKernels::Unfused},
                                      {"gathered", LossKernels::Gathered}};
const Choices<ContextMessages> kContexts = {{"ring", ContextMessages::Ring},
                                            {"allgather", ContextMessages::AllGather},
                                            {"alltoall", ContextMessages::AllToAll}};
const Choices<bool> kGathers = {{"after", false}, {"overlapped", true}};
const Choices<PairOrder> kPairOrders = {{"deepseek", PairOrder::DeepSeek},
                                        {"megatron", PairOrder::Megatron}};
const Choices<AttentionKernels> kAttentions = {{"flash", AttentionKernels::Flash},
                                               {"fp8", AttentionKernels::Fp8},
                                               {"unfused", AttentionKernels::Unfused}};
const Choices<bool> kOnOff = {{"on", true}, {"off", false}};
const Choices<int> kWidths = {{"fp32", 4}, {"bf16", 2}};
const Choices<Collectives> kCollectives = {{"ring", Collectives::Ring},
                                           {"hierarchical", Collectives::Hierarchical}};

/// A value of the command line, of the options `about`, that `read` refuses by an Error.
template <typename Read>
auto checked(std::vector<std::string> about, Read&& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw UsageError(fmt::format("{}: {}", fmt::join(about, " × "), error.what()), about);
  }
}

Recompute read_recompute(const std::string& word) {
  for (const auto& [name, recompute] : kRecomputes)
    if (name == word)
      return recompute;
  Recompute modules;
  for (std::size_t begin = 0; begin <= word.size();) {
    const std::size_t end = std::min(word.find(',', begin), word.size());
    modules.*one_of(kModules)(word.substr(begin, end - begin)) = true;
    begin = end + 1;
  }
  return modules;
}

std::string recompute_word(const Recompute& recompute) {
  std::string word = word_for(kRecomputes, recompute);
  if (!word.empty())
    return word;
  for (const auto& [name, module] : kModules)
    if (recompute.*module)
      word += (word.empty() ? "" : ",") + name;
  return word;
}

/// Declares options of a model, and notes them in its group.
class Declaration {
 public:
  Declaration(CLI::App& app, ModelOptions& options)
      : app_(app), given_(options.given), left_out_(options.left_out) {}

  template <typename T, typename... Read>
  void operator()(const char* names, const char* value, const char* help, T& target,
                  Read... read) const {
    if (std::find(left_out_.begin(), left_out_.end(), names) != left_out_.end())
      return;
    given_.add(add_option(app_, {names, value, help, "Costs from a model"}, target, read...));
  }

 private:
  CLI::App& app_;
  OptionGroup& given_;
  const std::vector<std::string_view>& left_out_;
};

/// Its layers by kind, in the order in which they come first.
nlohmann::ordered_json layers_json(const Model& model) {
  auto kinds = nlohmann::ordered_json::array();
  for (std::size_t kind = 0; kind < model.kinds.size(); ++kind)
    if (const auto layers = std::count(model.layers.begin(), model.layers.end(), kind); layers > 0)
      kinds.push_back({{"layers", layers}, {"kind", describe(model.kinds[kind])}});
  return kinds;
}

}  // namespace

void ModelOptions::add_to(CLI::App& app) {
  const Declaration add(app, *this);
  add("--model", "FILE|NAME", "such as deepseek-v3, or a config.json; 'bubblescope models' lists",
      model);
  given.add(add_list(app,
                     {"--ignore-key", "KEY",
                      "reads a config.json as if it had no such key; several with commas, or "
                      "several times",
                      "Costs from a model"},
                     ignored_keys));
  add("--hardware", "FILE|NAME", "such as h800; 'bubblescope hardware' lists", hardware);
  add("--gpus-per-node", "N",
      "of a node, or of an NVLink domain, those that the job uses (default: all)", gpus_per_node,
      count_from(1));
  add("--kernel-tables", "on|off",
      "times of kernels by their shape (default: on, where the hardware has them)", kernel_tables,
      one_of(kOnOff));
  add_parallel_to(app);
  add_training_to(app);
  add_experts_to(app);
  CLI::Option* model_option = app.get_option("--model");
  model_option->needs(app.get_option("--hardware"));
  for (const CLI::Option* option : given.options())
    if (option != model_option)
      app.get_option("--" + option->get_lnames().front())->needs(model_option);
}

void ModelOptions::add_parallel_to(CLI::App& app) {
  const Declaration add(app, *this);
  add("--parallel", "LIST",
      "tensor, expert, data, context: tp=8,ep=64,dp=128,cp=1 (default: 1 each; dp as many as ep "
      "needs)",
      degrees, [](const std::string& word) {
        try {
          return parse_degrees(word);
        } catch (const Error& error) {
          throw UsageError(error.what());
        }
      });
  CLI::Option* list = app.get_option_no_throw("--parallel");
  for (const auto& [name, degree] : {std::pair("--tp", &degrees.tensor),
                                     {"--cp", &degrees.context},
                                     {"--ep", &degrees.expert},
                                     {"--dp", &degrees.data}}) {
    add(name, "N", "short for a part of --parallel", *degree, count_from<std::int64_t>(1, kMost));
    if (list != nullptr)
      app.get_option(name)->excludes(list);
  }
  add("--gpus", "N", "instead of dp: GPUs of the whole job, tp · cp · pp · dp", gpus,
      count_from(1));
  add("--global-batch", "N", "instead of -m: sequences a step, over all replicas", global_batch,
      count_from(1));
  if (CLI::Option* data = app.get_option_no_throw("--dp"))
    app.get_option("--gpus")->excludes(data);
}

void ModelOptions::add_training_to(CLI::App& app) {
  const Declaration add(app, *this);
  add("--microbatch-size", "N", "sequences of a micro-batch (default: 1)", training.microbatch,
      count_from<std::int64_t>(1, kMost));
  add("--sequence", "N",
      "tokens of a sequence, such as 8192 or 8k (default: 4096, or all positions that the model "
      "learned)",
      sequence, count_from<std::int64_t>(1, kMost));
  add("--precision", "WHAT", "of matrix products: bf16 (default), fp8", training.precision,
      one_of(kPrecisions));
  add("--fp8-recipe", "HOW",
      "how products in fp8 are scaled: block (default), 1 × 128 as DeepSeek-V3; tensor, a whole "
      "one; mxfp8, 1 × 32 by Blackwell's tensor cores",
      training.fp8_recipe, one_of(kRecipes));
  add("--recompute", "WHAT",
      "in the backward: none (default); selective, norms, activation functions, latent "
      "attention's up-projections and scores that are not fused; full, whole layers; or modules "
      "with commas: core_attn, layernorm, moe_act, mla_up_proj, mlp, moe",
      training.recompute, read_recompute);
  add("--recompute-layers", "N", "only the first N layers of each stage (default: all)",
      training.recomputed_layers, count_from<std::int64_t>(0, kMost));
  add("--layout", "TEXT",
      "layers of each stage, as Megatron's --pipeline-model-parallel-layout: 'Et*3|(tt|)*29,m|L' "
      "(default: even, the earlier stages have one more); balanced: so that the busiest rank has "
      "the least work",
      layout);
  add("--pair-order", "WHOSE", "launch order of F&B pairs: deepseek (default), megatron",
      training.pair_order, one_of(kPairOrders));
  add("--sequence-parallel", "on|off",
      "the tensor group divides norms and residuals too (default: on)", training.sequence_parallel,
      one_of(kOnOff));
  add("--tp-overlap", "on|off",
      "the tensor group's collectives run beside the products that they feed (default: off)",
      training.tensor_overlap, one_of(kOnOff));
  add("--attention", "HOW",
      "flash (default); fp8, likewise with products in fp8; unfused, with its scores in memory",
      training.attention, one_of(kAttentions));
  add("--norms", "HOW", "fused (default), or unfused, a kernel for each step of theirs",
      training.fused_norms, one_of(kFused));
  add("--loss", "HOW",
      "fused (default), or unfused, with logits in fp32; gathered, and those of the whole "
      "vocabulary on each GPU",
      training.loss, one_of(kLosses));
  constexpr int kZeroStages = 3;
  add("--zero", "STAGE", "what data parallelism divides, as ZeRO: 0, 1 (default), 2, 3",
      training.zero, count_from(0, kZeroStages));
  add("--gather", "WHEN",
      "parameters that --zero 1 and 2 divide: after the optimizer (default); overlapped, beside "
      "the next forwards",
      training.gather_overlap, one_of(kGathers));
  add("--gradients", "WHAT", "how gradients are accumulated: fp32 (default), bf16",
      training.gradient_bytes, one_of(kWidths));
  add("--gradient-fusion", "on|off",
      "products add up weights' gradients, whose placeholders hold memory (default: off)",
      training.gradient_fusion, one_of(kOnOff));
  add("--moments", "WHAT", "Adam's moments: fp32 (default), bf16", training.moment_bytes,
      one_of(kWidths));
  add("--cp-comm", "HOW",
      "attention over a context group: ring (default), allgather of keys and values, alltoall of "
      "heads",
      training.context, one_of(kContexts));
  add("--compute-scale", "X",
      "computation takes so many times what the model says, as --anchor tells (default: 1)",
      compute_scale,
      [](const std::string& word) { return read_factor(word, 1 / kMostScale, kMostScale); });
  add("--collectives", "HOW",
      "reductions and gathers over several nodes: ring (default); hierarchical, NVLink first",
      training.collectives, one_of(kCollectives));
}

void ModelOptions::add_experts_to(CLI::App& app) {
  const Declaration add(app, *this);
  add("--dispatch", "HOW",
      "tokens to experts: deepep (default), a copy a node, quantized where products are; hybridep, "
      "a copy a GPU or NVLink domain; alltoall, a copy an expert, by NCCL",
      training.dispatch, one_of(kDispatches));
  add("--dispatch-overlap", "on|off",
      "beside what another micro-batch computes, where no F&B pair says so (default: off)",
      training.dispatch_overlap, one_of(kOnOff));
  add("--fused-experts", "on|off",
      "activation functions are part of the experts' products (default: off)",
      training.fused_experts, one_of(kOnOff));
  add("--cuda-graphs", "SCOPE",
      "what the host need not launch: none (default), moe, attention, full", training.cuda_graphs,
      one_of(kCudaGraphs));
  add("--expert-imbalance", "X", "rows of the fullest GPU's experts over the mean's (default: 1)",
      training.expert_imbalance,
      [](const std::string& word) { return read_factor(word, 1, kMostImbalance); });
}

Parallel ModelOptions::parallel(std::optional<int> ranks) const {
  Degrees all = degrees;
  if (gpus) {
    if (!ranks)
      throw UsageError("--gpus needs -p/--ranks: dp is GPUs / (tp · cp · pp)", {"--gpus"});
    std::int64_t whole = 1;
    for (const std::int64_t degree :
         {all.tensor.value_or(1), all.context.value_or(1), std::int64_t{*ranks}})
      whole = std::min(whole, std::int64_t{*gpus} + 1) * std::min<std::int64_t>(degree, *gpus + 1L);
    if (*gpus % whole != 0)
      throw wrong_option("--gpus", fmt::format("{} GPUs are no multiple of tp · cp · pp", *gpus));
    if (all.data && *all.data != *gpus / whole)
      throw wrong_option("--gpus",
                         fmt::format("{} GPUs make dp={}, and --parallel says dp={}", *gpus,
                                     *gpus / whole, *all.data),
                         {"--parallel"});
    all.data = *gpus / whole;
  }
  return all.complete();
}

std::optional<int> ModelOptions::microbatches(std::optional<int> ranks) const {
  if (!global_batch)
    return std::nullopt;
  const std::int64_t sequences = parallel(ranks).data * training.microbatch;
  if (*global_batch % sequences != 0)
    throw wrong_option("--global-batch",
                       fmt::format("{} sequences are no multiple of dp · micro-batch size = {}",
                                   *global_batch, sequences));
  return static_cast<int>(*global_batch / sequences);
}

ModelJob ModelOptions::job(std::optional<int> ranks) const {
  ModelJob job{.model = find_input(
                   {"--model", "data/models", embedded_models()}, model,
                   [&](const std::string& path) { return read_model(path, ignored_keys); },
                   [&](std::string_view text, const std::string& file) {
                     return parse_model(text, file, ignored_keys);
                   }),
               .hardware = find_input({"--hardware", "data/hardware", embedded_hardware()},
                                      hardware, read_hardware, parse_hardware),
               .training = training};
  job.hardware.compute_scale = compute_scale;
  if (kernel_tables.value_or(false) && job.hardware.kernels_name.empty())
    throw wrong_option("--kernel-tables", fmt::format("{} names none", job.hardware.name));
  if (!kernel_tables.value_or(true))
    job.hardware.kernels = nullptr;
  else if (!job.hardware.kernels && !job.hardware.kernels_name.empty())
    job.hardware.kernels = std::make_shared<const KernelTables>(
        find_input({"--hardware", "data/kernels", embedded_kernels()}, job.hardware.kernels_name,
                   read_kernel_tables, parse_kernel_tables));
  if (gpus_per_node.value_or(1) > job.hardware.gpus_per_node)
    throw wrong_option("--gpus-per-node",
                       fmt::format("{} has {}", job.hardware.name, job.hardware.gpus_per_node));
  if (given.is_given("--fp8-recipe") && training.precision != Precision::Fp8)
    throw UsageError("--fp8-recipe needs --precision fp8", {"--fp8-recipe", "--precision"});
  job.hardware.gpus_per_node = gpus_per_node.value_or(job.hardware.gpus_per_node);
  job.parallel =
      checked({given.is_given("--parallel") ? "--parallel" : "--tp, --cp, --ep, --dp"}, [&] {
        const Parallel asked = parallel(ranks);
        check(asked, job.model);
        return asked;
      });
  const std::int64_t positions = job.model.learned_positions;
  job.training.sequence = sequence.value_or(
      positions > 0 ? std::min(positions, job.training.sequence) : job.training.sequence);
  checked({"--precision"}, [&] { check_precision(job); });
  if (std::find(left_out.begin(), left_out.end(), "--ep") == left_out.end())
    checked({training.expert_imbalance > 1 ? "--expert-imbalance" : "--attention"},
            [&] { check_training(job); });
  checked({"--sequence"}, [&] { check_sequence(job); });
  checked({"--microbatch-size", "--sequence"},
          [&] { return analytic_costs(job, 1).stages.size(); });
  job.is_balanced = layout == "balanced";
  if (!layout.empty() && !job.is_balanced)
    job.layout = checked({"--layout"}, [&] { return parse_layout(layout, job.model); });
  return job;
}

nlohmann::ordered_json job_json(const ModelJob& job) {
  using Json = nlohmann::ordered_json;
  const Training& training = job.training;
  return {
      {"model",
       {{"name", job.model.name},
        {"source", job.model.description},
        {"total_parameters", total_parameters(job.model)},
        {"active_parameters", activated_parameters(job.model)},
        {"prediction_parameters", prediction_module_parameters(job.model)},
        {"vocabulary", job.model.vocabulary},
        {"tied_embeddings", job.model.tied_embeddings},
        {"layers", layers_json(job.model)}}},
      {"ignored", job.model.ignored_keys},
      {"estimated", estimated_mixers(job.model)},
      {"hardware", job.hardware.name},
      {"gpus_per_node", job.hardware.gpus_per_node},
      {"parallel",
       {{"tp", job.parallel.tensor},
        {"cp", job.parallel.context},
        {"ep", job.parallel.expert},
        {"dp", job.parallel.data}}},
      {"microbatch_size", training.microbatch},
      {"sequence", training.sequence},
      {"precision", word_for(kPrecisions, training.precision)},
      {"fp8_recipe", word_for(kRecipes, training.fp8_recipe)},
      {"kernel_tables", job.hardware.kernels ? Json(job.hardware.kernels->name) : Json()},
      {"recompute", recompute_word(training.recompute)},
      {"recompute_layers", training.recomputed_layers ? Json(*training.recomputed_layers) : Json()},
      {"pair_order", word_for(kPairOrders, training.pair_order)},
      {"sequence_parallel", training.sequence_parallel},
      {"tp_overlap", training.tensor_overlap},
      {"attention", word_for(kAttentions, training.attention)},
      {"norms", word_for(kFused, training.fused_norms)},
      {"loss", word_for(kLosses, training.loss)},
      {"dispatch", word_for(kDispatches, training.dispatch)},
      {"dispatch_overlap", training.dispatch_overlap},
      {"fused_experts", training.fused_experts},
      {"cuda_graphs", word_for(kCudaGraphs, training.cuda_graphs)},
      {"expert_imbalance", training.expert_imbalance},
      {"gather", word_for(kGathers, training.gather_overlap)},
      {"zero", training.zero},
      {"gradients", word_for(kWidths, training.gradient_bytes)},
      {"gradient_fusion", training.gradient_fusion},
      {"moments", word_for(kWidths, training.moment_bytes)},
      {"collectives", word_for(kCollectives, training.collectives)},
      {"cp_comm", word_for(kContexts, training.context)},
      {"compute_scale", job.hardware.compute_scale}};
}

}  // namespace bubblescope
