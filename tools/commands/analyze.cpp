// bubblescope analyze: what GPUs did, by traces of them.
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "analysis/gpu_trace/step_window.h"
#include "analysis/views/analyze_view.h"
#include "sim/base/error.h"
#include "sim/base/files.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/options/output_options.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

struct AnalyzeOptions {
  std::vector<std::string> paths;
  SelectOptions select;
  std::string comm_pattern;
  OutputOptions output;
};

struct Files {
  std::vector<std::string> all;
  std::set<std::string> in_folders;
};

/// A folder stands for the traces in it.
Files files_of(const std::vector<std::string>& paths) {
  Files files;
  for (const std::string& path : paths) {
    if (path.empty())
      throw UsageError("a trace is expected, and an empty value was given");
    if (!is_folder(path)) {
      files.all.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (std::string& file : paths_in(path))
      if (file.ends_with(".json") || file.ends_with(".json.gz"))
        found.push_back(std::move(file));
    if (found.empty())
      throw Error(fmt::format("{}: is a directory without .json or .json.gz", path));
    files.all.insert(files.all.end(), found.begin(), found.end());
    files.in_folders.insert(found.begin(), found.end());
  }
  return files;
}

KernelNames kernel_names(const AnalyzeOptions& options) {
  if (options.comm_pattern.empty())
    return KernelNames();
  try {
    return KernelNames(options.comm_pattern);
  } catch (const Error& error) {
    throw wrong_option("--comm-pattern", error.what());
  }
}

std::string run(const AnalyzeOptions& options, const GlobalOptions& global) {
  Style style = options.output.style(global);
  style.provenance = provenance("analyze");
  KernelNames names = kernel_names(options);
  if (options.paths.empty())
    throw UsageError("a trace is expected: a file of PyTorch's profiler, or one a rank");
  const Files files = files_of(options.paths);
  TraceSet traces = read_traces(files.all, names, files.in_folders);
  select_steps(traces, options.select);
  for (const std::string& note : traces.notes)
    global.note(note);
  return analyze_view(gpu_figures(traces, names, options.select.window), style);
}

}  // namespace

Command add_analyze(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("analyze", "real traces: busy, idle, overlap, and why");
  auto options = std::make_shared<AnalyzeOptions>();
  app->add_option("TRACE", options->paths,
                  "traces of PyTorch's profiler, Chrome's format or --trace, plain or .gz; one\n"
                  "a rank, or folders of them")
      ->type_name("...");
  add_option(*app,
             {"--window", "step|rank",
              "from first start to last end over all ranks, or of each (default: step)", "Trace"},
             options->select.window,
             one_of<WindowKind>({{"step", WindowKind::Common}, {"rank", WindowKind::OfRank}}));
  add_option(*app,
             {"--steps", "all|drop-last",
              "drop what was launched from the last ProfilerStep on (default: all)", "Trace"},
             options->select.steps,
             one_of<StepChoice>({{"all", StepChoice::All}, {"drop-last", StepChoice::DropLast}}));
  add_flag(*app,
           {"--round-us", "", "starts up and ends down to whole µs, as HolisticTraceAnalysis does",
            "Trace"},
           options->select.round_us);
  add_option(*app,
             {"--comm-pattern", "RE",
              "names of what communicates, instead of NCCL, RCCL, NVSHMEM, DeepEP", "Trace"},
             options->comm_pattern);
  options->output.add_to(*app);
  app->footer(
      "A window over all ranks shows pipeline bubbles at a rank's begin and end; a window per "
      "rank\n"
      "hides them. Ranks are as the traces' distributedInfo says, else as the files are given;\n"
      "each GPU of a file is one. stderr says what is left out of a trace, and why.\n"
      "Examples:\n"
      "  bubblescope analyze rank*.json.gz\n"
      "  bubblescope analyze train.json --format json -o train-figures.json\n"
      "  bubblescope analyze rank0.json.gz --window rank --steps drop-last --round-us\n"
      "  bubblescope analyze rank*.json.gz --comm-pattern '^nccl|my_allreduce'");
  return {app, [options, &global] {
            write_output(options->output.path, run(*options, global));
            return kDone;
          }};
}

}  // namespace bubblescope
