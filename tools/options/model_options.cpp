#include "tools/options/model_options.h"

#include <algorithm>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/files.h"
#include "sim/base/nearest.h"
#include "sim/transformer/model_file.h"
#include "tools/embedded_data.h"
#include "tools/errors.h"
#include "tools/options/option_words.h"
#include "tools/options/units.h"

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
  if (name.find('/') != std::string::npos || name.ends_with(".json") || exists(name))
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

/// An option, in the order of the help.
struct ModelOption {
  const char* name;
  const char* word;
  const char* help;
  std::variant<std::string ModelOptions::*, std::vector<std::string> ModelOptions::*> value;
};

constexpr ModelOption kModelOptions[] = {
    {"--model", "FILE|NAME", "such as deepseek-v3, or a config.json; a wrong name lists all",
     &ModelOptions::model},
    {"--ignore-key", "KEY",
     "reads a config.json as if it had no such key; several with commas, or several times",
     &ModelOptions::ignored_keys},
    {"--hardware", "FILE|NAME", "such as h800; a wrong name lists all", &ModelOptions::hardware},
    {"--parallel", "LIST",
     "tensor, expert, data, context: tp=8,ep=64,dp=128,cp=1 (default: 1 each; dp as many as ep "
     "needs)",
     &ModelOptions::parallel},
    {"--microbatch-size", "N", "sequences of a micro-batch (default: 1)",
     &ModelOptions::microbatch_size},
    {"--sequence", "N",
     "tokens of a sequence (default: 4096, or all positions that the model learned)",
     &ModelOptions::sequence},
    {"--precision", "WHAT", "of matrix products: bf16 (default), fp8", &ModelOptions::precision},
    {"--recompute", "WHAT",
     "in the backward: none (default); selective, norms, activation functions, latent "
     "attention's up-projections and scores that are not fused; full, whole layers",
     &ModelOptions::recompute},
    {"--layout", "TEXT",
     "layers of each stage, as Megatron's --pipeline-model-parallel-layout: 'Et*3|(tt|)*29,m|L' "
     "(default: even, the earlier stages have one more)",
     &ModelOptions::layout},
    {"--pair-order", "WHOSE", "launch order of F&B pairs: deepseek (default), megatron",
     &ModelOptions::pair_order},
    {"--attention", "HOW", "flash (default), or unfused, with its scores in memory",
     &ModelOptions::attention},
    {"--zero", "STAGE", "what data parallelism divides, as ZeRO: 0, 1 (default), 2, 3",
     &ModelOptions::zero},
    {"--gradients", "WHAT", "how gradients are accumulated: fp32 (default), bf16",
     &ModelOptions::gradients},
    {"--moments", "WHAT", "Adam's moments: fp32 (default), bf16", &ModelOptions::moments},
    {"--collectives", "HOW",
     "reductions and gathers over several nodes: ring (default); hierarchical, NVLink first",
     &ModelOptions::collectives}};

}  // namespace

void ModelOptions::add_to(CLI::App& app) {
  for (const ModelOption& each : kModelOptions)
    std::visit(
        [&](auto value) {
          add_option(app, {each.name, each.word, each.help, "Costs from a model"}, this->*value);
        },
        each.value);
}

std::string ModelOptions::first_given() const {
  for (const ModelOption& each : kModelOptions)
    if (!std::visit([&](auto value) { return (this->*value).empty(); }, each.value))
      return each.name;
  return "";
}

ModelJob ModelOptions::job() const {
  for (const auto& [option, value] : {std::pair("--model", &model), {"--hardware", &hardware}})
    if (value->empty())
      throw UsageError(
          fmt::format("{} is required: costs from a model need --model and --hardware", option));
  ModelJob job{.model = find_input(
                   {"--model", "data/models", embedded_models()}, model,
                   [&](const std::string& path) { return read_model(path, ignored_keys); },
                   [&](std::string_view text, const std::string& file) {
                     return parse_model(text, file, ignored_keys);
                   }),
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
