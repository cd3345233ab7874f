#include "analysis/closed_form_view.h"

#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;
using Align = Column::Align;

std::string told(const std::optional<FormFormula>& formula) {
  return formula ? to_text(*formula) : "no formula of the kind a + b·p + c·m for each cost";
}

/// "F 10.000 µs, I 10.000 µs, …"
std::string costs_words(const ClosedFormSubject& subject) {
  const StageCost& costs = subject.costs;
  const Time backward = costs.backward.value_or(costs.input_grad + costs.weight_grad);
  const TimeUnit unit = TimeUnit::fit(costs.forward + backward);
  std::string words = fmt::format("F {}, I {}, W {}, B {}, F&B {}", unit.format(costs.forward),
                                  unit.format(costs.input_grad), unit.format(costs.weight_grad),
                                  unit.format(backward),
                                  unit.format(costs.overlapped.value_or(costs.forward + backward)));
  if (subject.link.latency > Time::zero())
    words += ", hop " + unit.format(subject.link.latency);
  return words;
}

}  // namespace

std::string closed_form_view(const ClosedFormSubject& subject, const ClosedForm& form,
                             Format format, Color color) {
  const std::vector<std::pair<const char*, std::optional<FormFormula>>> formulas = {
      {"step time", form.step},
      {"idle on rank 0", form.idle_first},
      {"idle on rank p/2", form.idle_middle},
      {"idle on rank p − 1", form.idle_last}};
  const std::string holds =
      fmt::format("for p = {}, m = {}: {}", form.shape.ranks, form.shape.microbatches, form.region);
  const std::string checked =
      fmt::format("on {} shapes, p = {} … {}, m = {} … {}", form.shapes, form.least_ranks,
                  form.most_ranks, form.least_microbatches, form.most_microbatches);
  if (format == Format::Json || format == Format::Csv) {
    std::vector<Json> rows;
    rows.reserve(formulas.size());
    for (const auto& [what, formula] : formulas)
      rows.push_back({{"schedule", subject.schedule},
                      {"what", what},
                      {"formula", formula ? Json(to_text(*formula)) : Json(nullptr)},
                      {"shapes", form.shapes}});
    if (format == Format::Csv)
      return to_csv(rows);
    return Json{{"schedule", subject.schedule},
                {"comm", to_string(subject.comm)},
                {"formulas", rows},
                {"holds", holds},
                {"checked", checked}}
               .dump(2) +
           "\n";
  }
  Table table{{{"", Align::Left}, {"in p ranks and m micro-batches", Align::Left}}};
  for (const auto& [what, formula] : formulas)
    table.rows.push_back({{what, told(formula)}});
  table.rows.push_back({{"at the costs", costs_words(subject)}});
  table.rows.push_back({{"holds", holds}});
  table.rows.push_back({{"checked", checked}});
  const std::string title =
      fmt::format("{}: formulas, {} communication", subject.schedule, to_string(subject.comm));
  if (format == Format::Markdown)
    return "## " + title + "\n\n" + to_markdown(table);
  return emphasize(title, Emphasis::Strong, color) + "\n\n" + to_text(table, color);
}

}  // namespace bubblescope
