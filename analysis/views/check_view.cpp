#include "analysis/views/check_view.h"

#include <fmt/format.h>

#include "analysis/views/document.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

std::string words(const CheckReport& report) {
  return fmt::format("{}: {} rank{}, {} micro-batch{}, {} communication", printable(report.file),
                     report.ranks, report.ranks == 1 ? "" : "s", report.microbatches,
                     report.microbatches == 1 ? "" : "es", to_string(report.comm));
}

std::string words(Channels channels) {
  return fmt::format("one a {}", to_string(channels));
}

Table channels_table(const CheckReport& report) {
  Table table{"", {{"channels"}, {"verdict"}}};
  for (const ChannelsVerdict& each : report.by_channels) {
    table.rows.push_back(
        {{"channels", words(each.channels)}, {"verdict", to_string(each.verdict)}});
    table.emphasis.push_back(each.channels == report.channels ? Emphasis::Strong : Emphasis::None);
  }
  return table;
}

/// One row, flat.
Json row(const CheckReport& report) {
  Json row = {{"file", report.file},
              {"ranks", report.ranks},
              {"microbatches", report.microbatches},
              {"chunks", report.chunks},
              {"comm", to_string(report.comm)},
              {"actions", report.actions},
              {"messages", report.messages},
              {"channels", nullptr},
              {"verdict", to_string(report.verdict)},
              {"reason", nullptr}};
  if (!report.by_channels.empty())
    row["channels"] = to_string(report.channels);
  if (!report.reason.empty())
    row["reason"] = report.reason;
  return row;
}

std::string conclusion(const CheckReport& report) {
  std::string text(to_string(report.verdict));
  if (!report.by_channels.empty())
    text += fmt::format(" with {}", words(report.channels));
  if (report.verdict != Verdict::Runs)
    return text + ": " + report.reason;
  text += fmt::format(": {} actions", report.actions);
  if (report.comm != Comm::Ideal)
    text += fmt::format(" and {} messages", report.messages);
  text += ", and no circle of waits";
  if (report.comm == Comm::Ideal)
    text += "; an order alone, without messages (--comm torch adds PyTorch's)";
  return text;
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  constexpr std::string_view kNames[] = {"runs", "deadlock", "crossed messages", "unsound"};
  return kNames[static_cast<std::size_t>(verdict)];
}

std::string check_view(const CheckReport& report, const Style& style) {
  return render(
      style,
      [&] {
        Document page;
        page.title(words(report));
        page.table(channels_table(report));
        page.verdict(conclusion(report));
        return page;
      },
      [&] {
        Json json = row(report);
        json["verdicts"] = Json::object();
        for (const ChannelsVerdict& each : report.by_channels)
          json["verdicts"][std::string(to_string(each.channels))] = to_string(each.verdict);
        return json;
      },
      [&] { return Rows{row(report)}; });
}

}  // namespace bubblescope
