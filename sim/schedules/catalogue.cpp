#include "sim/schedules/catalogue.h"

#include <algorithm>

#include <fmt/format.h>

#include "sim/error.h"
#include "sim/schedules/generators.h"

namespace bubblescope {
namespace {

std::optional<Misfit> fits_all(Shape) {
  return std::nullopt;
}

constexpr CatalogueEntry kCatalogue[] = {
    {.name = "gpipe",
     .family = "gpipe",
     .summary = "all forwards, then all backwards",
     .constraints = "v = 1",
     .peak = "m",
     .weight_copies = 1,
     .source = "Huang et al., arXiv 1811.06965; PyTorch ScheduleGPipe",
     .chunks = 1,
     .misfit = fits_all,
     .generate = gpipe},
    {.name = "1f1b",
     .family = "1f1b",
     .summary = "one forward, one backward in turn once the pipeline is full",
     .constraints = "v = 1",
     .peak = "min(p, m)",
     .weight_copies = 1,
     .source = "Narayanan et al., arXiv 2104.04473; Megatron-LM "
               "forward_backward_pipelining_without_interleaving",
     .chunks = 1,
     .misfit = fits_all,
     .generate = one_f_one_b},
    {.name = "zb-h1",
     .family = "zero-bubble",
     .summary = "1F1B whose last weight gradients fill the drain; ranks split B only where it pays",
     .constraints = "v = 1",
     .peak = "min(p, m)",
     .weight_copies = 1,
     .source = "Qi et al., arXiv 2401.10241; sail-sg/zero-bubble-pipeline-parallelism, branch "
               "zb-h1-quick-start",
     .chunks = 1,
     .misfit = fits_all,
     .generate = zb_h1},
    {.name = "zb-h1-paper",
     .family = "zero-bubble",
     .summary = "1F1B with every B split, W delayed by one more micro-batch a rank",
     .constraints = "v = 1, m ≥ p",
     .peak = "p",
     .weight_copies = 1,
     .source = "Qi et al., arXiv 2401.10241, section 2.1",
     .chunks = 1,
     .misfit = zb_h1_paper_misfit,
     .generate = zb_h1_paper},
    {.name = "zb-h2",
     .family = "zero-bubble",
     .summary =
         "twice the warm-up and twice the delay: no span bubble where F = I = W, twice the memory",
     .constraints = "v = 1, m ≥ 2p − 1",
     .peak = "2p − 1",
     .weight_copies = 1,
     .source = "Qi et al., arXiv 2401.10241, section 2.2",
     .chunks = 1,
     .misfit = zb_h2_misfit,
     .generate = zb_h2},
    {.name = "dualpipe",
     .family = "dualpipe",
     .summary = "two pipes in opposite directions; F&B pairs hide communication in computation",
     .constraints = "v = 1, p even, m even, m ≥ 2p",
     .peak = "p + 1",
     .weight_copies = 2,
     .source = "DeepSeek-AI, arXiv 2412.19437; deepseek-ai/DualPipe DualPipe.step",
     .chunks = 1,
     .misfit = dualpipe_misfit,
     .generate = dualpipe},
};

}  // namespace

std::span<const CatalogueEntry> catalogue() {
  return kCatalogue;
}

const CatalogueEntry* find_schedule(std::string_view name) {
  const auto* found = std::find_if(std::begin(kCatalogue), std::end(kCatalogue),
                                   [&](const auto& entry) { return entry.name == name; });
  return found != std::end(kCatalogue) ? found : nullptr;
}

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const CatalogueEntry& entry : kCatalogue)
    names.emplace_back(entry.name);
  return names;
}

std::optional<Misfit> find_misfit(const CatalogueEntry& entry, Shape shape) {
  auto misfit = entry.misfit(shape);
  if (shape.chunks && *shape.chunks != entry.chunks) {
    Shape nearest = misfit ? misfit->nearest : shape;
    nearest.chunks = entry.chunks;
    misfit = Misfit{fmt::format("it has v = {}", entry.chunks), nearest};
  }
  return misfit;
}

Schedule make_schedule(const CatalogueEntry& entry, Shape shape) {
  const auto words = [](const Shape& any) {
    const std::string v = any.chunks ? fmt::format(", v={}", *any.chunks) : "";
    return fmt::format("p={}, m={}{}", any.ranks, any.microbatches, v);
  };
  if (const auto misfit = find_misfit(entry, shape))
    throw Error(fmt::format("schedule {} at {}: {}; the nearest shape that fits is {}", entry.name,
                            words(shape), misfit->reason, words(misfit->nearest)));
  Schedule schedule = entry.generate(shape);
  schedule.name = entry.name;
  return schedule;
}

}  // namespace bubblescope
