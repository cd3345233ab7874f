#include "analysis/explain/closed_form.h"

#include <algorithm>

#include <fmt/format.h>

#include "analysis/explain/explanation.h"
#include "sim/base/error.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"

namespace bubblescope {
namespace {

constexpr std::array kRanks = {4, 6, 8, 10, 12, 16};
/// Micro-batches for each rank.
constexpr std::array kPerRank = {2, 3, 4, 7};
constexpr int kMiddle = 8;

/// One shape, and what is paid in it.
struct Sample {
  std::int64_t ranks;
  std::int64_t microbatches;
  LinearForm step, idle_first, idle_middle, idle_last;
};

std::vector<Shape> shapes_to_try(const CatalogueEntry& entry, std::optional<int> chunks) {
  std::vector<Shape> shapes;
  const auto is_known = [&](const Shape& shape) {
    return std::any_of(shapes.begin(), shapes.end(), [&](const Shape& other) {
      return other.ranks == shape.ranks && other.microbatches == shape.microbatches;
    });
  };
  for (const int ranks : kRanks)
    for (const int per_rank : kPerRank) {
      Shape shape{.ranks = ranks, .microbatches = ranks * per_rank, .chunks = chunks};
      for (auto misfit = find_misfit(entry, shape); misfit; misfit = find_misfit(entry, shape)) {
        if (misfit->nearest.chunks != shape.chunks && chunks)
          check_fits(entry, shape);  // a v that it cannot have, which this tells
        shape = misfit->nearest;
      }
      if (!is_known(shape))
        shapes.push_back(shape);
    }
  return shapes;
}

/// The counts at `samples`, three of which give the formula and all of which must agree with it.
std::optional<CountFormula> fit(const std::vector<Sample>& samples, LinearForm Sample::*form,
                                std::size_t kind) {
  const Sample& a = samples.front();
  const auto count = [&](const Sample& sample) { return (sample.*form)[kind]; };
  // With a taken off, two unknowns: dp·x + dm·y = dn for two others that are not in line with it.
  for (std::size_t i = 1; i < samples.size(); ++i)
    for (std::size_t j = i + 1; j < samples.size(); ++j) {
      const std::int64_t p1 = samples[i].ranks - a.ranks;
      const std::int64_t m1 = samples[i].microbatches - a.microbatches;
      const std::int64_t n1 = count(samples[i]) - count(a);
      const std::int64_t p2 = samples[j].ranks - a.ranks;
      const std::int64_t m2 = samples[j].microbatches - a.microbatches;
      const std::int64_t n2 = count(samples[j]) - count(a);
      const std::int64_t under = p1 * m2 - p2 * m1;
      if (under == 0)
        continue;
      const std::int64_t of_p = n1 * m2 - n2 * m1;
      const std::int64_t of_m = p1 * n2 - p2 * n1;
      const std::int64_t constant = count(a) * under - of_p * a.ranks - of_m * a.microbatches;
      for (const Sample& each : samples)
        if (constant + of_p * each.ranks + of_m * each.microbatches != count(each) * under)
          return std::nullopt;
      return CountFormula{{constant, under}, {of_p, under}, {of_m, under}};
    }
  return std::nullopt;
}

std::optional<FormFormula> fit(const std::vector<Sample>& samples, LinearForm Sample::*form) {
  FormFormula formula;
  for (std::size_t kind = 0; kind < kCostKinds; ++kind) {
    const auto count = fit(samples, form, kind);
    if (!count)
      return std::nullopt;
    formula[kind] = *count;
  }
  return formula;
}

/// "m", "p/2", "3·m/2", without its sign.
std::string term(const Fraction& factor, const char* name) {
  const std::int64_t over = std::abs(factor.numerator());
  std::string text = over == 1 && *name != '\0' ? name
                     : *name == '\0'            ? std::to_string(over)
                                                : fmt::format("{}·{}", over, name);
  return factor.denominator() == 1 ? text : fmt::format("{}/{}", text, factor.denominator());
}

constexpr std::array kParts = {&CountFormula::of_m, &CountFormula::of_p, &CountFormula::constant};

bool is_zero(const CountFormula& count) {
  return std::all_of(kParts.begin(), kParts.end(),
                     [&](auto part) { return (count.*part).numerator() == 0; });
}

/// k where `count` is k times `base`, which is not 0; none where it is no whole multiple.
std::optional<std::int64_t> multiple(const CountFormula& count, const CountFormula& base) {
  std::optional<std::int64_t> factor;
  for (const auto part : kParts) {
    const Fraction& a = count.*part;
    const Fraction& b = base.*part;
    if (b.numerator() == 0) {
      if (a.numerator() != 0)
        return std::nullopt;
      continue;
    }
    const Fraction ratio = a / b;
    if (ratio.denominator() != 1 || (factor && *factor != ratio.numerator()))
      return std::nullopt;
    factor = ratio.numerator();
  }
  return factor;
}

/// With the sign that makes its first part positive.
CountFormula positive(CountFormula count) {
  for (const auto part : kParts)
    if ((count.*part).numerator() != 0) {
      if ((count.*part).numerator() < 0)
        for (const auto each : kParts)
          count.*each = -(count.*each);
      break;
    }
  return count;
}

/// "m + p − 1"; `terms` gets how many there are.
std::string count_text(const CountFormula& count, int& terms) {
  std::string text;
  terms = 0;
  for (const auto& [factor, name] :
       {std::pair(count.of_m, "m"), std::pair(count.of_p, "p"), std::pair(count.constant, "")}) {
    if (factor.numerator() == 0)
      continue;
    if (terms++ == 0)
      text = factor.numerator() < 0 ? "−" : "";
    else
      text += factor.numerator() < 0 ? " − " : " + ";
    text += term(factor, name);
  }
  return text;
}

Sample run(const CatalogueEntry& entry, const CostSource& costs, ClosedFormOptions options,
           const Shape& shape, ClosedForm* found) {
  PostedProgram program = post_messages(entry, shape, options.comm);
  CostModel model(costs, program.schedule.placement,
                  {.per = CostPer::OneStage, .overlap = options.overlap});
  const DependencyGraph graph = build_graph(std::move(program), std::move(model));
  const Timeline timeline = simulate(graph);
  const CriticalPath path = critical_path(graph, critical_tree(graph, timeline));
  const Explanation why =
      found != nullptr ? explain(graph, timeline, path) : count_costs(graph, timeline, path);
  if (!why.costs)
    throw Error("a formula needs costs that are the same for all stages");
  if (found != nullptr) {
    found->costs = *why.costs;
    if (why.region)
      found->region = region_words(*why.region);
  }
  const auto split = [&](LinearForm form) {
    if ((*why.costs)[index(CostKind::Hop)] == 0)
      form[index(CostKind::Hop)] = 0;
    return why.splits_backward ? with_split_backward(form) : form;
  };
  return {.ranks = shape.ranks,
          .microbatches = shape.microbatches,
          .step = split(why.form),
          .idle_first = split(why.idle.front()),
          .idle_middle = split(why.idle[why.idle.size() / 2]),
          .idle_last = split(why.idle.back())};
}

}  // namespace

/// Costs that are paid as often, up to a whole factor, stand together: "(p − 1)·(F + I − W)".
std::string to_text(const FormFormula& formula) {
  FormFormula left = formula;
  if (is_zero(left[kB]) && !is_zero(left[kI]) && multiple(left[kW], left[kI]) == 1) {
    left[kB] = left[kI];
    left[kI] = left[kW] = {};
  }
  std::string text;
  for (const CostKind kind : kWrittenOrder) {
    if (is_zero(left[index(kind)]))
      continue;
    const CountFormula base = positive(left[index(kind)]);
    const bool is_constant = base.of_m.numerator() == 0 && base.of_p.numerator() == 0;
    LinearForm together{};
    for (std::size_t other = 0; other < kCostKinds; ++other)
      if (const auto factor = multiple(left[other], base);
          factor && *factor != 0 && (other == index(kind) || !is_constant)) {
        together[other] = *factor;
        left[other] = {};
      }
    const bool is_negative = together[index(kind)] < 0;
    if (is_negative)
      together = LinearForm{} - together;
    int terms = 0;
    int costs = 0;
    for (const std::int64_t count : together)
      costs += count != 0 ? 1 : 0;
    const std::string count = count_text(base, terms);
    text += text.empty() ? (is_negative ? "−" : "") : is_negative ? " − " : " + ";
    if (count != "1")
      text += terms > 1 ? fmt::format("({})·", count) : count + "·";
    text += costs > 1 && count != "1" ? fmt::format("({})", to_text(together)) : to_text(together);
  }
  return text.empty() ? "0" : text;
}

ClosedForm find_closed_form(const CatalogueEntry& entry, const CostSource& costs,
                            ClosedFormOptions options, std::optional<int> chunks) {
  if (entry.automatic != nullptr)
    throw Error(fmt::format("schedule {} is made for each shape and its costs: it has no formula",
                            entry.name));
  const std::vector<Shape> shapes = shapes_to_try(entry, chunks);
  ClosedForm found{.shape = shapes.front(), .shapes = static_cast<int>(shapes.size())};
  for (const Shape& shape : shapes)
    if (shape.ranks == kMiddle)
      found.shape = shape;
  found.least_ranks = found.most_ranks = shapes.front().ranks;
  found.least_microbatches = found.most_microbatches = shapes.front().microbatches;
  std::vector<Sample> samples;
  for (const Shape& shape : shapes) {
    const bool is_middle =
        shape.ranks == found.shape.ranks && shape.microbatches == found.shape.microbatches;
    samples.push_back(run(entry, costs, options, shape, is_middle ? &found : nullptr));
    found.least_ranks = std::min(found.least_ranks, shape.ranks);
    found.most_ranks = std::max(found.most_ranks, shape.ranks);
    found.least_microbatches = std::min(found.least_microbatches, shape.microbatches);
    found.most_microbatches = std::max(found.most_microbatches, shape.microbatches);
  }
  found.step = fit(samples, &Sample::step);
  found.idle_first = fit(samples, &Sample::idle_first);
  found.idle_middle = fit(samples, &Sample::idle_middle);
  found.idle_last = fit(samples, &Sample::idle_last);
  return found;
}

}  // namespace bubblescope
