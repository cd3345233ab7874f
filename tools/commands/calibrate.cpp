// bubblescope calibrate: costs from steps that were measured, or, without any, what
// micro-benchmarks tell of a machine, for `validate --profile`.
#include "backend_cuda/replay/calibrate.h"

#include <cstdlib>
#include <memory>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/calibration_view.h"
#include "sim/costs/cost_file.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/executors.h"
#include "tools/inputs.h"
#include "tools/interrupt.h"
#include "tools/job.h"
#include "tools/measure.h"
#include "tools/measured_input.h"
#include "tools/options/units.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

struct CalibrateOptions {
  std::optional<int> ranks;
  Time action = std::chrono::microseconds(200);
  Time p2p{};
  MachineOptions machine;
  MeasuredInputOptions input;
  std::optional<int> warm_ups;
  OutputOptions output;  ///< Its path is that of the profile or of the costs.
};

Calibration read(const CalibrateOptions& options, const MachineChoice& machine,
                 const InterruptGuard& guard) {
  if (!options.ranks)
    throw UsageError("-p/--ranks is required");
  if (machine.has_virtual_clock())
    throw UsageError("on a virtual clock there is nothing to calibrate: add --real-time");
  Calibration out{.ranks = *options.ranks, .options = machine.executor, .action = options.action};
  out.repeats = options.machine.repeats.value_or(out.repeats);
  out.replay.timeout = machine.replay.timeout;
  out.replay.fault_grace = machine.replay.fault_grace;
  out.replay.interrupted = &guard.seen();
  if (machine.backend != Backend::Nccl)
    out.link.latency = options.p2p;
  for (int chunks = 2; machine.has_tensors() && chunks <= machine.executor.shape.blocks; ++chunks)
    if (machine.executor.shape.blocks % chunks == 0)
      out.chunks.push_back(chunks);
  return out;
}

void take_places(const Job& job, Calibration& calibration) {
  calibration.node_of_rank = nodes_of_ranks(job, calibration.ranks);
  calibration.replicas = job.seat.world / calibration.ranks;
}

/// Throws UsageError for options of the other of the two things that calibrate does; what the
/// environment sets is for all subcommands.
void refuse_others(const CLI::App& app, bool has_input) {
  static const std::set<std::string> of_input = {"schedule", "group-size", "comm",
                                                 "channels", "warm-ups",   "format"};
  static const std::set<std::string> of_both = {"help", "output"};
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_lnames().empty() || !is_on_line(*option))
      continue;
    const std::string& name = option->get_lnames().front();
    if (of_both.contains(name))
      continue;
    if (of_input.contains(name) != has_input)
      throw UsageError(
          has_input ? fmt::format("--{} does not go with INPUT, which says it", name)
                    : fmt::format("--{} goes with INPUT, the steps that were measured", name),
          {"--" + name});
  }
}

int run_on_input(const CalibrateOptions& options, const GlobalOptions& global) {
  require_writable(options.output.path);
  const MeasuredCosts costs =
      measure_costs(read_measured_run(options.input, global), options.warm_ups);
  if (!options.output.path.empty())
    write_output(options.output.path, costs_text(costs.costs, derivation_json(costs)));
  Style style = OutputOptions{.format = options.output.format}.style(global);
  style.provenance = provenance("calibrate");
  if (options.output.path != "-")
    write_output("", calibration_view(costs, style));
  return kDone;
}

void note_links(const Profile& profile, const GlobalOptions& global) {
  if (!profile.links)
    return;
  for (const auto& [what, link] : {std::pair("a message within a node", &profile.links->same_node),
                                   {"a message between nodes", &profile.links->across},
                                   {"an all-to-all", &profile.links->all_to_all}})
    if (*link)
      global.note(fmt::format("{} takes {:.1f} µs + its bytes at {:.1f} GB/s, within {}", what,
                              to_us((*link)->link.latency), (*link)->link.bytes_per_second / 1e9,
                              format_percent((*link)->error)));
  for (const Contention& each : profile.contention)
    global.note(fmt::format("beside messages of {} CTAs a GEMM takes {:.2f} times as long",
                            each.max_ctas, each.slowdown));
}

int run_on_machine(const CLI::App& app, const CalibrateOptions& options,
                   const GlobalOptions& global) {
  const MachineChoice machine = options.machine.choice();
  if (machine.has_tensors() && is_on_line(*app.get_option("--action")))
    throw UsageError("--action is for --workload timed", {"--action"});
  if (machine.backend == Backend::Nccl && is_on_line(*app.get_option("--p2p")))
    throw UsageError("--p2p: messages of NCCL take as long as they take, which is measured",
                     {"--p2p"});
  return in_job(machine, global, [&](Job* job, const GlobalOptions& own) {
    const bool tells = job == nullptr || job->leads();
    const InterruptGuard guard;
    Calibration calibration = read(options, machine, guard);
    if (job != nullptr)
      take_places(*job, calibration);
    const ExecutorMaker maker = [&](const Plan& plan, const ExecutorOptions& executor) {
      return job == nullptr ? make_executor(machine.backend, plan, executor)
                            : make_executor(*job, plan, executor);
    };
    if (tells)
      require_writable(options.output.path);
    Profile profile;
    {
      Progress progress(own.quiet);
      progress.now("measuring");
      profile = calibrate(maker, calibration);
    }
    if (!tells)
      return kDone;
    profile.backend = to_string(machine.backend);
    profile.created = now_in_utc();
    profile.command = global.command;
    write_output(options.output.path, profile_json(profile));
    global.note(fmt::format("measured on {}, {}", profile.machine.front().second,
                            calibration.repeats > 1
                                ? fmt::format("± {}", format_percent(profile.noise))
                                : "once, so that its noise is unknown (--repeats)"));
    note_links(profile, global);
    return kDone;
  });
}

void add_input_options(CLI::App& app, CalibrateOptions& options) {
  add_option(app,
             {"--schedule", "NAME",
              "of the measured steps (default: as the input says; of Primus, 1f1b, or with "
              "vp_size > 1 interleaved-1f1b)",
              "Measured steps"},
             options.input.schedule);
  add_option(app,
             {"--group-size", "N", "of an interleaved schedule (default: p)", "Measured steps"},
             options.input.group_size, count_from(1));
  add_option(app,
             {"--warm-ups", "N",
              "steps at the beginning to leave out (default: iteration 1 of a Primus dump)",
              "Measured steps"},
             options.warm_ups, count_from(0));
  options.input.comm.add_to(app);
  add_format(app, options.output.format);
}

}  // namespace

Command add_calibrate(CLI::App& root, const GlobalOptions& global) {
  auto* app =
      root.add_subcommand("calibrate", "costs from measured steps, or a machine's own profile");
  auto options = std::make_shared<CalibrateOptions>();
  app->add_option("INPUT", options->input.paths,
                  "measured steps: a folder or files of Primus dumps (pp_rank_N.json), of traces "
                  "of PyTorch's profiler, or of replay -o; without any, a machine is measured")
      ->type_name("...");
  add_input_options(*app, *options);
  constexpr int kMostRanks = 1 << 16;
  add_option(*app, {"-p,--ranks,--pp", "N", "pipeline ranks", "Shape"}, options->ranks,
             count_from(1, kMostRanks));
  options->machine.add_to(*app);
  add_option(
      *app,
      {"--repeats", "N", "of each benchmark, of which the median counts (default: 9)", "Machine"},
      options->machine.repeats, count_from(1));
  add_option(*app, {"--action", "TIME", "timed: of an action (default: 200us)", "Machine"},
             options->action, [](const std::string& word) {
               const Time time = read_time(word);
               if (time == Time::zero())
                 throw UsageError("expected a time above zero");
               return time;
             });
  add_option(
      *app,
      {"--p2p", "TIME", "not of NCCL: latency of a message between ranks (default: 0)", "Machine"},
      options->p2p, read_time);
  add_option(*app,
             {"-o,--output", "FILE",
              "with INPUT: the costs, for --costs; else the profile (default: stdout)", "Output"},
             options->output.path);
  app->footer(
      "With INPUT: medians and spreads of what each stage takes, and the latency of a hop with\n"
      "which a simulation comes to the measured step. Without: gaps between actions and messages\n"
      "and, with tensors, what ops take, alone and while other ranks work; measured by chains and\n"
      "waves of ops, none of which is a schedule.\n"
      "Examples:\n"
      "  bubblescope calibrate runs/42/pp_data -o costs.json\n"
      "  bubblescope compare -p 8 -m 16 --costs costs.json\n"
      "  bubblescope calibrate -p 4 --backend cuda --workload tensors --tokens 2048 \\\n"
      "      --hidden 4096 --inner 16384 --blocks 4 -o profile.json\n"
      "  bubblescope validate 1f1b zb-h1 dualpipe -p 4 -m 8 --profile profile.json");
  return {app, [app, options, &global] {
            const bool has_input = !options->input.paths.empty();
            refuse_others(*app, has_input);
            return has_input ? run_on_input(*options, global)
                             : run_on_machine(*app, *options, global);
          }};
}

}  // namespace bubblescope
