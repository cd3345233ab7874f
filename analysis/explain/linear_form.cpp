#include "analysis/explain/linear_form.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

namespace bubblescope {
namespace {

std::string term(std::int64_t count, std::size_t kind) {
  const std::string name = kCostNames[kind];
  return count == 1 ? name : fmt::format("{}·{}", count, name);
}

}  // namespace

LinearForm operator-(const LinearForm& a, const LinearForm& b) {
  LinearForm difference;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    difference[kind] = a[kind] - b[kind];
  return difference;
}

std::int64_t dot(const LinearForm& form, const PerCost<std::int64_t>& costs) {
  std::int64_t sum = 0;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind)
    sum += form[kind] * costs[kind];
  return sum;
}

bool is_zero(const LinearForm& form) {
  return form == LinearForm{};
}

LinearForm with_split_backward(LinearForm form) {
  form[kI] += form[kB];
  form[kW] += form[kB];
  form[kB] = 0;
  return form;
}

LinearForm with_whole_backward(LinearForm form) {
  form = with_split_backward(form);
  if (form[kI] == form[kW]) {
    form[kB] = form[kI];
    form[kI] = form[kW] = 0;
  }
  return form;
}

std::string to_text(const LinearForm& form) {
  std::string text;
  for (const CostKind kind : kWrittenOrder) {
    const std::int64_t count = form[index(kind)];
    if (count == 0)
      continue;
    if (text.empty())
      text = count < 0 ? "−" : "";
    else
      text += count < 0 ? " − " : " + ";
    text += term(std::abs(count), index(kind));
  }
  return text.empty() ? "0" : text;
}

std::string inequality_text(const LinearForm& form) {
  LinearForm more{};
  LinearForm less{};
  for (std::size_t kind = 0; kind < kCostKinds; ++kind) {
    more[kind] = std::max<std::int64_t>(form[kind], 0);
    less[kind] = std::max<std::int64_t>(-form[kind], 0);
  }
  return to_text(less) + " ≤ " + to_text(more);
}

}  // namespace bubblescope
