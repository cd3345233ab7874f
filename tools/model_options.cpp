#include "tools/model_options.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "sim/error.h"
#include "sim/model_file.h"
#include "sim/nearest.h"
#include "tools/embedded_data.h"
#include "tools/errors.h"
#include "tools/option_words.h"
#include "tools/units.h"

namespace bubblescope {
namespace {

/// A file, or one that is built in.
struct NamedInput {
  std::string option;  // "--model"
  std::string folder;  // "data/models"
  std::span<const EmbeddedFile> files;
};

/// Reads what `name` means: a path, or one of the files by name.
template <typename Read, typename Parse>
auto find_input(const NamedInput& input, const std::string& name, Read&& read, Parse&& parse) {
  if (name.find('/') != std::string::npos || name.ends_with(".json") ||
      std::filesystem::exists(name))
    return read(name);
  std::vector<std::string> names;
  for (const EmbeddedFile& file : input.files) {
    if (file.name == name)
      return parse(file.text, fmt::format("{}/{}.json", input.folder, name));
    names.emplace_back(file.name);
  }
  throw UsageError(fmt::format("{}: there is no file and no such name: '{}'{}\n  names: {}",
                               input.option, name.substr(0, 40), did_you_mean(name, names),
                               fmt::join(names, ", ")));
}

/// A value of the command line that `read` refuses by an Error.
template <typename Read>
auto checked(const char* option, Read&& read) {
  try {
    return read();
  } catch (const Error& error) {
    throw UsageError(fmt::format("{}: {}", option, error.what()));
  }
}

/// One of `words`, the first of which is the default.
std::size_t word(const char* option, const std::string& given,
                 const std::vector<std::string>& words) {
  return given.empty() ? 0 : choose(option, given, words);
}

std::int64_t count(const char* option, const std::string& given, std::int64_t otherwise) {
  constexpr Range kCount = {1, 100'000'000};
  return given.empty() ? otherwise : parse_count({option, given}, kCount);
}

}  // namespace

void ModelOptions::add_to(CLI::App& app) {
  const auto add = [&](const char* name, const char* value_name, const char* help,
                       std::string& value) {
    add_option(app, {name, value_name, help, "Costs from a model"}, value);
  };
  add("--model", "FILE|NAME", "such as deepseek-v3, or a config.json; a wrong name lists all",
      model);
  add("--hardware", "FILE|NAME", "such as h800; a wrong name lists all", hardware);
  add("--parallel", "LIST",
      "tensor, expert, data, context: tp=8,ep=64,dp=128,cp=1 (default: 1 each; dp as many as ep "
      "needs)",
      parallel);
  add("--microbatch-size", "N", "sequences of a micro-batch (default: 1)", microbatch_size);
  add("--sequence", "N",
      "tokens of a sequence (default: 4096, or all positions that the model learned)", sequence);
  add("--precision", "WHAT", "of matrix products: bf16 (default), fp8", precision);
  add("--recompute", "WHAT",
      "in the backward: none (default); selective, norms, activation functions, latent "
      "attention's up-projections and scores that are not fused; full, whole layers",
      recompute);
  add("--layout", "TEXT",
      "layers of each stage, as Megatron's --pipeline-model-parallel-layout: 'Et*3|(tt|)*29,m|L' "
      "(default: even, the earlier stages have one more)",
      layout);
  add("--pair-order", "WHOSE", "launch order of F&B pairs: deepseek (default), megatron",
      pair_order);
  add("--attention", "HOW", "flash (default), or unfused, with its scores in memory", attention);
  add("--zero", "STAGE", "what data parallelism divides, as ZeRO: 0, 1 (default), 2, 3", zero);
  add("--gradients", "WHAT", "how gradients are accumulated: fp32 (default), bf16", gradients);
  add("--moments", "WHAT", "Adam's moments: fp32 (default), bf16", moments);
  add("--collectives", "HOW",
      "reductions and gathers over several nodes: ring (default); hierarchical, NVLink first",
      collectives);
}

std::string ModelOptions::first_given() const {
  for (const auto& [option, value] : {std::pair("--model", &model),
                                      {"--hardware", &hardware},
                                      {"--parallel", &parallel},
                                      {"--microbatch-size", &microbatch_size},
                                      {"--sequence", &sequence},
                                      {"--precision", &precision},
                                      {"--recompute", &recompute},
                                      {"--layout", &layout},
                                      {"--pair-order", &pair_order},
                                      {"--attention", &attention},
                                      {"--zero", &zero},
                                      {"--gradients", &gradients},
                                      {"--moments", &moments},
                                      {"--collectives", &collectives}})
    if (!value->empty())
      return option;
  return "";
}

ModelJob ModelOptions::job() const {
  for (const auto& [option, value] : {std::pair("--model", &model), {"--hardware", &hardware}})
    if (value->empty())
      throw UsageError(
          fmt::format("{} is required: costs from a model need --model and --hardware", option));
  ModelJob job{.model = find_input({"--model", "data/models", embedded_models()}, model, read_model,
                                   parse_model),
               .hardware = find_input({"--hardware", "data/hardware", embedded_hardware()},
                                      hardware, read_hardware, parse_hardware)};
  job.parallel = checked("--parallel", [&] {
    Parallel read = parse_parallel(parallel);
    check(read, job.model);
    return read;
  });
  Training& training = job.training;
  training.microbatch = count("--microbatch-size", microbatch_size, training.microbatch);
  const std::int64_t positions = job.model.learned_positions;
  training.sequence =
      count("--sequence", sequence,
            positions > 0 ? std::min(positions, training.sequence) : training.sequence);
  training.precision = static_cast<Precision>(word("--precision", precision, {"bf16", "fp8"}));
  checked("--precision", [&] { check_precision(job); });
  training.recompute =
      static_cast<Recompute>(word("--recompute", recompute, {"none", "selective", "full"}));
  training.pair_order =
      static_cast<PairOrder>(word("--pair-order", pair_order, {"deepseek", "megatron"}));
  training.fused_attention = word("--attention", attention, {"flash", "unfused"}) == 0;
  constexpr Range kZero = {0, 3};
  if (!zero.empty())
    training.zero = static_cast<int>(parse_count({"--zero", zero}, kZero));
  training.gradient_bytes = word("--gradients", gradients, {"fp32", "bf16"}) == 0 ? 4 : 2;
  training.moment_bytes = word("--moments", moments, {"fp32", "bf16"}) == 0 ? 4 : 2;
  training.collectives =
      static_cast<Collectives>(word("--collectives", collectives, {"ring", "hierarchical"}));
  checked("--sequence", [&] { check_sequence(job); });
  checked("--microbatch-size × --sequence", [&] { return analytic_costs(job, 1).stages.size(); });
  if (!layout.empty())
    job.layout = checked("--layout", [&] { return parse_layout(layout, job.model); });
  return job;
}

}  // namespace bubblescope
