#include "analysis/views/analyze_view.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "analysis/gpu_trace/trace_text.h"
#include "analysis/views/document.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr std::size_t kMostRows = 12;        // of families and of ranges, in tables
constexpr std::size_t kMostWithStreams = 8;  // ranks whose streams tables show

/// How each reason is shown; the words end "most of it …".
struct Reason {
  Time IdleReasons::*time;
  const char* key;
  const char* title;
  const char* words;
};
constexpr std::array<Reason, 5> kReasons = {
    {{&IdleReasons::before, "before_first_ns", "before its first", "before its first event"},
     {&IdleReasons::host_wait, "host_wait_ns", "launched too late",
      "because the host launched too late"},
     {&IdleReasons::kernel_wait, "kernel_wait_ns", "gaps below 30 µs",
      "in gaps of less than 30 µs between events"},
     {&IdleReasons::other, "other_ns", "waits though launched",
      "in longer gaps, which no late launch explains"},
     {&IdleReasons::after, "after_last_ns", "after its last", "after its last event"}}};

Json reasons_json(const IdleReasons& reasons) {
  Json json = Json::object();
  for (const Reason& reason : kReasons)
    json[reason.key] = (reasons.*reason.time);
  return json;
}

Json rank_json(const GpuRankFigures& rank) {
  return {
      {"rank", rank.rank},
      {"trace", rank.place},
      {"window_ns", rank.window},
      {"busy_ns", rank.busy},
      {"idle_ns", rank.idle},
      {"compute_ns", rank.compute},
      {"communication_ns", rank.communication},
      {"memory_ns", rank.memory},
      {"overlap_ns", rank.overlap},
      {"overlap_fraction",
       rank.communication == Time::zero() ? Json() : Json(ratio(rank.overlap, rank.communication))},
      {"exposed_communication_ns", rank.exposed_communication}};
}

Rows rank_rows(const GpuFigures& figures) {
  Rows rows;
  for (const GpuRankFigures& rank : figures.ranks) {
    rows.push_back(rank_json(rank));
    for (const Reason& reason : kReasons)
      rows.back()[std::string("idle_") + reason.key] = (rank.idle_reasons.*reason.time);
  }
  return rows;
}

/// A number where it is one.
Json device_json(const std::string& device) {
  if (const auto number = whole_number(device))
    return *number;
  return device.empty() ? Json() : Json(device);
}

Json full_json(const GpuRankFigures& rank) {
  Json json = rank_json(rank);
  json.update({{"device", device_json(rank.device)},
               {"idle_by_reason", reasons_json(rank.idle_reasons)},
               {"streams", Json::array()},
               {"families", Json::array()},
               {"annotations", Json::array()}});
  for (const StreamFigures& stream : rank.streams)
    json["streams"].push_back({{"stream", stream.stream},
                               {"events", stream.events},
                               {"busy_ns", stream.busy},
                               {"idle_by_reason", reasons_json(stream.idle)}});
  for (const FamilyFigures& family : rank.families)
    json["families"].push_back({{"family", family.family},
                                {"kind", to_string(family.kernel_class)},
                                {"count", family.count},
                                {"time_ns", family.time}});
  for (const RangeFigures& range : rank.ranges) {
    json["annotations"].push_back({{"name", *range.name},
                                   {"on", range.is_gpu ? "gpu" : "host"},
                                   {"count", range.count},
                                   {"events", range.events}});
    for (std::size_t i = 0; i < kKernelClasses; ++i)
      json["annotations"].back()[fmt::format("{}_ns", to_string(static_cast<KernelClass>(i)))] =
          range.time[i].count();
  }
  return json;
}

std::string title(const GpuFigures& figures) {
  const auto& ranks = figures.ranks;
  if (ranks.size() == 1)
    return fmt::format("rank {}, {}, from its first start to its last end", ranks.front().rank,
                       printable(ranks.front().place));
  return fmt::format("{} ranks, each from its first start to its last end{}", ranks.size(),
                     figures.window == WindowKind::Common ? " of all" : "");
}

/// "rank 3 idles most, …"; empty for one rank, or where none idles.
std::string verdict(const GpuFigures& figures) {
  const auto& ranks = figures.ranks;
  const auto most = std::max_element(ranks.begin(), ranks.end(),
                                     [](const GpuRankFigures& a, const GpuRankFigures& b) {
                                       return ratio(a.idle, a.window) < ratio(b.idle, b.window);
                                     });
  if (ranks.size() < 2 || most->idle <= Time::zero())
    return "";
  const auto reason =
      std::max_element(kReasons.begin(), kReasons.end(), [&](const Reason& a, const Reason& b) {
        return most->idle_reasons.*a.time < most->idle_reasons.*b.time;
      });
  const auto as_much = std::count_if(ranks.begin(), ranks.end(), [&](const GpuRankFigures& rank) {
    return rank.idle == most->idle && rank.window == most->window;
  });
  return fmt::format("rank {} idles most{}, {} of its window: {} of that {}", most->rank,
                     as_much > 2    ? fmt::format(", as do {} others", as_much - 1)
                     : as_much == 2 ? ", as does another"
                                    : "",
                     format_percent(ratio(most->idle, most->window)),
                     format_percent(ratio(most->idle_reasons.*reason->time, most->idle)),
                     reason->words);
}

Table rank_table(const GpuFigures& figures) {
  Table table{"rank",
              {{"rank"},
               {"window_ns"},
               {"busy_ns"},
               {"idle_ns"},
               {"idle_share", "", percent},
               {"compute_ns"},
               {"memory_ns"},
               {"communication_ns"},
               {"overlap_fraction", "of it overlapped", percent},
               {"exposed_communication_ns", "of it exposed"}},
              rank_rows(figures)};
  for (std::size_t i = 0; i < table.rows.size(); ++i) {
    table.rows[i]["idle_share"] = ratio(figures.ranks[i].idle, figures.ranks[i].window);
    if (table.rows[i]["overlap_fraction"].is_null())
      table.rows[i]["overlap_fraction"] = "none";
  }
  return table;
}

Table idle_table(const GpuFigures& figures) {
  Table table{"row", {{"rank", "", as_it_is}, {"stream"}, {"events"}, {"busy_ns"}}};
  for (const Reason& reason : kReasons)
    table.columns.push_back({reason.key, reason.title});
  const auto add = [&](const std::string& rank, const std::string& stream, std::size_t events,
                       Time busy, const IdleReasons& reasons) {
    Json row = {{"rank", rank}, {"stream", stream}, {"events", events}, {"busy_ns", busy}};
    row.update(reasons_json(reasons));
    table.rows.push_back(std::move(row));
    table.emphasis.push_back(rank.empty() ? Emphasis::Faint : Emphasis::None);
  };
  for (const GpuRankFigures& rank : figures.ranks) {
    std::size_t events = 0;
    for (const StreamFigures& stream : rank.streams)
      events += stream.events;
    add(std::to_string(rank.rank), "all", events, rank.busy, rank.idle_reasons);
    if (figures.ranks.size() <= kMostWithStreams)
      for (const StreamFigures& stream : rank.streams)
        add("", printable_name(stream.stream), stream.events, stream.busy, stream.idle);
  }
  return table;
}

/// Adds the numbers of `more` to those of its name.
void add_to(std::map<std::string, Json>& sums, const std::string& name, const Json& more) {
  const auto [sum, is_new] = sums.emplace(name, more);
  for (const auto& [key, value] : more.items())
    if (!is_new && value.is_number())
      sum->second[key] = sum->second[key].get<std::int64_t>() + value.get<std::int64_t>();
}

/// The longest first, and few, with their shares of all.
Rows longest_first(const std::map<std::string, Json>& sums) {
  Rows rows;
  std::int64_t all = 0;
  for (const auto& [name, sum] : sums) {
    rows.push_back(sum);
    all += sum["time_ns"].get<std::int64_t>();
  }
  std::stable_sort(rows.begin(), rows.end(),
                   [](const Json& a, const Json& b) { return a["time_ns"] > b["time_ns"]; });
  rows.resize(std::min(rows.size(), kMostRows));
  for (Json& row : rows)
    row["share"] = ratio(Time(row["time_ns"].get<std::int64_t>()), Time(all));
  return rows;
}

Table family_table(const GpuFigures& figures) {
  std::map<std::string, Json> sums;
  for (const GpuRankFigures& rank : figures.ranks)
    for (const FamilyFigures& family : rank.families)
      add_to(sums, fmt::format("{}{}", static_cast<int>(family.kernel_class), family.family),
             {{"kind", to_string(family.kernel_class)},
              {"family", printable_name(family.family)},
              {"count", family.count},
              {"time_ns", family.time}});
  return {"",
          {{"kind"}, {"family"}, {"count", "events"}, {"time_ns"}, {"share", "", percent}},
          longest_first(sums)};
}

/// Actions of a pipeline differ in numbers alone: "PP:0F3" gives "PP:#F#".
std::string shown(const std::string& name) {
  if (!name.starts_with("PP:"))
    return name;
  std::string text;
  for (const char c : name)
    if (c < '0' || c > '9')
      text += c;
    else if (!text.ends_with('#'))
      text += '#';
  return text;
}

/// Times are sums of kernels, which may run beside one another.
Table range_table(const GpuFigures& figures) {
  std::map<std::string, Json> sums;
  for (const GpuRankFigures& rank : figures.ranks)
    for (const RangeFigures& range : rank.ranges)
      add_to(sums, shown(*range.name),
             {{"range", printable_name(shown(*range.name))},
              {"count", range.count},
              {"events", range.events},
              {"compute_ns", range.time[0]},
              {"communication_ns", range.time[1]},
              {"memory_ns", range.time[2]},
              {"time_ns", (range.time[0] + range.time[1] + range.time[2])}});
  return {"",
          {{"range"},
           {"count", "ranges"},
           {"events"},
           {"time_ns", "kernels, summed"},
           {"compute_ns", "compute"},
           {"communication_ns", "communication"},
           {"memory_ns", "memory"}},
          longest_first(sums)};
}

}  // namespace

std::string analyze_view(const GpuFigures& figures, const Style& style) {
  const std::string words = verdict(figures);
  return render(
      style,
      [&] {
        Document page;
        page.title(title(figures));
        page.table(rank_table(figures));
        page.table(idle_table(figures));
        page.table(family_table(figures));
        page.table(range_table(figures));
        if (!words.empty())
          page.verdict(words);
        return page;
      },
      [&] {
        const bool is_common = figures.window == WindowKind::Common;
        Json json = {{"window", is_common ? "step" : "rank"},
                     {"ranks", Json::array()},
                     {"verdict", words.empty() ? Json() : Json(words)}};
        for (const GpuRankFigures& rank : figures.ranks)
          json["ranks"].push_back(full_json(rank));
        return json;
      },
      [&] { return rank_rows(figures); });
}

}  // namespace bubblescope
