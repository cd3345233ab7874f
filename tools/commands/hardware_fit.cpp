// bubblescope hardware-fit: a hardware file from kernel timings of one's own.
#include "analysis/calibration/hardware_fit.h"

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/traces/unpacked_file.h"
#include "analysis/views/hardware_fit_view.h"
#include "sim/base/json_input.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/options/named_input.h"
#include "tools/options/units.h"
#include "tools/output.h"
#include "tools/progress.h"

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostBaseBytes = std::size_t{1} << 20;

struct HardwareFitOptions {
  std::vector<std::string> files;
  std::string base;
  FitRequest request;
  OutputOptions output;  ///< Its path is that of the hardware file.
};

/// The text of a file that is named, or built in, with what names it in errors.
std::pair<std::string, std::string> find_text(const NamedInput& input, const std::string& name) {
  using Text = std::pair<std::string, std::string>;
  return find_input(
      input, name,
      [](const std::string& path) { return Text(read_file(path, kMostBaseBytes), path); },
      [](std::string_view text, const std::string& file) { return Text(std::string(text), file); });
}

FitBase find_base(const std::string& name) {
  if (name.empty())
    throw UsageError(
        "--base is required: the GPU whose peaks, memory and links the file takes, such as "
        "h100-sxm; 'bubblescope hardware' lists",
        {"--base"});
  const auto [text, file] = find_text({"--base", "data/hardware", embedded_hardware()}, name);
  FitBase base{parse_hardware(text, file), Json::parse(text), nullptr};
  const Json& kernels = base.json.value("kernels", Json());
  if (kernels.is_object())
    base.tables = kernels;
  if (!kernels.is_string())
    return base;
  const auto [tables, place] =
      find_text({"--base", "data/kernels", embedded_kernels()}, kernels.get<std::string>());
  parse_kernel_tables(tables, place);
  base.tables = Json::parse(tables);
  return base;
}

/// "bf16=1" of the words of --sustained.
std::pair<std::string, double> read_sustained(const std::string& word) {
  static const Choices<std::string> keys = {{"bf16", "bf16"},
                                            {"fp8", "fp8"},
                                            {"weight-gradients", "weight_gradients"},
                                            {"collectives", "collectives"},
                                            {"attention-backward", "attention_backward"}};
  const std::size_t middle = word.find('=');
  if (middle == std::string::npos)
    refuse_word("WHAT=FACTOR, such as bf16=0.9", word);
  constexpr double kMost = 100;
  return {one_of(keys)(word.substr(0, middle)),
          read_factor(word.substr(middle + 1), 1 / kMost, kMost)};
}

/// The output's, without folder and ending.
std::string default_name(const HardwareFitOptions& options) {
  if (options.output.path == "-")
    return options.base + "-fit";
  std::filesystem::path name = std::filesystem::path(options.output.path).filename();
  for (const char* ending : {".gz", ".json"})
    if (name.extension() == ending)
      name = name.stem();
  return name.string();
}

int run(const HardwareFitOptions& options, const GlobalOptions& global) {
  if (options.files.empty())
    throw UsageError("expected files of kernel timings, such as gemm.csv");
  if (options.output.path.empty())
    throw UsageError("-o/--output is required: the hardware file to write", {"--output"});
  const FitBase base = find_base(options.base);
  require_writable(options.output.path);
  refuse_twice(options.files);
  FitRequest request = options.request;
  if (request.name.empty())
    request.name = default_name(options);
  HardwareFit fit;
  {
    Progress progress(global.quiet);
    std::vector<TimingFile> files;
    for (const std::string& path : options.files) {
      progress.now("reading " + path);
      files.push_back(read_timings(path));
    }
    progress.now("fitting");
    fit = fit_hardware(base, files, request);
  }
  write_output(options.output.path, hardware_text(fit.hardware));
  for (const std::string& note : fit.notes)
    global.note(note);
  if (options.output.path == "-")
    return kDone;
  Style style = OutputOptions{.format = options.output.format}.style(global);
  style.provenance = provenance("hardware-fit");
  write_output("", hardware_fit_view(fit, style));
  return kDone;
}

}  // namespace

Command add_hardware_fit(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("hardware-fit", "a hardware file from kernel timings");
  auto options = std::make_shared<HardwareFitOptions>();
  app->add_option("CSV", options->files,
                  "timings of kernels, plain or .gz; the header tells of which kind")
      ->type_name("...");
  add_option(*app,
             {"--base", "FILE|NAME",
              "the GPU: its peaks, memory, links, node size, and tables of kernels that the "
              "timings do not cover; 'bubblescope hardware' lists",
              "Hardware"},
             options->base);
  add_option(
      *app,
      {"--name", "NAME", "of the hardware (default: the output's, without .json)", "Hardware"},
      options->request.name);
  declare_list(*app,
               {"--sustained", "WHAT=FACTOR,...",
                "from such timings to training, in place of the base's: bf16, fp8 (rates), "
                "weight-gradients, collectives, attention-backward (times)",
                "Hardware"},
               [options](const std::string& word) {
                 const auto [key, factor] = read_sustained(word);
                 options->request.sustained.insert_or_assign(key, factor);
               });
  add_format(*app, options->output.format);
  add_option(*app, {"-o,--output", "FILE", "the hardware file, for --hardware", "Output"},
             options->output.path);
  app->footer(
      "Columns by kind (docs/kernels.md): products dtype,m,n,k,us; attention batch_size,isl,\n"
      "num_heads,num_key_value_heads,head_dim,us; mla num_heads,batch_size,isl,us; experts dtype,\n"
      "num_tokens,hidden_size,inter_size,topk,num_experts,moe_tp_size,moe_ep_size,distribution,us;"
      "\n"
      "collectives op_name,nccl_dtype,num_gpus,message_size,us. Errors that are told are those of\n"
      "the timings that were fitted, not of others.\n"
      "Examples:\n"
      "  bubblescope hardware-fit gemm.csv nccl.csv.gz --base h100-sxm -o my-h100.json\n"
      "  bubblescope hardware-fit gemm.csv --base b200 --sustained bf16=1 -o my-b200.json\n"
      "  bubblescope costs -p 4 --model llama-3.1-70b --hardware my-h100.json --tp 8");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope
