#include "analysis/views/replay_view.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"
#include "analysis/views/report_json.h"
#include "analysis/views/simulate_view.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using nlohmann::ordered_json;

ordered_json moment(Time time) {
  return time != kNever ? ordered_json(time.count()) : ordered_json(nullptr);
}

/// A list with a line for each of `all`, of which `row` makes an object.
template <typename Records, typename Row>
std::string list(std::string_view key, const Records& all, const Row& row) {
  std::string text = fmt::format(",\n  \"{}\": [", key);
  for (std::size_t i = 0; i < all.size(); ++i)
    text += (i == 0 ? "\n    " : ",\n    ") + row(all[i]).dump();
  return text + (all.empty() ? "]" : "\n  ]");
}

std::string actions_list(const RunRecord& record) {
  return list("actions", record.actions, [](const RecordedAction& each) -> ordered_json {
    return {{"rank", each.rank},
            {"action", to_string(each.action)},
            {"start_ns", moment(each.span.start)},
            {"end_ns", moment(each.span.end)}};
  });
}

std::string messages_list(const RunRecord& record) {
  return list("messages", record.messages, [](const RecordedMessage& each) -> ordered_json {
    return {{"output", to_string(each.output)},
            {"from", each.from},
            {"to", each.to},
            {"start_ns", moment(each.span.start)},
            {"end_ns", moment(each.span.end)}};
  });
}

/// What `simulate` tells of a rank, and the idle time that none of its causes explains.
ordered_json measured_rank_json(const Report& report, std::size_t rank) {
  ordered_json json = rank_json(report, rank);
  json["idle_unknown_ns"] =
      report.per_rank[rank].idle_by_cause[static_cast<std::size_t>(BubbleCause::Unknown)].count();
  return json;
}

/// Indented, but for a line an action and a message.
std::string timeline_json(const ReplayResult& result) {
  ordered_json json = {{"format", "bubblescope-timeline/1"},
                       {"source", result.measurement.device()}};
  json.update(summary_json(result.report));
  add_measurement(result.measurement, json);
  json["per_rank"] = ordered_json::array();
  for (std::size_t rank = 0; rank < result.report.per_rank.size(); ++rank)
    json["per_rank"].push_back(measured_rank_json(result.report, rank));
  std::string text = dump_json(json, 2);
  text.erase(text.size() - 2);  // "\n}"
  return text + actions_list(result.record) + messages_list(result.record) + "\n}\n";
}

/// A number as people write it in science: "3.2e-07".
std::string small(double number) {
  return number == 0 ? "0" : fmt::format("{:.1e}", number);
}

}  // namespace

void add_measurement(const Measurement& measurement, ordered_json& json) {
  json["backend"] = measurement.backend;
  json["device"] = measurement.device();
  json["clock"] = measurement.virtual_clock ? "virtual" : "real";
  json["workload"] = measurement.workload;
  json["noise"] = measurement.is_noise_known() ? ordered_json(measurement.noise()) : nullptr;
  json["clock_uncertainty_ns"] = measurement.clock_uncertainty.count();
  json["step_times_ns"] = ordered_json::array();
  for (const Time step : measurement.step_times)
    json["step_times_ns"].push_back(step.count());
  json["parity"] = nullptr;
  if (const auto& parity = measurement.parity)
    json["parity"] = {{"loss_error", parity->loss_error},
                      {"gradient_error", parity->gradient_error},
                      {"worst_tensor", parity->worst_tensor},
                      {"tolerance", parity->tolerance},
                      {"holds", parity->holds()}};
  if (measurement.virtual_clock)
    return;
  json["machine"] = ordered_json::object();
  for (const auto& [fact, value] : measurement.machine)
    json["machine"][fact] = value;
  json["command"] = measurement.command;
  json["date"] = measurement.date;
}

std::string steps_words(const Measurement& measurement) {
  const std::size_t steps = measurement.step_times.size();
  const std::string count = fmt::format("{} step{}", steps, steps == 1 ? "" : "s");
  const std::string clocks =
      measurement.clock_uncertainty == Time::zero()
          ? ""
          : fmt::format("; the ranks' clocks agree within ± {:.1f} µs",
                        static_cast<double>(measurement.clock_uncertainty.count()) / 1e3);
  if (!measurement.is_noise_known())
    return count + ", so its noise is unknown (--repeats)" + clocks;
  return (steps == 1 ? count
                     : fmt::format("{}, ± {}", count, format_percent(measurement.noise()))) +
         clocks;
}

std::string parity_words(const Measurement& measurement) {
  if (!measurement.parity)
    return "";
  const Parity& parity = *measurement.parity;
  if (parity.loss_error == 0 && parity.gradient_error == 0)
    return "parity: the loss and all gradients equal those of an unpipelined run\n";
  return fmt::format(
      "parity{}: the loss is {} off that of an unpipelined run, gradients up to {} ({}); the "
      "tolerance is {}\n",
      parity.holds() ? "" : " FAILS", small(parity.loss_error), small(parity.gradient_error),
      parity.worst_tensor, small(parity.tolerance));
}

std::string replay_view(const ReplayResult& result, Format format, Color color) {
  if (format == Format::Json)
    return timeline_json(result);
  if (format == Format::Csv) {
    std::vector<ordered_json> rows;
    for (std::size_t rank = 0; rank < result.report.per_rank.size(); ++rank)
      rows.push_back(measured_rank_json(result.report, rank));
    return to_csv(rows);
  }
  Page page(format, color);
  page.title(fmt::format("{}, measured on {}: {}", result.report.schedule,
                         result.measurement.device(), setting(result.report)));
  add_figures(page, result.report, {});
  page.blank_line();
  page.line("measured: " + steps_words(result.measurement));
  return page.text() + parity_words(result.measurement);
}

}  // namespace bubblescope
