#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/transformer/model_file.h"
#include "tools/import/launch.h"

namespace bubblescope {
namespace {

constexpr const char* kEach = "--num-layers-per-virtual-pipeline-stage";
constexpr const char* kChunks = "--num-virtual-stages-per-pipeline-rank";
constexpr const char* kLayout = "--pipeline-model-parallel-layout";
constexpr const char* kFirst = "--decoder-first-pipeline-num-layers";
constexpr const char* kLast = "--decoder-last-pipeline-num-layers";
constexpr const char* kEmbedding = "--account-for-embedding-in-pipeline-split";
constexpr const char* kLoss = "--account-for-loss-in-pipeline-split";

/// The flag that tells the GPUs of a node or of the job: the launcher's, or else Slurm's.
const char* flag_of_gpus(const LaunchedJob& launch) {
  for (const char* flag : {"--world-size", "--nproc-per-node", "--ntasks-per-node"})
    if (const GivenFlag* given = launch.find(flag);
        given != nullptr && !given->values.empty() && !given->values[0].starts_with("$SLURM"))
      return flag;
  return "";
}

Count gpus(const LaunchedJob& launch, const std::string& flag) {
  if (launch.gpus || flag.empty() || flag == "--world-size")
    return launch.gpus ? launch.gpus : launch.count("--world-size");
  const GivenFlag* nodes = launch.find("--nnodes");
  const bool is_told =
      nodes != nullptr && !nodes->values.empty() && !nodes->values[0].starts_with("$SLURM");
  return launch.count_or_1(flag) * launch.count_or_1(is_told ? "--nnodes" : "--nodes");
}

/// The layers of an MLP in front of those of experts, as --moe-layer-freq tells them; nothing where
/// they alternate. It is a number N, for one layer of experts in N, or such as ([0]*3+[1]*58).
Count dense_layers(const LaunchedJob& launch, std::int64_t layers) {
  constexpr const char* kFlag = "--moe-layer-freq";
  const GivenFlag* flag = launch.find(kFlag);
  const std::string text = flag == nullptr ? "1" : fmt::format("{}", fmt::join(flag->values, ""));
  if (text.find('[') == text.npos)
    return launch.count(kFlag).value_or(1) == 1 ? Count(0) : std::nullopt;
  std::string kinds;
  for (std::size_t at = 0; (at = text.find('[', at)) != text.npos;) {
    const std::size_t end = std::min(text.find(']', at), text.size());
    std::string kind = text.substr(at + 1, end - at - 1);
    std::erase(kind, ',');
    std::int64_t times = 1;
    if (end + 1 < text.size() && text[end + 1] == '*')
      times = std::strtoll(text.c_str() + end + 2, nullptr, 10);
    for (; times > 0 && static_cast<std::int64_t>(kinds.size()) <= layers; --times)
      kinds += kind;
    at = end;
  }
  if (kinds.find_first_not_of("01") != kinds.npos ||
      static_cast<std::int64_t>(kinds.size()) != layers)
    launch.fail(kFlag, fmt::format("expected 0 or 1 for each of {} layers, got '{}'", layers,
                                   text.substr(0, 60)));
  const std::size_t dense = std::min(kinds.find('1'), kinds.size());
  return kinds.find('0', dense) == kinds.npos ? Count(dense) : std::nullopt;
}

/// Completes the keys that the list has set with Megatron's defaults. Why there is no model, if so.
std::string describe(LaunchedJob& launch) {
  auto& model = launch.model_json;
  const auto by_default = [&](const char* key, const nlohmann::ordered_json& value) {
    if (!model.contains(key))
      model[key] = value;
  };
  if (launch.has("--spec"))
    return fmt::format("{}, which tells layers that are not modelled",
                       launch.find("--spec")->where());
  for (const char* flag : {"--num-layers", "--hidden-size", "--num-attention-heads"})
    if (!launch.count(flag))
      return fmt::format("want of {}", flag);
  const auto number = [&](const char* key) { return model.at(key).get<std::int64_t>(); };
  const bool is_gated = launch.has("--swiglu");
  const std::int64_t width = 4 * number("hidden_size");
  by_default("intermediate_size", is_gated ? width * 2 / 3 / 64 * 64 : width);
  model["hidden_act"] = is_gated ? "swiglu" : launch.has("--squared-relu") ? "relu2" : "gelu";
  constexpr std::array<std::pair<const char*, int>, 5> kLatent = {{{"q_lora_rank", 0},
                                                                   {"kv_lora_rank", 32},
                                                                   {"qk_nope_head_dim", 128},
                                                                   {"qk_rope_head_dim", 64},
                                                                   {"v_head_dim", 128}}};
  const bool is_latent = launch.has("--multi-latent-attention");
  for (const auto& [key, value] : kLatent)
    is_latent ? by_default(key, value) : static_cast<void>(model.erase(key));
  for (const char* key : {"num_key_value_heads", "head_dim"})
    if (is_latent)
      model.erase(key);
  if (!is_latent && launch.has("--group-query-attention"))
    model["num_key_value_heads"] = launch.count_or_1("--num-query-groups");
  else if (!is_latent)
    by_default("num_key_value_heads", number("num_attention_heads"));
  model["mlp_bias"] = !launch.has("--disable-bias-linear");
  by_default("attention_bias", model["mlp_bias"]);
  const auto drops = [&](const char* flag) {
    return launch.text(flag).value_or("0.1").find_first_not_of("0.") != std::string::npos;
  };
  model["dropout"] = drops("--attention-dropout") || drops("--hidden-dropout");
  const auto positions = launch.count("--max-position-embeddings");
  if (positions && !launch.has("--use-rotary-position-embeddings") &&
      launch.text("--position-embedding-type").value_or("learned_absolute") == "learned_absolute") {
    model["max_position_embeddings"] = *positions;
    model["learned_positions"] = true;
  }
  model["tie_word_embeddings"] = !launch.has("--untie-embeddings-and-output-weights");
  if (launch.count_or_1("--num-experts") == 1) {
    for (const char* key : {"n_routed_experts", "moe_intermediate_size", "num_experts_per_tok",
                            "shared_expert_intermediate_size", "n_group", "topk_group"})
      model.erase(key);
    return "";
  }
  const auto dense = dense_layers(launch, number("num_hidden_layers"));
  by_default("num_experts_per_tok", 2);
  if (model.contains("n_group"))
    by_default("topk_group", model["n_group"]);
  if (dense.value_or(0) > 0)
    model["first_k_dense_replace"] = *dense;
  return dense ? "" : "layers of experts that alternate with others";
}

void set_model(LaunchedJob& launch) {
  auto& json = launch.model_json;
  json.update({{"format", "bubblescope-model/1"},
               {"name", "imported"},
               {"source", "the flags of a launch of Megatron-LM"}});
  if (const std::string reason = describe(launch); !reason.empty()) {
    json.clear();
    return launch.note(fmt::format("the flags tell no model, for {}: give --model", reason));
  }
  const auto vocabulary = launch.count("--vocab-size");
  const bool is_whole = vocabulary || json.contains("vocab_size");
  if (!json.contains("vocab_size"))
    json["vocab_size"] = vocabulary.value_or(1);
  launch.model = parse_model(json.dump(), "the model that the flags tell");
  if (!launch.set_built_in("") && !is_whole)
    launch.note("the flags tell no vocabulary, so that no model is made: give --vocab-size");
  if (!is_whole)
    json.clear();
}

/// The layers of each stage where flags say that they are uneven, as Megatron's
/// get_num_layers_to_build divides them.
std::vector<std::int64_t> uneven_layers(const LaunchedJob& launch, std::int64_t p, std::int64_t v) {
  const auto first = launch.count(kFirst);
  const auto last = launch.count(kLast);
  const std::int64_t embedding = launch.has(kEmbedding) ? 1 : 0;
  const std::int64_t loss = launch.has(kLoss) ? 1 : 0;
  const std::int64_t others = p - (first ? 1 : 0) - (last ? 1 : 0);
  const std::int64_t middle =
      launch.model->depth() + embedding + loss - first.value_or(0) - last.value_or(0);
  bool divides = middle >= 0 && (others > 0 ? middle % others == 0 : middle == 0);
  std::vector<std::int64_t> layers;
  for (std::int64_t stage = 0; stage < p * v && divides; ++stage) {
    const std::int64_t rank = stage % p;
    const std::int64_t all = rank == 0 && first      ? *first
                             : rank == p - 1 && last ? *last
                             : others > 0            ? middle / others
                                                     : 0;
    layers.push_back(all / v - (stage == 0 ? embedding : 0) - (stage == p * v - 1 ? loss : 0));
    divides = all % v == 0 && layers.back() >= 0;
  }
  if (!divides)
    launch.fail("--num-layers", fmt::format("{} layers cannot be divided as the flags about the "
                                            "first and the last rank say",
                                            launch.model->depth()));
  return layers;
}

/// Sets a layout where there is one. Returns the stages of a rank.
std::int64_t set_stages(LaunchedJob& launch, std::int64_t p) {
  const auto layers = launch.count("--num-layers");
  const auto each = launch.count(kEach);
  const auto told = launch.count(kChunks);
  const auto layout = launch.text(kLayout);
  if (each && (told || layout))
    launch.fail(kEach,
                fmt::format("does not go with {}", launch.find(told ? kChunks : kLayout)->where()));
  std::int64_t v = told.value_or(1);
  if (layout) {
    launch.set("layout", *layout);
    const Model model = launch.model.value_or(uniform_model({}, layers.value_or(0)));
    try {
      const auto stages = static_cast<std::int64_t>(parse_layout(*layout, model).size());
      v = stages / p;
      if (stages % p != 0 || (told && v != *told))
        throw Error(fmt::format("has {} stages, which are not v for each of {} ranks", stages, p));
    } catch (const Error& error) {
      launch.fail(kLayout, error.what());
    }
  } else if (each && layers) {
    const std::int64_t all =
        *layers + (launch.has(kEmbedding) ? 1 : 0) + (launch.has(kLoss) ? 1 : 0);
    if (all % (p * *each) != 0)
      launch.fail(kEach, fmt::format("{} layers cannot be divided over {} ranks in stages of {}",
                                     all, p, *each));
    v = all / p / *each;
  }
  const bool is_uneven =
      launch.has(kFirst) || launch.has(kLast) || launch.has(kEmbedding) || launch.has(kLoss);
  if (is_uneven && !layout && launch.model)
    launch.set_layout(uneven_layers(launch, p, v));
  return v;
}

void set_schedule(LaunchedJob& launch) {
  const std::int64_t v = set_stages(launch, launch.count_or_1("--pipeline-model-parallel-size"));
  const bool overlaps = launch.has("--overlap-moe-expert-parallel-comm");
  const bool is_batched = v == 1 || launch.has("--no-overlap-p2p-communication");
  launch.set("NAME", v == 1 ? "1f1b" : overlaps ? "interleaved-1f1b-overlap" : "interleaved-1f1b");
  launch.set("comm", is_batched ? "batched" : "stream");
  constexpr const char* kGroup = "--microbatch-group-size-per-virtual-pipeline-stage";
  if (v == 1) {
    launch.note_of(kGroup, "has no effect without virtual stages");
    return launch.note_of("--overlap-moe-expert-parallel-comm",
                          "left out: Megatron-LM refuses it without virtual stages");
  }
  launch.set("chunks", v);
  if (const auto group = launch.count(kGroup))
    launch.set("group-size", *group);
  if (overlaps)
    launch.set("pair-order", "megatron");
}

void set_data_parallel(LaunchedJob& launch) {
  constexpr const char* kFlag = "--data-parallel-sharding-strategy";
  constexpr std::array kStrategies = {"no_shard", "optim", "optim_grads", "optim_grads_params"};
  std::int64_t zero = launch.has("--use-distributed-optimizer") ? 1 : 0;
  if (launch.has("--use-megatron-fsdp")) {
    const std::string strategy = launch.text(kFlag).value_or(kStrategies.back());
    const auto* found = std::find(kStrategies.begin(), kStrategies.end(), strategy);
    if (found == kStrategies.end())
      launch.fail(kFlag, fmt::format("expected one of {}", fmt::join(kStrategies, ", ")));
    zero = found - kStrategies.begin();
  }
  launch.set("zero", zero);
  if (launch.text("--exp-avg-dtype").value_or("fp32") != "fp32")
    launch.set("moments", "bf16");
}

/// Modules that are made again, without those that have no counterpart.
std::string recomputed_modules(LaunchedJob& launch, bool is_unfused) {
  static constexpr std::string_view kModules[] = {"core_attn",   "moe_act", "layernorm",
                                                  "mla_up_proj", "mlp",     "moe"};
  const GivenFlag* given = launch.find("--recompute-modules");
  std::string modules;
  const std::vector<std::string> by_default = {"core_attn"};
  for (const std::string& module : given == nullptr ? by_default : given->values) {
    if (module == "core_attn" && !is_unfused)
      launch.note("recomputation of core_attn is left out: fused attention keeps no scores");
    else if (module == "shared_experts")
      launch.note("recomputation of shared_experts is left out");
    else if (std::find(std::begin(kModules), std::end(kModules), module) == std::end(kModules))
      launch.fail("--recompute-modules",
                  fmt::format("expected some of {}, got '{}'", fmt::join(kModules, ", "), module));
    else
      modules += (modules.empty() ? "" : ",") + module;
  }
  return modules;
}

void set_recompute(LaunchedJob& launch, bool is_unfused) {
  const auto is = [&](const char* flag, std::string_view value) {
    return launch.text(flag).value_or("") == value;
  };
  if (is("--recompute-granularity", "full") || launch.has("--checkpoint-activations")) {
    launch.set("recompute", "full");
    const Count layers = launch.count("--recompute-num-layers", 0);
    if (is("--recompute-method", "block") && layers)
      launch.set("recompute-layers", *layers);
    else if (layers.value_or(1) > 1)
      launch.note_of("--recompute-num-layers", "each layer's input is kept here");
  } else if (launch.has("--recompute-activations") || is("--recompute-granularity", "selective")) {
    if (const std::string modules = recomputed_modules(launch, is_unfused); !modules.empty())
      launch.set("recompute", modules);
  }
}

void set_fp8_and_loss(LaunchedJob& launch) {
  constexpr const char* kRecipe = "--fp8-recipe";
  if (launch.has("--fp8-format")) {
    const std::string recipe = launch.text(kRecipe).value_or("delayed");
    if (recipe != "delayed" && recipe != "tensorwise" && recipe != "blockwise" && recipe != "mxfp8")
      launch.fail(kRecipe, fmt::format("expected delayed, tensorwise, blockwise or mxfp8, got '{}'",
                                       recipe));
    launch.set("fp8-recipe", recipe == "blockwise" ? "block"
                             : recipe == "mxfp8"   ? "mxfp8"
                                                   : "tensor");
  }
  if (!launch.has("--cross-entropy-loss-fusion"))
    launch.set("loss", "unfused");
}

void set_context(LaunchedJob& launch) {
  constexpr const char* kFlag = "--cp-comm-type";
  if (launch.count_or_1("--context-parallel-size") == 1 || !launch.has(kFlag))
    return;
  const std::string type = launch.text(kFlag).value_or("p2p");
  if (type == "a2a+p2p")
    return launch.note_of(kFlag, "keys and values go around one ring here");
  constexpr std::pair<std::string_view, const char*> kTypes[] = {{"p2p", "ring"},
                                                                 {"all_gather", "allgather"},
                                                                 {"allgather", "allgather"},
                                                                 {"a2a", "alltoall"}};
  const auto* found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                   [&](const auto& each) { return each.first == type; });
  if (found == std::end(kTypes))
    launch.fail(kFlag, fmt::format("expected p2p, all_gather, a2a or a2a+p2p, got '{}'", type));
  launch.set("cp-comm", found->second);
}

void set_dispatch(LaunchedJob& launch) {
  if (launch.count_or_1("--expert-model-parallel-size") == 1)
    return;
  const std::string type = launch.text("--moe-token-dispatcher-type").value_or("allgather");
  const std::string backend = launch.text("--moe-flex-dispatcher-backend").value_or("deepep");
  if (type != "alltoall" && type != "allgather" && type != "flex")
    launch.fail("--moe-token-dispatcher-type",
                fmt::format("expected alltoall, allgather or flex, got '{}'", type));
  if (type == "flex" && backend != "deepep" && backend != "hybridep")
    launch.fail("--moe-flex-dispatcher-backend",
                fmt::format("expected deepep or hybridep, got '{}'", backend));
  if (type == "allgather")
    launch.note(
        "experts get tokens by an all-gather there, which is Megatron-LM's default, and by "
        "an all-to-all here");
  const bool is_deepep = type != "flex" && launch.has("--moe-enable-deepep");
  launch.set("dispatch", is_deepep ? "deepep" : type == "flex" ? backend : "alltoall");
}

}  // namespace

void translate_megatron_training(LaunchedJob& launch) {
  const auto is = [&](const char* flag, std::string_view value) {
    return launch.text(flag).value_or("") == value;
  };
  const bool is_unfused =
      is("--attention-backend", "unfused") || is("--attention-backend", "local");
  if (is_unfused)
    launch.set("attention", "unfused");
  set_recompute(launch, is_unfused);
  set_fp8_and_loss(launch);
  set_dispatch(launch);
  set_context(launch);
  const std::int64_t tensor = launch.count_or_1("--tensor-model-parallel-size");
  const std::int64_t expert = launch.count_or_1("--expert-model-parallel-size");
  const std::int64_t each = launch.count("--expert-tensor-parallel-size").value_or(tensor);
  if (expert > 1 && each > 1)
    launch.note(fmt::format("each expert is divided over {} GPUs there, and is whole here", each));
  if (tensor > 1 && !launch.has("--sequence-parallel"))
    launch.set("sequence-parallel", "off");
  if (tensor > 1 && launch.has("--tp-comm-overlap"))
    launch.set("tp-overlap", "on");
}

Count translate_megatron_job(LaunchedJob& launch) {
  set_model(launch);
  const std::string flag = flag_of_gpus(launch);
  const bool is_told = launch.gpus || flag.empty();
  return launch.set_division({.tensor = launch.count_or_1("--tensor-model-parallel-size"),
                              .context = launch.count_or_1("--context-parallel-size"),
                              .pipeline = launch.count_or_1("--pipeline-model-parallel-size"),
                              .expert = launch.count_or_1("--expert-model-parallel-size")},
                             gpus(launch, flag), is_told ? "--gpus" : launch.find(flag)->where());
}

void translate_megatron(LaunchedJob& launch) {
  const Count data = translate_megatron_job(launch);
  launch.set_microbatches("--global-batch-size", launch.count_or_1("--micro-batch-size"), data);
  set_schedule(launch);
  set_data_parallel(launch);
  translate_megatron_training(launch);
}

}  // namespace bubblescope
