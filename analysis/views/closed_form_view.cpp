#include "analysis/views/closed_form_view.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;
using Align = Column::Align;

std::string told(const std::optional<FormFormula>& formula) {
  return formula ? to_text(*formula) : "no formula of the kind a + b·p + c·m for each cost";
}

/// "F 10.000 µs, B 20.000 µs": of a stage.
std::string costs_words(const ClosedForm& form) {
  const TimeUnit unit =
      TimeUnit::fit(Time(*std::max_element(form.costs.begin(), form.costs.end())));
  std::string words;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    if (form.costs[kind] > 0)
      words += fmt::format("{}{} {}", words.empty() ? "" : ", ", kCostNames[kind],
                           unit.format(Time(form.costs[kind])));
  return words + (words.empty() ? "nothing costs anything" : " a stage");
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
  table.rows.push_back({{"at the costs", costs_words(form)}});
  table.rows.push_back({{"holds", holds}});
  table.rows.push_back({{"checked", checked}});
  Page page(format, color);
  page.title(
      fmt::format("{}: formulas, {} communication", subject.schedule, to_string(subject.comm)));
  page.table(table);
  return page.text();
}

}  // namespace bubblescope
