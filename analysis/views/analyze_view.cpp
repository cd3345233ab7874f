#include "analysis/views/analyze_view.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/gpu_trace/trace_text.h"
#include "analysis/views/page.h"
#include "sim/base/json_text.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

using nlohmann::ordered_json;
using Align = Column::Align;

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
    {{&IdleReasons::before, "before_first_ns", "before\nits first", "before its first event"},
     {&IdleReasons::host_wait, "host_wait_ns", "launched\ntoo late",
      "because the host launched too late"},
     {&IdleReasons::kernel_wait, "kernel_wait_ns", "gaps below\n30 µs",
      "in gaps of less than 30 µs between events"},
     {&IdleReasons::other, "other_ns", "launched,\nbut waits",
      "in longer gaps, which no late launch explains"},
     {&IdleReasons::after, "after_last_ns", "after\nits last", "after its last event"}}};

double share(Time part, Time whole) {
  return whole == Time::zero()
             ? 0
             : static_cast<double>(part.count()) / static_cast<double>(whole.count());
}

ordered_json reasons_json(const IdleReasons& reasons) {
  ordered_json json = ordered_json::object();
  for (const Reason& reason : kReasons)
    json[reason.key] = (reasons.*reason.time).count();
  return json;
}

ordered_json rank_json(const GpuRankFigures& rank) {
  return {{"rank", rank.rank},
          {"trace", rank.place},
          {"window_ns", rank.window.count()},
          {"busy_ns", rank.busy.count()},
          {"idle_ns", rank.idle.count()},
          {"compute_ns", rank.compute.count()},
          {"communication_ns", rank.communication.count()},
          {"memory_ns", rank.memory.count()},
          {"overlap_ns", rank.overlap.count()},
          {"overlap_fraction", rank.communication == Time::zero()
                                   ? ordered_json(nullptr)
                                   : ordered_json(share(rank.overlap, rank.communication))},
          {"exposed_communication_ns", rank.exposed_communication.count()}};
}

ordered_json csv_row(const GpuRankFigures& rank) {
  ordered_json row = rank_json(rank);
  for (const Reason& reason : kReasons)
    row[std::string("idle_") + reason.key] = (rank.idle_reasons.*reason.time).count();
  return row;
}

ordered_json range_json(const RangeFigures& range) {
  ordered_json json = {{"name", *range.name},
                       {"on", range.is_gpu ? "gpu" : "host"},
                       {"count", range.count},
                       {"events", range.events}};
  for (std::size_t i = 0; i < kKernelClasses; ++i)
    json[fmt::format("{}_ns", to_string(static_cast<KernelClass>(i)))] = range.time[i].count();
  return json;
}

/// A number where it is one.
ordered_json device_json(const std::string& device) {
  if (const auto number = whole_number(device))
    return *number;
  return device.empty() ? ordered_json(nullptr) : ordered_json(device);
}

ordered_json full_json(const GpuRankFigures& rank) {
  ordered_json json = rank_json(rank);
  json["device"] = device_json(rank.device);
  json["idle_by_reason"] = reasons_json(rank.idle_reasons);
  json["streams"] = ordered_json::array();
  for (const StreamFigures& stream : rank.streams)
    json["streams"].push_back({{"stream", stream.stream},
                               {"events", stream.events},
                               {"busy_ns", stream.busy.count()},
                               {"idle_by_reason", reasons_json(stream.idle)}});
  json["families"] = ordered_json::array();
  for (const FamilyFigures& family : rank.families)
    json["families"].push_back({{"family", family.family},
                                {"kind", to_string(family.kernel_class)},
                                {"count", family.count},
                                {"time_ns", family.time.count()}});
  json["annotations"] = ordered_json::array();
  for (const RangeFigures& range : rank.ranges)
    json["annotations"].push_back(range_json(range));
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
                                       return share(a.idle, a.window) < share(b.idle, b.window);
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
                     format_percent(share(most->idle, most->window)),
                     format_percent(share(most->idle_reasons.*reason->time, most->idle)),
                     reason->words);
}

TimeUnit unit_of(const GpuFigures& figures) {
  Time longest{};
  for (const GpuRankFigures& rank : figures.ranks)
    longest = std::max(longest, rank.window);
  return TimeUnit::fit(longest);
}

Table rank_table(const GpuFigures& figures) {
  const TimeUnit unit = unit_of(figures);
  Table table{{{"rank"},
               {"window"},
               {"busy"},
               {"idle"},
               {"idle\nshare"},
               {"compute"},
               {"memory"},
               {"communi-\ncation"},
               {"of it\noverlapped"},
               {"of it\nexposed"}}};
  for (const GpuRankFigures& rank : figures.ranks)
    table.rows.push_back(
        {{std::to_string(rank.rank), unit.format(rank.window), unit.format(rank.busy),
          unit.format(rank.idle), format_percent(share(rank.idle, rank.window)),
          unit.format(rank.compute), unit.format(rank.memory), unit.format(rank.communication),
          rank.communication == Time::zero()
              ? "none"
              : format_percent(share(rank.overlap, rank.communication)),
          unit.format(rank.exposed_communication)}});
  return table;
}

void add_reasons(Table::Row& row, const IdleReasons& reasons, const TimeUnit& unit) {
  for (const Reason& reason : kReasons)
    row.cells.push_back(unit.format(reasons.*reason.time));
}

Table idle_table(const GpuFigures& figures) {
  const TimeUnit unit = unit_of(figures);
  Table table{{{"rank"}, {"stream", Align::Left}, {"events"}, {"busy"}}};
  for (const Reason& reason : kReasons)
    table.columns.push_back({reason.title});
  for (const GpuRankFigures& rank : figures.ranks) {
    std::size_t events = 0;
    for (const StreamFigures& stream : rank.streams)
      events += stream.events;
    table.rows.push_back(
        {{std::to_string(rank.rank), "all", std::to_string(events), unit.format(rank.busy)}});
    add_reasons(table.rows.back(), rank.idle_reasons, unit);
    if (figures.ranks.size() > kMostWithStreams)
      continue;
    for (const StreamFigures& stream : rank.streams) {
      table.rows.push_back({{"", printable_name(stream.stream), std::to_string(stream.events),
                             unit.format(stream.busy)},
                            Emphasis::Faint});
      add_reasons(table.rows.back(), stream.idle, unit);
    }
  }
  return table;
}

/// Over all ranks, the longest first.
Table family_table(const GpuFigures& figures) {
  std::map<std::pair<KernelClass, std::string>, FamilyFigures> sums;
  Time all{};
  for (const GpuRankFigures& rank : figures.ranks)
    for (const FamilyFigures& family : rank.families) {
      FamilyFigures& sum = sums[{family.kernel_class, family.family}];
      sum.count += family.count;
      sum.time += family.time;
      all += family.time;
    }
  std::vector<std::pair<Time, decltype(sums)::const_iterator>> order;
  for (auto each = sums.cbegin(); each != sums.cend(); ++each)
    order.emplace_back(each->second.time, each);
  std::stable_sort(order.begin(), order.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  order.resize(std::min(order.size(), kMostRows));
  const TimeUnit unit = TimeUnit::fit(all);
  Table table{{{"kind", Align::Left}, {"family", Align::Left}, {"events"}, {"time"}, {"share"}}};
  for (const auto& [time, family] : order)
    table.rows.push_back({{to_string(family->first.first), printable_name(family->first.second),
                           std::to_string(family->second.count), unit.format(time),
                           format_percent(share(time, all))}});
  return table;
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

/// Over all ranks, the longest first; empty where there are none.
Table range_table(const GpuFigures& figures) {
  std::map<std::string, RangeFigures> sums;
  Time longest{};
  for (const GpuRankFigures& rank : figures.ranks)
    for (const RangeFigures& range : rank.ranges) {
      RangeFigures& sum = sums[shown(*range.name)];
      sum.count += range.count;
      sum.events += range.events;
      for (std::size_t i = 0; i < kKernelClasses; ++i)
        longest = std::max(longest, sum.time[i] += range.time[i]);
    }
  std::vector<std::pair<Time, std::string>> order;
  order.reserve(sums.size());
  for (const auto& [name, range] : sums)
    order.emplace_back(-(range.time[0] + range.time[1] + range.time[2]), name);
  std::sort(order.begin(), order.end());
  order.resize(std::min(order.size(), kMostRows));
  const TimeUnit unit = TimeUnit::fit(longest);
  Table table{
      {{"range", Align::Left}, {"ranges"}, {"events"}, {"compute"}, {"communication"}, {"memory"}}};
  for (const auto& [time, name] : order) {
    const RangeFigures& range = sums[name];
    table.rows.push_back(
        {{printable_name(name), std::to_string(range.count), std::to_string(range.events),
          unit.format(range.time[0]), unit.format(range.time[1]), unit.format(range.time[2])}});
  }
  return table;
}

std::string tables(const GpuFigures& figures, Format format, Color color) {
  Page page(format, color);
  page.title(title(figures));
  for (const Table& table :
       {rank_table(figures), idle_table(figures), family_table(figures), range_table(figures)})
    if (!table.rows.empty())
      page.table(table);
  if (const std::string words = verdict(figures); !words.empty()) {
    page.blank_line();
    page.line(words);
  }
  return page.text();
}

}  // namespace

std::string analyze_view(const GpuFigures& figures, Format format, Color color) {
  if (format == Format::Csv) {
    std::vector<ordered_json> rows;
    for (const GpuRankFigures& rank : figures.ranks)
      rows.push_back(csv_row(rank));
    return to_csv(rows);
  }
  if (format != Format::Json)
    return tables(figures, format, color);
  ordered_json json = {{"window", figures.window == WindowKind::Common ? "step" : "rank"},
                       {"ranks", ordered_json::array()}};
  for (const GpuRankFigures& rank : figures.ranks)
    json["ranks"].push_back(full_json(rank));
  const std::string words = verdict(figures);
  json["verdict"] = words.empty() ? ordered_json(nullptr) : ordered_json(words);
  return dump_json(json, 2) + "\n";
}

}  // namespace bubblescope
