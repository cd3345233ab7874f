#include "analysis/views/replay_view.h"

#include <fmt/format.h>

#include "analysis/views/report_json.h"
#include "analysis/views/simulate_view.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

Json moment(Time time) {
  return time != kNever ? Json(time.count()) : Json();
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
  return list("actions", record.actions, [](const RecordedAction& each) -> Json {
    return {{"rank", each.rank},
            {"action", to_string(each.action)},
            {"start_ns", moment(each.span.start)},
            {"end_ns", moment(each.span.end)}};
  });
}

std::string messages_list(const RunRecord& record) {
  return list("messages", record.messages, [](const RecordedMessage& each) -> Json {
    return {{"output", to_string(each.output)},
            {"from", each.from},
            {"to", each.to},
            {"start_ns", moment(each.span.start)},
            {"end_ns", moment(each.span.end)}};
  });
}

/// Adds to the rows of `simulate` the idle time that none of its causes explains.
Rows measured_rank_rows(const Report& report) {
  Rows rows = rank_rows(report);
  const BubbleCause unknown = BubbleCause::Unknown;
  for (std::size_t rank = 0; rank < rows.size(); ++rank)
    rows[rank][cause_column(unknown)] =
        report.per_rank[rank].idle_by_cause[static_cast<std::size_t>(unknown)].count();
  return rows;
}

/// Indented, but for a line an action and a message.
std::string timeline_json(const ReplayResult& result, const Style& style) {
  Json json = {{"format", "bubblescope-timeline/1"}, {"source", result.measurement.device()}};
  json.update(summary_json(result.report));
  add_measurement(result.measurement, json);
  json["per_rank"] = measured_rank_rows(result.report);
  add_provenance(style, json);
  std::string text = dump_json(json, 2);
  text.erase(text.size() - 2);  // "\n}"
  return text + actions_list(result.record) + messages_list(result.record) + "\n}\n";
}

/// A number as people write it in science: "3.2e-07".
std::string small(double number) {
  return number == 0 ? "0" : fmt::format("{:.1e}", number);
}

}  // namespace

void add_measurement(const Measurement& measurement, Json& json) {
  json["backend"] = measurement.backend;
  json["device"] = measurement.device();
  json["clock"] = measurement.virtual_clock ? "virtual" : "real";
  json["workload"] = measurement.workload;
  json["noise"] = measurement.is_noise_known() ? Json(measurement.noise()) : nullptr;
  json["clock_uncertainty_ns"] = measurement.clock_uncertainty;
  json["step_times_ns"] = Json::array();
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
  json["machine"] = Json::object();
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
    return "parity: the loss and all gradients equal those of an unpipelined run";
  return fmt::format(
      "parity{}: the loss is {} off that of an unpipelined run, gradients up to {} ({}); the "
      "tolerance is {}",
      parity.holds() ? "" : " FAILS", small(parity.loss_error), small(parity.gradient_error),
      parity.worst_tensor, small(parity.tolerance));
}

std::string replay_view(const ReplayResult& result, const Style& style) {
  if (style.format == Format::Json)
    return timeline_json(result, style);
  return render(
      style,
      [&] {
        Document page(result.report.step_time);
        page.title(fmt::format("{}, measured on {}: {}", result.report.schedule,
                               result.measurement.device(), setting(result.report)));
        add_figures(page, result.report, {});
        page.line("measured: " + steps_words(result.measurement));
        if (result.measurement.parity)
          page.line(parity_words(result.measurement));
        return page;
      },
      {}, [&] { return measured_rank_rows(result.report); });
}

}  // namespace bubblescope
