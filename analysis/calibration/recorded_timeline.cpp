#include "analysis/calibration/recorded_timeline.h"

#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/traces/unpacked_file.h"
#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/base/printable.h"
#include "sim/formats/tokens.h"

namespace bubblescope {
namespace {

constexpr std::string_view kTimelineFormat = "bubblescope-timeline/1";

Action read_action(ObjectReader& object) {
  try {
    const Word word = parse_word(object.text("action"));
    if (!is_compute(word.token.kind))
      throw Error("is no action");
    return word.overlapped ? Action(op_of(word.token), op_of(*word.overlapped))
                           : Action(op_of(word.token));
  } catch (const Error& error) {
    object.fail("action", error.what());
  }
}

ProfiledAction read_row(ObjectReader& object) {
  const std::int64_t rank = object.integer("rank");
  constexpr std::int64_t kMostRanks = 1 << 20;
  if (rank >= kMostRanks)
    object.fail("rank", fmt::format("expected a rank below {}", kMostRanks));
  const ProfiledAction row{
      .rank = static_cast<Rank>(rank),
      .action = read_action(object),
      .span = {Time(object.integer("start_ns")), Time(object.integer("end_ns"))}};
  if (row.span.end < row.span.start)
    object.fail("end_ns", "comes before start_ns");
  object.finish();
  return row;
}

struct RecordedShape {
  std::string schedule;
  std::int64_t ranks, microbatches;
  std::string comm;
  friend bool operator==(const RecordedShape&, const RecordedShape&) = default;

  std::string words() const {
    return fmt::format("{}, {} ranks, {} micro-batches, {}", schedule, ranks, microbatches, comm);
  }
};

Comm comm_of(const ObjectReader& file, const std::string& word) {
  for (const CommName& each : comm_names())
    if (each.name == word)
      return each.comm;
  std::vector<std::string_view> names;
  for (const CommName& each : comm_names())
    names.push_back(each.name);
  file.fail("comm", fmt::format("expected {}, got '{}'", fmt::join(names, "|"), word));
}

}  // namespace

RunProfile read_recorded_timelines(const std::vector<std::string>& paths) {
  RunProfile profile{.source = fmt::format("timelines, {}", fmt::join(paths, ", ")),
                     .has_common_clock = true};
  std::optional<RecordedShape> first;
  for (const std::string& path : paths) {
    const nlohmann::json json = parse_json(read_unpacked(path, kMostProfileBytes), path);
    ObjectReader file(json, {path, ""});
    if (const std::string format = file.text("format"); format != kTimelineFormat)
      file.fail("format", fmt::format("expected \"{}\", got \"{}\"", kTimelineFormat, format));
    const RecordedShape shape{file.text("schedule"), file.integer("ranks"),
                              file.integer("microbatches"), file.text("comm")};
    if (first && shape != *first)
      throw Error(fmt::format("{}: is of {}, and {} of {}", path, shape.words(), paths.front(),
                              first->words()));
    first = shape;
    profile.comm = comm_of(file, shape.comm);
    ProfiledStep step{.name = printable(path)};
    auto rows = file.optional_objects("actions");
    if (!rows)
      file.fail("actions", "is missing");
    for (ObjectReader& row : *rows)
      step.actions.push_back(read_row(row));
    std::set<std::int64_t> ranks;
    for (const ProfiledAction& each : step.actions)
      ranks.insert(each.rank);
    for (std::int64_t rank = 0; rank < shape.ranks; ++rank)
      if (!ranks.contains(rank))
        file.fail("actions",
                  fmt::format("has none of rank {}, and /ranks says {}", rank, shape.ranks));
    profile.steps.push_back(std::move(step));
  }
  profile.schedule = first->schedule;
  return profile;
}

}  // namespace bubblescope
