#include "analysis/check_view.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bubblescope {
namespace {

std::string words(const CheckReport& report) {
  return fmt::format("{}: {} rank{}, {} micro-batch{}, {} communication", report.file, report.ranks,
                     report.ranks == 1 ? "" : "s", report.microbatches,
                     report.microbatches == 1 ? "" : "es", to_string(report.comm));
}

std::string_view words(Channels channels) {
  switch (channels) {
    case Channels::PerRank:
      return "one a rank";
    case Channels::PerPair:
      return "one a pair";
    case Channels::PerDirection:
      return "one a direction";
  }
  return "";
}

std::string_view name(Channels channels) {
  return channels_names()[static_cast<std::size_t>(channels)];
}

Table channels_table(const CheckReport& report) {
  Table table{{{"channels", Column::Align::Left}, {"verdict", Column::Align::Left}}};
  for (const ChannelsVerdict& each : report.others)
    table.rows.push_back({{std::string(words(each.channels)), std::string(to_string(each.verdict))},
                          each.channels == report.channels ? Emphasis::Strong : Emphasis::None});
  return table;
}

/// One row, flat.
nlohmann::ordered_json row(const CheckReport& report) {
  nlohmann::ordered_json row = {{"file", report.file},
                                {"ranks", report.ranks},
                                {"microbatches", report.microbatches},
                                {"chunks", report.chunks},
                                {"comm", to_string(report.comm)},
                                {"actions", report.actions},
                                {"messages", report.messages},
                                {"channels", nullptr},
                                {"verdict", to_string(report.verdict)},
                                {"reason", nullptr}};
  if (!report.others.empty())
    row["channels"] = name(report.channels);
  if (!report.reason.empty())
    row["reason"] = report.reason;
  return row;
}

std::string conclusion(const CheckReport& report) {
  std::string text(to_string(report.verdict));
  if (!report.others.empty())
    text += fmt::format(" with {}", words(report.channels));
  if (report.verdict != Verdict::Runs)
    return text + ": " + report.reason;
  text += fmt::format(": {} actions", report.actions);
  if (report.comm != Comm::Ideal)
    text += fmt::format(" and {} messages", report.messages);
  return text + ", and no circle of waits";
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  constexpr std::string_view kNames[] = {"runs", "deadlock", "crossed messages", "unsound"};
  return kNames[static_cast<std::size_t>(verdict)];
}

std::string check_view(const CheckReport& report, Format format, Color color) {
  if (format == Format::Csv)
    return to_csv({row(report)});
  if (format == Format::Json) {
    nlohmann::ordered_json json = row(report);
    json["verdicts"] = nlohmann::ordered_json::object();
    for (const ChannelsVerdict& each : report.others)
      json["verdicts"][std::string(name(each.channels))] = to_string(each.verdict);
    return json.dump(2) + "\n";
  }
  const bool markdown = format == Format::Markdown;
  std::string text =
      markdown ? "## " + words(report) : emphasize(words(report), Emphasis::Strong, color);
  text += "\n\n";
  if (!report.others.empty())
    text +=
        (markdown ? to_markdown(channels_table(report)) : to_text(channels_table(report), color)) +
        "\n";
  return text + conclusion(report) + "\n";
}

}  // namespace bubblescope
