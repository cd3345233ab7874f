// bubblescope check: whether a program from a file can run to its end.
#include <memory>
#include <utility>

#include "analysis/views/check_view.h"
#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"
#include "tools/commands/command.h"
#include "tools/errors.h"
#include "tools/inputs.h"
#include "tools/output.h"
#include "tools/program_input.h"

namespace bubblescope {
namespace {

struct CheckOptions {
  std::string path;
  Dialect dialect = Dialect::Auto;
  CommOptions comm;
  OutputOptions output;
};

/// Whether the ranks get to their ends, with these and with other channels.
void check_progress(PostedProgram program, CheckReport& report) {
  const auto verdict = [](const Program& lowered) {
    return can_run(lowered) ? Verdict::Runs : Verdict::Deadlock;
  };
  const Program lowered = lower(program);
  report.verdict = verdict(lowered);
  if (report.verdict == Verdict::Deadlock)
    report.reason = describe_deadlock(lowered);
  if (!has_channels(program.comm))
    return;
  for (const Channels channels : {Channels::PerRank, Channels::PerPair, Channels::PerDirection}) {
    program.channels = channels;
    report.by_channels.push_back(
        {channels, channels == report.channels ? report.verdict : verdict(lower(program))});
  }
}

CheckReport check(const CheckOptions& options, const GlobalOptions& global) {
  ProgramFile file = read_program_file(options.path, options.dialect);
  for (const std::string& note : file.notes)
    global.note(note);
  const auto fault = find_fault(file.program);
  // An order that waits in a circle has no messages to spell out.
  if (!fault && (file.program.has_transfers() || can_run(lower(file.program))))
    file.program = with_comm(std::move(file.program), options.comm);
  const Schedule& schedule = file.program.schedule;
  CheckReport report = {.file = options.path,
                        .ranks = schedule.placement.ranks,
                        .microbatches = schedule.microbatches,
                        .chunks = schedule.placement.chunks(),
                        .comm = file.program.comm,
                        .actions = schedule.actions.size(),
                        .messages = file.program.transfers.size() / 2,
                        .channels = file.program.channels};
  if (!fault) {
    check_progress(std::move(file.program), report);
    return report;
  }
  report.verdict = fault->kind == ProgramFault::Kind::Crossed ? Verdict::Crossed : Verdict::Unsound;
  report.reason = file.describe(*fault);
  return report;
}

int run(const CheckOptions& options, const GlobalOptions& global) {
  Style style = options.output.style(global);
  style.provenance = provenance("check");
  const CheckReport report = check(options, global);
  write_output(options.output.path, check_view(report, style));
  return report.verdict == Verdict::Runs ? kDone : kCheckFailed;
}

}  // namespace

Command add_check(CLI::App& root, const GlobalOptions& global) {
  auto* app =
      root.add_subcommand("check", "whether a program from a file is sound and cannot hang");
  auto options = std::make_shared<CheckOptions>();
  app->add_option("FILE", options->path, "PyTorch's CSV of a schedule, or a bubblescope program")
      ->required()
      ->type_name("");
  add_dialect(*app, options->dialect, nullptr);
  options->comm.add_to(*app);
  options->output.add_to(*app);
  app->footer(
      "Exit code 1 where it would not run.\n"
      "Examples:\n"
      "  bubblescope check my_schedule.csv --comm torch\n"
      "  bubblescope check my_schedule_with_messages.csv --channels direction");
  return {app, [options, &global] { return run(*options, global); }};
}

}  // namespace bubblescope
