// bubblescope import: a launch of another program's training job as options of this one.
#include <algorithm>
#include <cctype>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/base/files.h"
#include "sim/base/json_text.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/import/launch.h"
#include "tools/options/units.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

struct ImportOptions {
  const Framework* framework = nullptr;
  std::vector<std::string> words;
  std::string flags;  // stays empty
  Count gpus;
  std::string model;
  bool lists_flags = false;
  std::string output;
};

bool is_assignment(const std::string& word) {
  const std::size_t equals = std::min(word.find('='), word.size());
  return equals > 0 && equals < word.size() &&
         std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; });
}

/// Files, NAME=VALUE for scripts among them, then flags, which stand above those of files.
void read_launch(LaunchedJob& launch, const std::vector<std::string>& words) {
  std::map<std::string, std::string> fixed;
  Variables variables;
  const auto flags = std::find_if(words.begin(), words.end(),
                                  [](const std::string& word) { return word.starts_with('-'); });
  for (auto word = words.begin(); word != flags; ++word)
    if (is_assignment(*word))
      fixed[word->substr(0, word->find('='))] = word->substr(word->find('=') + 1);
    else if (!exists(*word))
      throw Error(fmt::format("{}: there is no such file; flags stand behind --", *word));
  for (auto word = words.begin(); word != flags; ++word)
    if (!is_assignment(*word))
      add_file(launch, *word, fixed, variables);
  Words behind;
  for (auto word = flags; word != words.end(); ++word)
    behind.push_back({*word});
  launch.add(behind, "");
}

int run(const ImportOptions& options, const GlobalOptions& global) {
  const Framework& framework = *options.framework;
  if (options.lists_flags) {
    write_output(options.output, flags_page(framework));
    return kDone;
  }
  if (options.words.empty())
    throw UsageError("a file is expected, or flags behind --");
  LaunchedJob launch(framework);
  launch.gpus = options.gpus;
  read_launch(launch, options.words);
  if (launch.flags.empty())
    throw Error(
        fmt::format("{}: no flag of {} is found there", options.words.front(), framework.title));
  launch.set_listed();
  framework.translate(launch);
  if (!options.model.empty()) {
    if (launch.model_json.empty())
      throw Error("--save-model: the flags tell no whole model");
    write_output(options.model, dump_json(launch.model_json, 2) + "\n");
    launch.set("model", options.model);
  } else if (!launch.options.contains("model") && !launch.model_json.empty()) {
    launch.note("no model that is built in is that of the flags: --save-model FILE writes it");
  }
  launch.note("no flag tells the hardware: give --hardware");
  for (const std::string& note : launch.notes)
    global.note(note);
  if (const std::size_t count = launch.silent.size(); count > 0)
    global.note(
        fmt::format("{} flag{} not change the timing", count, count == 1 ? " does" : "s do"));
  write_output(options.output,
               launch.toml(fmt::format("{} {}", framework.name, fmt::join(options.words, " "))));
  return kDone;
}

}  // namespace

Command add_import(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("import",
                                  "a launch of Megatron-LM, torchtitan or DeepSpeed as "
                                  "options here, for --config");
  auto options = std::make_shared<ImportOptions>();
  app->add_option_function<std::string>(
         "FRAMEWORK",
         [options](const std::string& name) {
           options->framework = one_of<const Framework*>({{"megatron", &kMegatron},
                                                          {"torchtitan", &kTorchtitan},
                                                          {"deepspeed", &kDeepspeed}})(name);
         },
         "megatron, torchtitan or deepspeed")
      ->required()
      ->type_name("");
  app->add_option("WORDS", options->words,
                  "scripts and files of arguments, .toml, .json; NAME=VALUE for scripts' variables")
      ->type_name("");
  // WORDS takes these too; but for an argument that is left, CLI11 would not keep "--" to this app.
  app->add_option("FLAGS", options->flags, "behind --: they stand above those of files")
      ->type_name("");
  add_option(*app, {"--gpus", "N", "of the whole job, whatever the launch says", "Import"},
             options->gpus, count_from<std::int64_t>(1, 100'000'000));
  add_flag(*app, {"--flags", "", "lists the flags that are known, as Markdown", "Import"},
           options->lists_flags);
  add_option(*app,
             {"--save-model", "FILE", "writes the model that Megatron-LM's flags tell", "Output"},
             options->model);
  add_output(*app, options->output);
  app->footer(
      "Nothing is run: what only a run could tell is named, and so is each flag without a "
      "counterpart.\n"
      "Examples:\n"
      "  bubblescope import megatron train.sh NNODES=16 -o job.toml\n"
      "  bubblescope --config job.toml compare --hardware h100-sxm\n"
      "  bubblescope import megatron --gpus 64 -- --tensor-model-parallel-size 8 \\\n"
      "      --pipeline-model-parallel-size 4 --global-batch-size 128\n"
      "  bubblescope import torchtitan llama3_405b.toml --gpus 512 -- \\\n"
      "      --parallelism.pipeline_parallel_degree 8");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope
