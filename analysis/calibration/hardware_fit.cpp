#include "analysis/calibration/hardware_fit.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/calibration/timing_check.h"
#include "analysis/calibration/timing_points.h"
#include "sim/base/error.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;

/// With four digits; whole where it has no others.
Json plain(double number) {
  constexpr double kExact = 1e15;
  const double rounded =
      number == std::floor(number) ? number : std::stod(fmt::format("{:.3e}", number));
  if (rounded == std::floor(rounded) && rounded < kExact)
    return static_cast<std::int64_t>(rounded);
  return rounded;
}

Json plain(const std::vector<double>& numbers) {
  Json all = Json::array();
  for (const double each : numbers)
    all.push_back(plain(each));
  return all;
}

Json table_json(const TableFit& fit) {
  Json json = Json::object();
  if (fit.table.kind == TimingKind::Experts)
    json["combine_us"] = plain(fit.grid.combine());
  for (const GridAxis& axis : fit.grid.axes())
    json[axis.name] = plain(axis.nodes);
  json["us"] = plain(fit.grid.microseconds());
  return json;
}

/// A collective's table: numbers of GPUs, timed or of the base, over the same bytes.
Json collective_json(const std::map<int, GridFit>& grids) {
  std::vector<double> bytes;
  for (const auto& [gpus, grid] : grids)
    if (grid.axes().front().nodes.size() > bytes.size())
      bytes = grid.axes().front().nodes;
  Json json = {{"gpus", Json::array()}, {"bytes", plain(bytes)}, {"us", Json::array()}};
  for (const auto& [gpus, grid] : grids) {
    json["gpus"].push_back(gpus);
    for (const double each : bytes)
      json["us"].push_back(plain(grid.microseconds({{each}})));
  }
  return json;
}

/// The grids of the base for numbers of GPUs that were not timed.
std::map<int, GridFit> untimed_grids(TimedTable table, const Json& tables) {
  std::map<int, GridFit> grids;
  if (!tables.is_object() || !tables.contains(table.section) ||
      !tables[table.section].contains(table.key))
    return grids;
  for (const int gpus : tables[table.section][table.key]["gpus"].get<std::vector<int>>()) {
    table.gpus = gpus;
    grids.emplace(gpus, *table_grid(table, tables));
  }
  return grids;
}

/// The sections of tables in their usual order.
constexpr const char* kSections[] = {
    "products", "attention", "mla", "attention_backward", "mla_backward", "grouped", "collectives"};

Json sections_of(const std::vector<TableFit>& fits, const Json& base_tables) {
  Json sections = Json::object();
  std::map<std::string, std::map<int, GridFit>> collectives;
  for (const TableFit& fit : fits) {
    if (fit.table.gpus) {
      std::map<int, GridFit>& grids = collectives[fit.table.key];
      if (grids.empty())
        grids = untimed_grids(fit.table, base_tables);
      grids.insert_or_assign(*fit.table.gpus, fit.grid);
      sections["collectives"][fit.table.key] = collective_json(grids);
      continue;
    }
    Json& section = sections[fit.table.section];
    if (fit.table.key.empty())
      section = table_json(fit);
    else
      section[fit.table.key] = table_json(fit);
  }
  return sections;
}

bool has_parts(std::string_view section) {
  return !section.starts_with("attention") && !section.starts_with("mla");
}

/// Puts what the base has where the timings have nothing, and tells what that is.
Json completed(const Json& timed, const FitBase& base, std::vector<TableFigures>& figures) {
  const auto take = [&](const Json& mine, const Json& theirs, const std::string& prefix) {
    Json all = theirs.is_object() ? theirs : Json::object();
    for (const auto& [key, table] : all.items())
      if (!mine.contains(key) && !key.starts_with("_"))
        figures.push_back({.table = prefix + key, .from = base.hardware.name});
    all.update(mine);
    return all;
  };
  const Json none = Json::object();
  Json tables = Json::object();
  for (const char* section : kSections) {
    const bool is_timed = timed.contains(section);
    const bool is_based = base.tables.is_object() && base.tables.contains(section);
    if (has_parts(section))
      tables[section] = take(is_timed ? timed[section] : none,
                             is_based ? base.tables[section] : none, std::string(section) + ".");
    else if (is_timed)
      tables[section] = timed[section];
    else if (is_based) {
      tables[section] = base.tables[section];
      figures.push_back({.table = section, .from = base.hardware.name});
    }
  }
  if (tables["grouped"].empty())
    tables.erase("grouped");
  return tables;
}

/// "gemm.csv, moe.csv.gz", without folders: a hardware file may be given to others.
std::string names_of(const std::vector<TimingFile>& files) {
  std::vector<std::string> names;
  names.reserve(files.size());
  for (const TimingFile& file : files)
    names.push_back(std::filesystem::path(file.path).filename().string());
  return fmt::format("{}", fmt::join(names, ", "));
}

/// Factors from bursts of kernels to training: the base's, or where it has none, 1.
Json sustained(const FitBase& base, const FitRequest& request, std::vector<std::string>& notes) {
  constexpr double kBackwardFlops = 2.5;  // of attention, over its forward's
  const Hardware::Efficiency& efficiency = base.hardware.efficiency;
  Json factors = {{"bf16", 1},
                  {"weight_gradients", 1},
                  {"collectives", 1},
                  {"attention_backward", plain(kBackwardFlops * efficiency.attention_forward /
                                               efficiency.attention_backward)}};
  if (base.json.contains("sustained"))
    factors = base.json["sustained"];
  std::vector<std::string> kept;
  for (auto& [key, factor] : factors.items())
    if (const auto given = request.sustained.find(key); given != request.sustained.end())
      factor = plain(given->second);
    else if (!key.starts_with("_"))
      kept.push_back(fmt::format("{} {:g}", key, factor.get<double>()));
  for (const auto& [key, value] : request.sustained)
    factors[key] = plain(value);
  if (!kept.empty())
    notes.push_back(fmt::format("from such timings to training, as of {}: {} (--sustained)",
                                base.hardware.name, fmt::join(kept, ", ")));
  return factors;
}

/// Names what is the base's in one line.
void note_base_tables(const std::vector<TableFigures>& figures, const FitBase& base,
                      std::vector<std::string>& notes) {
  std::vector<std::string> taken;
  for (const TableFigures& each : figures)
    if (each.from != kFromTimings)
      taken.push_back(each.table);
  if (!taken.empty())
    notes.push_back(
        fmt::format("no timings of {}: taken from {}", fmt::join(taken, ", "), base.hardware.name));
  else if (!base.tables.is_object())
    notes.push_back(
        fmt::format("{} has no tables of kernels: kernels that were not timed take "
                    "what its efficiencies say",
                    base.hardware.name));
}

std::string value_text(const Json& value, const std::string& indent) {
  constexpr std::size_t kColumns = 100;
  const std::string inner = indent + "  ";
  if (value.is_object()) {
    std::vector<std::string> lines;
    for (const auto& [key, part] : value.items())
      lines.push_back(
          fmt::format("{}{}: {}", inner, dump_json(Json(key)), value_text(part, inner)));
    return fmt::format("{{\n{}\n{}}}", fmt::join(lines, ",\n"), indent);
  }
  if (!value.is_array() || value.empty())
    return dump_json(value);
  std::vector<std::string> lines = {inner};
  for (std::size_t i = 0; i < value.size(); ++i) {
    const std::string number = dump_json(value[i]) + (i + 1 < value.size() ? "," : "");
    if (lines.back().size() > inner.size() && lines.back().size() + number.size() + 1 > kColumns)
      lines.push_back(inner);
    lines.back() += (lines.back().size() > inner.size() ? " " : "") + number;
  }
  return fmt::format("[\n{}\n{}]", fmt::join(lines, "\n"), indent);
}

}  // namespace

HardwareFit fit_hardware(const FitBase& base, const std::vector<TimingFile>& files,
                         const FitRequest& request) {
  HardwareFit result;
  result.name = request.name;
  result.base = base.hardware.name;
  refuse_shapes_twice(files);
  result.notes = check_timings(files, base.hardware);
  std::vector<TableFit> fits;
  for (TimedTable& table : timed_tables(files)) {
    fits.push_back(fit_table(std::move(table), base.tables));
    result.tables.push_back(fits.back().figures);
  }
  for (const TimingFile& file : files)
    result.files.push_back(file.path);
  if (fits.empty())
    throw Error(fmt::format("{}: no table can be made of such timings", files.front().path));
  Json sections = completed(sections_of(fits, base.tables), base, result.tables);
  note_base_tables(result.tables, base, result.notes);
  Json tables = {
      {"format", "bubblescope-kernels/1"},
      {"name", request.name},
      {"source", fmt::format("{}, fitted by bubblescope hardware-fit", names_of(files))}};
  std::set<std::string> taken;
  for (const TableFigures& each : result.tables)
    if (each.from != kFromTimings)
      taken.insert(each.table);
  if (!taken.empty())
    tables["_base"] = fmt::format("As of {}: {}.", result.base, fmt::join(taken, ", "));
  tables.update(sections);
  Json& hardware = result.hardware;
  hardware = base.json;
  hardware["name"] = request.name;
  hardware["source"] = fmt::format("Kernels: timings of {}. All else as of {}: {}", names_of(files),
                                   result.base, base.hardware.description);
  hardware["kernels"] = std::move(tables);
  hardware["sustained"] = sustained(base, request, result.notes);
  return result;
}

std::string hardware_text(const nlohmann::ordered_json& hardware) {
  return value_text(hardware, "") + "\n";
}

}  // namespace bubblescope
