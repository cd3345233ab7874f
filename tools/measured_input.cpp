#include "tools/measured_input.h"

#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include "analysis/calibration/annotated_trace.h"
#include "analysis/calibration/primus_dump.h"
#include "analysis/calibration/recorded_timeline.h"
#include "analysis/traces/unpacked_file.h"
#include "sim/base/error.h"
#include "sim/base/files.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tools/errors.h"

namespace bubblescope {
namespace {

enum class InputKind : std::uint8_t { Primus, Timeline, Trace };
constexpr const char* kKindNames[] = {"a dump of Primus", "a timeline of replay", "a trace"};

InputKind kind_of(const std::string& path) {
  if (is_primus_file(path))
    return InputKind::Primus;
  constexpr std::size_t kHead = 4096;
  const std::string head = first_bytes(path, kHead);
  for (const char* mark : {"bubblescope-timeline/", "\"start_ns\""})
    if (head.find(mark) != head.npos)
      return InputKind::Timeline;
  return InputKind::Trace;
}

/// The files of a folder that can be read, by name; those of Primus alone where there are some.
std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> primus;
  std::vector<std::string> others;
  for (const std::string& path : paths_in(folder)) {
    if (is_primus_file(path))
      primus.push_back(path);
    else if (path.ends_with(".json") || path.ends_with(".json.gz"))
      others.push_back(path);
  }
  std::vector<std::string>& files = primus.empty() ? others : primus;
  if (files.empty())
    throw Error(fmt::format("{}: has neither pp_rank_N.json nor other .json or .json.gz", folder));
  return std::move(files);
}

std::vector<std::string> files_of(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths)
    if (is_folder(path))
      for (std::string& file : files_in(path))
        files.push_back(std::move(file));
    else
      files.push_back(path);
  refuse_twice(files);
  return files;
}

/// Of a shape that was measured. Throws UsageError for a name that is none, or has no fixed order.
PostedProgram named_program(const MeasuredInputOptions& options, Shape shape, Comm comm) {
  const CatalogueEntry& entry = require_schedule(options.schedule);
  if (entry.automatic != nullptr)
    throw UsageError(fmt::format("--schedule {}: its order depends on the costs, which are sought",
                                 options.schedule),
                     {"--schedule"});
  shape.group_size = options.group_size;
  return post_messages(entry, shape, comm);
}

MeasuredRun read_primus_run(const std::vector<std::string>& files, MeasuredInputOptions options) {
  const PrimusDump dump = read_primus(files);
  if (options.schedule.empty() && dump.has_weight_grads())
    throw UsageError(
        "the dump has wgrad times, so that its schedule is neither 1f1b nor interleaved-1f1b: name "
        "it with --schedule");
  if (options.schedule.empty())
    options.schedule = dump.chunks > 1 ? "interleaved-1f1b" : "1f1b";
  PostedProgram program = named_program(
      options, {.ranks = dump.ranks, .microbatches = dump.microbatches, .chunks = dump.chunks},
      options.comm.comm_or_ideal());
  const RunProfile profile = profile_of(dump, program.schedule);
  return lay_over(profile, std::move(program));
}

/// The order that was recorded, or the one asked for by name.
PostedProgram program_of(const RunProfile& profile, const MeasuredInputOptions& options) {
  const Comm comm = options.comm.comm.value_or(profile.comm);
  Schedule recorded = recorded_schedule(profile);
  const Shape shape = {.ranks = recorded.placement.ranks,
                       .microbatches = recorded.microbatches,
                       .chunks = recorded.placement.chunks()};
  if (!options.schedule.empty())
    return named_program(options, shape, comm);
  const CatalogueEntry* entry = find_schedule(recorded.name);
  if (comm == Comm::Batched && entry != nullptr && entry->batches != nullptr)
    return post_messages(*entry, shape, comm);
  return post_messages(std::move(recorded), comm);
}

}  // namespace

MeasuredRun read_measured_run(const MeasuredInputOptions& options, const GlobalOptions& global) {
  const std::vector<std::string> files = files_of(options.paths);
  const InputKind kind = kind_of(files.front());
  for (const std::string& file : files)
    if (const InputKind other = kind_of(file); other != kind)
      throw Error(fmt::format("{}: is {}, and {} {}: give those of one run", file,
                              kKindNames[static_cast<std::size_t>(other)], files.front(),
                              kKindNames[static_cast<std::size_t>(kind)]));
  if (options.group_size && options.schedule.empty() && kind != InputKind::Primus)
    throw UsageError("--group-size goes with --schedule: else the order is as recorded",
                     {"--group-size"});
  MeasuredRun run;
  if (kind == InputKind::Primus) {
    run = read_primus_run(files, options);
  } else {
    const RunProfile profile =
        kind == InputKind::Timeline ? read_recorded_timelines(files) : read_annotated_traces(files);
    for (const std::string& note : profile.notes)
      global.note(note);
    PostedProgram program = program_of(profile, options);
    run = lay_over(profile, std::move(program));
  }
  options.comm.set_channels(run.program);
  return run;
}

}  // namespace bubblescope
