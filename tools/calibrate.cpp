// bubblescope calibrate: measures a machine by micro-benchmarks, for `validate --profile`.
#include "backend_cuda/replay/calibrate.h"

#include <memory>

#include <fmt/format.h>

#include "analysis/format.h"
#include "tools/command.h"
#include "tools/errors.h"
#include "tools/executors.h"
#include "tools/interrupt.h"
#include "tools/measure.h"
#include "tools/output.h"
#include "tools/units.h"

namespace bubblescope {
namespace {

struct CalibrateOptions {
  std::string ranks;
  std::string action = "200us";
  std::string p2p;
  MachineOptions machine;
  std::string output;
};

Calibration read(const CalibrateOptions& options, const MachineChoice& machine,
                 const InterruptGuard& guard) {
  constexpr Range kRanks = {1, 1 << 16};
  if (options.ranks.empty())
    throw UsageError("-p/--ranks is required");
  if (machine.has_virtual_clock())
    throw UsageError("on a virtual clock there is nothing to calibrate: add --real-time");
  Calibration out{.ranks = static_cast<int>(parse_count({"-p/--ranks", options.ranks}, kRanks)),
                  .options = machine.executor,
                  .action = parse_time({"--action", options.action})};
  if (!options.machine.repeats.empty())
    out.repeats = machine.replay.repeats;
  out.replay.timeout = machine.replay.timeout;
  out.replay.interrupted = &guard.seen();
  if (!options.p2p.empty())
    out.link.latency = parse_time({"--p2p", options.p2p});
  for (int chunks = 2; machine.has_tensors() && chunks <= machine.executor.shape.blocks; ++chunks)
    if (machine.executor.shape.blocks % chunks == 0)
      out.chunks.push_back(chunks);
  return out;
}

int run(const CalibrateOptions& options, const GlobalOptions& global) {
  const MachineChoice machine = options.machine.choice();
  const InterruptGuard guard;
  const Calibration calibration = read(options, machine, guard);
  const ExecutorMaker maker = [&](const Plan& plan, const ExecutorOptions& executor) {
    return make_executor(machine.backend, plan, executor);
  };
  Profile profile;
  {
    Progress progress(global.quiet);
    progress.now("measuring");
    profile = calibrate(maker, calibration);
  }
  profile.backend = to_string(machine.backend);
  profile.created = now_in_utc();
  profile.command = global.command;
  write_output(options.output, profile_json(profile));
  global.note(fmt::format("measured on {}, ± {}", profile.machine.front().second,
                          format_percent(profile.noise)));
  return kDone;
}

}  // namespace

Command add_calibrate(CLI::App& root, const GlobalOptions& global) {
  auto* app = root.add_subcommand("calibrate", "measure a machine, for validate --profile");
  auto options = std::make_shared<CalibrateOptions>();
  add_option(*app, {"-p,--ranks", "N", "pipeline ranks", "Shape"}, options->ranks);
  options->machine.add_to(*app);
  add_option(
      *app,
      {"--repeats", "N", "of each benchmark, of which the median counts (default: 9)", "Machine"},
      options->machine.repeats);
  add_option(*app, {"--action", "TIME", "timed: of an action (default: 200us)", "Machine"},
             options->action);
  add_option(*app, {"--p2p", "TIME", "latency of a message between ranks (default: 0)", "Machine"},
             options->p2p);
  add_option(*app, {"-o,--output", "FILE", "the profile, in JSON (default: stdout)", "Output"},
             options->output);
  app->footer(
      "Gaps between actions and messages and, with tensors, what ops take, alone and while other\n"
      "ranks work; measured by chains and waves of ops, none of which is a schedule.\n"
      "Examples:\n"
      "  bubblescope calibrate -p 4 --backend cuda --workload tensors --tokens 2048 \\\n"
      "      --hidden 4096 --inner 16384 --blocks 4 -o profile.json\n"
      "  bubblescope validate 1f1b zb-h1 dualpipe -p 4 -m 8 --profile profile.json");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope
