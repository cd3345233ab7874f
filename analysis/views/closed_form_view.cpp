#include "analysis/views/closed_form_view.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "analysis/views/document.h"

namespace bubblescope {
namespace {

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
                             const Style& style) {
  const std::string holds =
      fmt::format("for p = {}, m = {}: {}", form.shape.ranks, form.shape.microbatches, form.region);
  const std::string checked =
      fmt::format("on {} shapes, p = {} … {}, m = {} … {}", form.shapes, form.least_ranks,
                  form.most_ranks, form.least_microbatches, form.most_microbatches);
  Rows formulas;
  Rows lines;
  for (const auto& [what, formula] : {std::pair("step time", &form.step),
                                      {"idle on rank 0", &form.idle_first},
                                      {"idle on rank p/2", &form.idle_middle},
                                      {"idle on rank p − 1", &form.idle_last}}) {
    formulas.push_back({{"schedule", subject.schedule},
                        {"what", what},
                        {"formula", or_null(*formula, [](const auto& f) { return to_text(f); })},
                        {"shapes", form.shapes}});
    lines.push_back({{"what", what}, {"words", told(*formula)}});
  }
  lines.push_back({{"what", "at the costs"}, {"words", costs_words(form)}});
  lines.push_back({{"what", "holds"}, {"words", holds}});
  lines.push_back({{"what", "checked"}, {"words", checked}});
  return render(
      style,
      [&] {
        Document page;
        page.title(fmt::format("{}: formulas, {} communication", subject.schedule,
                               to_string(subject.comm)));
        page.table({"", {{"what", " "}, {"words", "in p ranks and m micro-batches"}}, lines});
        return page;
      },
      [&] {
        return Json{{"schedule", subject.schedule},
                    {"comm", to_string(subject.comm)},
                    {"formulas", formulas},
                    {"holds", holds},
                    {"checked", checked}};
      },
      [&] { return formulas; });
}

}  // namespace bubblescope
