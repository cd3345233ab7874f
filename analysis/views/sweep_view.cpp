#include "analysis/views/sweep_view.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "analysis/views/document.h"

namespace bubblescope {
namespace {

const char* time_words(const Sweep& sweep) {
  return sweep.is_iteration ? "iteration" : "step time";
}

std::string value_words(const SweepAxis& axis, std::int64_t value) {
  return format_value(value, axis.kind);
}

std::string axis_words(const SweepAxis& axis) {
  return fmt::format("{} from {} to {}, {} points{}", axis.name,
                     value_words(axis, axis.values.front()), value_words(axis, axis.values.back()),
                     axis.values.size(), axis.is_logarithmic ? " (log)" : "");
}

std::string title(const Sweep& sweep) {
  std::string text = sweep.setting + "; " + axis_words(sweep.axes[0]);
  if (sweep.axes.size() == 2)
    text += "; " + axis_words(sweep.axes[1]);
  return text;
}

double times_as_long(const SweepRun& run, const SweepRun& best) {
  const Time shortest = best.time.value_or(Time::zero());
  return shortest > Time::zero() ? ratio(run.time.value_or(shortest), shortest) : 1;
}

/// Stands for a schedule in a map.
char letter(std::size_t number) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  return kLetters[number % kLetters.size()];
}

Json name_of(const Sweep& sweep, const std::optional<std::size_t>& schedule) {
  return or_null(schedule, [&](std::size_t each) { return sweep.schedules[each]; });
}

/// A row each value of the only axis.
Table points_table(const Sweep& sweep) {
  const SweepAxis& axis = sweep.axes[0];
  Table table{"point",
              {{"value", axis.name, as_it_is},
               {"wins"},
               {"time_ns", time_words(sweep)},
               {"next", "next best"},
               {"times_as_long", "× as long", decimals},
               {"peak_activation_share", "in-flight micro-batches"},
               {"weight_copies"}}};
  for (std::size_t x = 0; x < sweep.columns(); ++x) {
    const SweepRuns& runs = sweep.point(x, 0);
    const auto best = winner(runs);
    const auto next = best ? runner_up(runs, *best) : std::nullopt;
    const SweepRun none;
    const SweepRun& run = best ? runs[*best] : none;
    table.rows.push_back(
        {{"value", value_words(axis, axis.values[x])},
         {"wins", best ? name_of(sweep, best) : Json("none fits")},
         {"time_ns", run.time},
         {"next", name_of(sweep, next)},
         {"times_as_long", next ? Json(times_as_long(runs[*next], run)) : Json()},
         {"peak_activation_share", best ? Json(run.peak_activation_share) : Json()},
         {"weight_copies", best ? Json(run.weight_copies) : Json()}});
  }
  return table;
}

/// How many points each schedule wins, and by how much at most; only those that win any.
struct Share {
  std::size_t schedule;
  std::size_t points = 0;
  double margin = 1;          ///< Largest × as long that the next best takes.
  std::int64_t x = 0, y = 0;  ///< Where that is.
};

double share_of_points(const Sweep& sweep, const Share& share) {
  return static_cast<double>(share.points) / static_cast<double>(sweep.points.size());
}

std::vector<Share> shares(const Sweep& sweep) {
  std::vector<Share> found;
  for (std::size_t y = 0; y < sweep.rows(); ++y)
    for (std::size_t x = 0; x < sweep.columns(); ++x) {
      const SweepRuns& runs = sweep.point(x, y);
      const auto best = winner(runs);
      if (!best)
        continue;
      auto share = std::find_if(found.begin(), found.end(),
                                [&](const Share& each) { return each.schedule == *best; });
      if (share == found.end())
        share = found.insert(found.end(), Share{*best});
      ++share->points;
      const auto next = runner_up(runs, *best);
      const double margin = next ? times_as_long(runs[*next], runs[*best]) : 1;
      if (share->points == 1 || margin > share->margin)
        *share = {*best, share->points, margin, sweep.axes[0].values[x],
                  sweep.axes.size() == 2 ? sweep.axes[1].values[y] : 0};
    }
  std::stable_sort(found.begin(), found.end(),
                   [](const Share& a, const Share& b) { return a.points > b.points; });
  return found;
}

Table shares_table(const Sweep& sweep, const std::vector<Share>& found) {
  const auto& axes = sweep.axes;
  Table table{"",
              {{"letter", " "},
               {"wins"},
               {"points"},
               {"share", "of all", percent},
               {"margin", "next best, × as long at most", decimals},
               {"x", axes[0].name, as_it_is},
               {"y", axes[1].name, as_it_is}}};
  for (std::size_t i = 0; i < found.size(); ++i)
    table.rows.push_back({{"letter", std::string(1, letter(i))},
                          {"wins", sweep.schedules[found[i].schedule]},
                          {"points", found[i].points},
                          {"share", share_of_points(sweep, found[i])},
                          {"margin", found[i].margin},
                          {"x", value_words(axes[0], found[i].x)},
                          {"y", value_words(axes[1], found[i].y)}});
  return table;
}

/// A letter a point, the second axis upwards.
std::string map_text(const Sweep& sweep, const std::vector<Share>& found) {
  const SweepAxis& down = sweep.axes[1];
  std::size_t wide = down.name.size();
  for (const std::int64_t value : down.values)
    wide = std::max(wide, value_words(down, value).size());
  std::string text = fmt::format("{:>{}}\n", down.name, wide);
  for (std::size_t row = sweep.rows(); row-- > 0;) {
    text += fmt::format("{:>{}}  ", value_words(down, down.values[row]), wide);
    for (std::size_t x = 0; x < sweep.columns(); ++x) {
      const auto best = winner(sweep.point(x, row));
      const auto share = std::find_if(found.begin(), found.end(), [&](const Share& each) {
        return best && each.schedule == *best;
      });
      text += share == found.end() ? '.' : letter(static_cast<std::size_t>(share - found.begin()));
    }
    text += "\n";
  }
  const std::string from = value_words(sweep.axes[0], sweep.axes[0].values.front());
  const std::string to = value_words(sweep.axes[0], sweep.axes[0].values.back());
  return text + fmt::format("{:>{}}  {} … {} {}\n", "", wide, from, to, sweep.axes[0].name);
}

/// The values of a point by the keys of their axes.
Json place_json(const Sweep& sweep, std::size_t x, std::size_t y) {
  Json json = {{axis_key(sweep.axes[0]), sweep.axes[0].values[x]}};
  if (sweep.axes.size() == 2)
    json[axis_key(sweep.axes[1])] = sweep.axes[1].values[y];
  return json;
}

/// An object a schedule.
Rows run_rows(const Sweep& sweep, const SweepRuns& runs) {
  const auto best = winner(runs);
  Rows rows;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const SweepRun& run = runs[i];
    rows.push_back(
        {{"schedule", sweep.schedules[i]},
         {"time_ns", run.time},
         {"times_as_long", run.time && best ? Json(times_as_long(run, runs[*best])) : Json()},
         {"fits", run.time ? Json(run.fits) : Json()},
         {"wins", best == i}});
  }
  return rows;
}

Json json_of(const Sweep& sweep) {
  Json json = {{"setting", sweep.setting},
               {"time", sweep.is_iteration ? "iteration" : "step"},
               {"axes", Json::array()},
               {"schedules", sweep.schedules},
               {"regions_are_complete", sweep.is_exact},
               {"regions", Json::array()},
               {"points", Json::array()},
               {"skipped", Json::array()},
               {"verdict", verdict(sweep)}};
  for (const SweepAxis& axis : sweep.axes)
    json["axes"].push_back({{"name", axis.name},
                            {"key", axis_key(axis)},
                            {"log", axis.is_logarithmic},
                            {"values", axis.values}});
  for (std::size_t y = 0; y < sweep.rows(); ++y) {
    for (const SweepRegion& region : sweep.regions[y]) {
      json["regions"].push_back(
          {{"best", name_of(sweep, region.best)}, {"from", region.from}, {"to", region.to}});
      if (sweep.axes.size() == 2)
        json["regions"].back()[axis_key(sweep.axes[1])] = sweep.axes[1].values[y];
    }
    for (std::size_t x = 0; x < sweep.columns(); ++x) {
      Json point = place_json(sweep, x, y);
      point["best"] = name_of(sweep, winner(sweep.point(x, y)));
      point["results"] = run_rows(sweep, sweep.point(x, y));
      json["points"].push_back(std::move(point));
    }
  }
  for (const Skipped& skipped : sweep.skipped)
    json["skipped"].push_back({{"schedule", skipped.schedule}, {"reason", skipped.reason}});
  return json;
}

Rows rows_of(const Sweep& sweep) {
  Rows rows;
  for (std::size_t y = 0; y < sweep.rows(); ++y)
    for (std::size_t x = 0; x < sweep.columns(); ++x)
      for (const Json& run : run_rows(sweep, sweep.point(x, y)))
        rows.emplace_back(place_json(sweep, x, y)).update(run);
  return rows;
}

/// "zb-h2 wins below p2p 141.2 µs, zb-h1 above"
std::string verdict_along(const Sweep& sweep) {
  const SweepAxis& axis = sweep.axes[0];
  const auto& regions = sweep.regions[0];
  const auto value = [&](std::int64_t at) { return value_words(axis, at); };
  const bool counted = axis.kind == AxisKind::Count;
  std::string text;
  for (std::size_t i = 0; i < regions.size(); ++i) {
    const SweepRegion& region = regions[i];
    const std::string name =
        region.best ? sweep.schedules[*region.best] + (i == 0 ? " wins" : "") : "none fits";
    if (regions.size() == 1)
      return fmt::format("{} for all {} from {} to {}", name, axis.name, value(axis.values.front()),
                         value(axis.values.back()));
    const std::string at = i == 0 ? axis.name + " " : "";
    if (i > 0)
      text += ", ";
    if (counted)
      text += region.from == region.to
                  ? fmt::format("{} at {}{}", name, at, value(region.from))
                  : fmt::format("{} at {}{} to {}", name, at, value(region.from), value(region.to));
    else if (i == 0)
      text += fmt::format("{} below {}{}", name, at, value(regions[1].from));
    else if (i + 1 < regions.size())
      text += fmt::format("{} from there to {}", name, value(regions[i + 1].from));
    else
      text += name + " above";
  }
  return text;
}

}  // namespace

std::string verdict(const Sweep& sweep) {
  if (sweep.axes.size() == 1)
    return verdict_along(sweep);
  const auto found = shares(sweep);
  if (found.empty())
    return "none: no schedule stays within the memory limit";
  std::string text;
  for (const Share& share : found)
    text += fmt::format("{}{}{} {}", text.empty() ? "" : ", ", sweep.schedules[share.schedule],
                        text.empty() ? " wins at" : " at",
                        share.points == sweep.points.size()
                            ? "all points"
                            : format_percent(share_of_points(sweep, share)) +
                                  (text.empty() ? " of the points" : ""));
  return text;
}

std::string sweep_view(const Sweep& sweep, const Style& style) {
  return render(
      style,
      [&] {
        Document page;
        page.title(title(sweep), Emphasis::None);
        if (sweep.axes.size() == 1) {
          page.table(points_table(sweep));
        } else {
          const auto found = shares(sweep);
          page.drawing(map_text(sweep, found));
          page.table(shares_table(sweep, found));
        }
        page.skipped(sweep.skipped);
        page.verdict(verdict(sweep));
        return page;
      },
      [&] { return json_of(sweep); }, [&] { return rows_of(sweep); });
}

}  // namespace bubblescope
