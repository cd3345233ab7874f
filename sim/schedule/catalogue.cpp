#include "sim/schedule/catalogue.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"
#include "sim/schedule/generators.h"

namespace bubblescope {
namespace {

std::optional<Misfit> fits_all(Shape) {
  return std::nullopt;
}

std::int64_t p_or_m(Shape s) {
  return std::min(s.ranks, s.microbatches);
}

/// F and B of all micro-batches on all chunks of a rank.
std::int64_t all_live(Shape s) {
  return std::int64_t{*s.chunks} * s.microbatches;
}

/// (v−1) groups, and `more` for the rank that is furthest from the end.
std::int64_t groups_and(Shape s, std::int64_t more) {
  const std::int64_t group_size = s.group_size.value_or(s.ranks);
  return std::min(all_live(s), (*s.chunks - 1) * group_size + more);
}

/// With PyTorch's group size, m / ⌊m/p⌋.
Shape in_rounds(Shape s) {
  s.group_size = s.microbatches / std::max(1, s.microbatches / s.ranks);
  return s;
}

Placement straight_placement(int ranks) {
  return loop_placement({.ranks = ranks, .chunks = 1});
}

constexpr const char* kStraightSeeds[] = {"1f1b", "zb-h1", "zb-h1-paper", "zb-h2"};
constexpr Automatic kStraight = {straight_placement, kStraightSeeds};
constexpr const char* kVSeeds[] = {"zb-v", "v-half", "v-min"};
constexpr Automatic kV = {v_placement, kVSeeds};

constexpr CatalogueEntry kCatalogue[] = {
    {.name = "gpipe",
     .family = "gpipe",
     .summary = "all forwards, then all backwards",
     .constraints = "v = 1",
     .peak = {"m", [](Shape s) -> std::int64_t { return s.microbatches; }},
     .weight_copies = 1,
     .source = "Huang et al., arXiv 1811.06965; PyTorch ScheduleGPipe",
     .chunks = 1,
     .aliases = "ScheduleGPipe",
     .frameworks = "torchtitan",
     .misfit = fits_all,
     .generate = gpipe},
    {.name = "1f1b",
     .family = "1f1b",
     .summary = "one forward, one backward in turn once the pipeline is full",
     .constraints = "v = 1",
     .peak = {"min(p, m)", p_or_m},
     .weight_copies = 1,
     .source = "Narayanan et al., arXiv 2104.04473; Megatron-LM "
               "forward_backward_pipelining_without_interleaving",
     .chunks = 1,
     .aliases = "Schedule1F1B",
     .frameworks = "megatron torchtitan deepspeed",
     .misfit = fits_all,
     .generate = one_f_one_b},
    {.name = "interleaved-1f1b",
     .family = "interleaved",
     .summary = "1F1B over v stages a rank, in groups of micro-batches",
     .constraints = "any v, p ≤ g ≤ m, m mod g is 0 or ≥ p",
     .peak = {"min(v·m, (v−1)·g + 2p − 1)", [](Shape s) { return groups_and(s, 2 * s.ranks - 1); }},
     .weight_copies = 1,
     .source = "Narayanan et al., arXiv 2104.04473; Megatron-LM "
               "forward_backward_pipelining_with_interleaving",
     .chunks = 2,
     .any_chunks = true,
     .any_group_size = true,
     .aliases = "vpp interleaved",
     .frameworks = "megatron",
     .misfit = interleaved_1f1b_misfit,
     .generate = interleaved_1f1b},
    {.name = "interleaved-1f1b-overlap",
     .family = "interleaved",
     .summary = "interleaved 1F1B with one forward more ahead, so that F and B run as F&B pairs",
     .constraints = "any v, p ≤ g ≤ m, m mod g is 0 or ≥ p",
     .peak = {"min(v·m, (v−1)·g + 2p)",
              [](Shape s) { return groups_and(s, 2 * std::int64_t{s.ranks}); }},
     .weight_copies = 1,
     .source = "Megatron-LM forward_backward_pipelining_with_interleaving with "
               "overlap_moe_expert_parallel_comm",
     .chunks = 2,
     .any_chunks = true,
     .any_group_size = true,
     .is_for_experts = true,
     .frameworks = "megatron",
     .misfit = interleaved_1f1b_misfit,
     .generate = interleaved_1f1b_overlap},
    {.name = "interleaved-1f1b-torch",
     .family = "interleaved",
     .summary = "the same in ⌊m/p⌋ rounds of equal size",
     .constraints = "any v, m mod ⌊m/p⌋ = 0",
     .peak = {"min(v·m, (v−1)·g + 2p − 1), g = m / ⌊m/p⌋",
              [](Shape s) { return groups_and(in_rounds(s), 2 * s.ranks - 1); }},
     .weight_copies = 1,
     .source = "PyTorch ScheduleInterleaved1F1B",
     .chunks = 2,
     .any_chunks = true,
     .aliases = "ScheduleInterleaved1F1B Interleaved1F1B",
     .frameworks = "torchtitan",
     .misfit = rounds_misfit,
     .generate = interleaved_1f1b_torch},
    {.name = "interleaved-zb-torch",
     .family = "interleaved",
     .summary = "interleaved 1F1B with every B split, W delayed by one more micro-batch a rank",
     .constraints = "any v, m mod ⌊m/p⌋ = 0",
     .peak = {"min(v·m, (v−1)·g + p), g = m / ⌊m/p⌋",
              [](Shape s) { return groups_and(in_rounds(s), s.ranks); }},
     .weight_copies = 1,
     .source = "PyTorch ScheduleInterleavedZeroBubble",
     .chunks = 2,
     .any_chunks = true,
     .aliases = "ScheduleInterleavedZeroBubble InterleavedZeroBubble",
     .frameworks = "torchtitan",
     .misfit = rounds_misfit,
     .generate = interleaved_zb_torch},
    {.name = "looped-bfs",
     .family = "interleaved",
     .summary = "all micro-batches pass a chunk before the next one begins",
     .constraints = "any v",
     .peak = {"v·m", all_live},
     .weight_copies = 1,
     .source = "Lamy-Poirier, arXiv 2211.05953; PyTorch ScheduleLoopedBFS",
     .chunks = 2,
     .any_chunks = true,
     .aliases = "ScheduleLoopedBFS LoopedBFS",
     .frameworks = "torchtitan",
     .misfit = fits_all,
     .generate = looped_bfs},
    {.name = "zb-h1",
     .family = "zero-bubble",
     .summary = "1F1B whose last weight gradients fill the drain; ranks split B only where it pays",
     .constraints = "v = 1",
     .peak = {"min(p, m)", p_or_m},
     .weight_copies = 1,
     .source = "Qi et al., arXiv 2401.10241; sail-sg/zero-bubble-pipeline-parallelism, branch "
               "zb-h1-quick-start",
     .chunks = 1,
     .aliases = "zbh1",
     .misfit = fits_all,
     .generate = zb_h1},
    {.name = "zb-h1-paper",
     .family = "zero-bubble",
     .summary = "1F1B with every B split, W delayed by one more micro-batch a rank",
     .constraints = "v = 1, m ≥ p",
     .peak = {"p", [](Shape s) -> std::int64_t { return s.ranks; }},
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
     .peak = {"2p − 1", [](Shape s) -> std::int64_t { return 2 * s.ranks - 1; }},
     .weight_copies = 1,
     .source = "Qi et al., arXiv 2401.10241, section 2.2",
     .chunks = 1,
     .aliases = "zbh2",
     .misfit = zb_h2_misfit,
     .generate = zb_h2},
    {.name = "zb-v",
     .family = "zero-bubble",
     .summary = "no bubble within the memory of 1F1B, on a V of two stages a rank",
     .constraints = "v = 2",
     .peak = {"min(2m, 2p)", [](Shape s) { return 2 * p_or_m(s); }},
     .weight_copies = 1,
     .source = "Qi et al., arXiv 2401.10241, section 6; PyTorch ScheduleZBVZeroBubble",
     .chunks = 2,
     .aliases = "ScheduleZBVZeroBubble ZBVZeroBubble zbv",
     .frameworks = "torchtitan",
     .misfit = fits_all,
     .generate = zb_v},
    {.name = "v-half",
     .family = "zero-bubble",
     .summary = "about half of 1F1B's activations, by one pattern on a V",
     .constraints = "v = 2",
     .peak = {"min(2m, 2⌊p/2⌋ + 2)",
              [](Shape s) -> std::int64_t {
                return std::min(2 * std::int64_t{s.microbatches},
                                2 * (std::int64_t{s.ranks} / 2 + 1));
              }},
     .weight_copies = 1,
     .source = "Qi et al., arXiv 2405.15362; sail-sg/zero-bubble-pipeline-parallelism, zbv_greedy",
     .chunks = 2,
     .misfit = fits_all,
     .generate = v_half},
    {.name = "v-min",
     .family = "zero-bubble",
     .summary = "about a third of 1F1B's activations, by one pattern on a V",
     .constraints = "v = 2",
     .peak = {"min(2m, 2⌊(p+4)/3⌋)",
              [](Shape s) -> std::int64_t {
                return std::min(2 * std::int64_t{s.microbatches},
                                2 * ((std::int64_t{s.ranks} + 4) / 3));
              }},
     .weight_copies = 1,
     .source = "Qi et al., arXiv 2405.15362; sail-sg/zero-bubble-pipeline-parallelism, zbv_greedy",
     .chunks = 2,
     .misfit = fits_all,
     .generate = v_min},
    {.name = "zb-auto",
     .family = "zero-bubble",
     .summary = "searched for the costs and the memory limit given, one stage a rank",
     .constraints = "v = 1",
     .peak = {"≤ --memory-limit, else p", nullptr},
     .weight_copies = 1,
     .source = "after Qi et al., arXiv 2401.10241, section 3: ZB-1p and ZB-2p are its limits p, 2p",
     .chunks = 1,
     .misfit = fits_all,
     .automatic = &kStraight},
    {.name = "v-auto",
     .family = "zero-bubble",
     .summary = "searched for the costs and the memory limit given, on a V",
     .constraints = "v = 2",
     .peak = {"≤ --memory-limit, else 2p", nullptr},
     .weight_copies = 1,
     .source = "after Qi et al., arXiv 2405.15362",
     .chunks = 2,
     .misfit = fits_all,
     .automatic = &kV},
    {.name = "dualpipe",
     .family = "dualpipe",
     .summary = "two pipes in opposite directions; F&B pairs hide communication in computation",
     .constraints = "v = 1, p even, m even, m ≥ 2p",
     .peak = {"p + 1", [](Shape s) -> std::int64_t { return s.ranks + 1; }},
     .weight_copies = 2,
     .source = "DeepSeek-AI, arXiv 2412.19437; deepseek-ai/DualPipe DualPipe.step",
     .chunks = 1,
     .misfit = dualpipe_misfit,
     .generate = dualpipe,
     .batches = dualpipe_batches},
    {.name = "dualpipev",
     .family = "dualpipe",
     .summary = "DualPipe folded into a V: one copy of the weights, two stages a rank",
     .constraints = "v = 2, m ≥ 2p",
     .peak = {"2p + 1", [](Shape s) -> std::int64_t { return 2 * s.ranks + 1; }},
     .weight_copies = 1,
     .source = "deepseek-ai/DualPipe DualPipeV.step",
     .chunks = 2,
     .aliases = "ScheduleDualPipeV",
     .frameworks = "torchtitan",
     .misfit = dualpipev_misfit,
     .generate = dualpipev,
     .batches = dualpipev_batches},
    {.name = "chimera",
     .family = "flow",
     .summary = "two pipes in opposite directions, in which nothing collides where F = B",
     .constraints = "v = 1, p even, m mod p = 0",
     .peak = {"p", [](Shape s) -> std::int64_t { return s.ranks; }},
     .weight_copies = 2,
     .source = "Li and Hoefler, arXiv 2107.06925; Shigangli/Chimera",
     .chunks = 1,
     .misfit = chimera_misfit,
     .generate = chimera},
    {.name = "hanayo",
     .family = "flow",
     .summary = "v/2 waves: one pipe that turns at both ends; Chimera's flow with one copy",
     .constraints = "v even, m mod p = 0",
     .peak = {"v·p", [](Shape s) { return std::int64_t{*s.chunks} * s.ranks; }},
     .weight_copies = 1,
     .source = "Liu et al., arXiv 2308.15762",
     .chunks = 2,
     .any_chunks = true,
     .misfit = hanayo_misfit,
     .generate = hanayo},
};

/// "p=4, m=8, v=2, group size 4", as far as it is told.
std::string words(const Shape& shape) {
  const std::string v = shape.chunks ? fmt::format(", v={}", *shape.chunks) : "";
  const std::string g = shape.group_size ? fmt::format(", group size {}", *shape.group_size) : "";
  return fmt::format("p={}, m={}{}{}", shape.ranks, shape.microbatches, v, g);
}

}  // namespace

std::span<const CatalogueEntry> catalogue() {
  return kCatalogue;
}

std::vector<std::string> words_in(std::string_view list) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(' ', begin), list.size());
    words.emplace_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

const CatalogueEntry* find_schedule(std::string_view name) {
  const std::string wanted = lower(name);
  const auto is_called = [&](const CatalogueEntry& entry) {
    const std::vector<std::string> aliases = words_in(entry.aliases);
    return entry.name == wanted ||
           std::any_of(aliases.begin(), aliases.end(),
                       [&](const std::string& alias) { return lower(alias) == wanted; });
  };
  const auto* found = std::find_if(std::begin(kCatalogue), std::end(kCatalogue), is_called);
  return found != std::end(kCatalogue) ? found : nullptr;
}

std::vector<std::string> schedule_names() {
  std::vector<std::string> names;
  for (const CatalogueEntry& entry : kCatalogue)
    names.emplace_back(entry.name);
  return names;
}

std::optional<Misfit> find_misfit(const CatalogueEntry& entry, Shape shape) {
  const Shape asked = shape;
  if (!shape.chunks || !entry.any_chunks)
    shape.chunks = entry.chunks;
  if (!entry.any_group_size)
    shape.group_size.reset();
  auto misfit = entry.misfit(shape);
  const Shape nearest = misfit ? misfit->nearest : shape;
  if (asked.chunks && *asked.chunks != *shape.chunks)
    return Misfit{fmt::format("it has v = {}", *shape.chunks), nearest};
  if (asked.group_size && !entry.any_group_size)
    return Misfit{"it has no group size", nearest};
  return misfit;
}

void check_fits(const CatalogueEntry& entry, Shape shape) {
  if (const auto misfit = find_misfit(entry, shape))
    throw Error(fmt::format("schedule {} at {}: {}; the nearest shape that fits is {}", entry.name,
                            words(shape), misfit->reason, words(misfit->nearest)));
}

Schedule make_schedule(const CatalogueEntry& entry, Shape shape) {
  check_fits(entry, shape);
  if (entry.automatic != nullptr)
    throw Error(
        fmt::format("schedule {} has no order of its own: it is made for costs", entry.name));
  shape.chunks = shape.chunks.value_or(entry.chunks);
  Schedule schedule = entry.generate(shape);
  schedule.name = entry.name;
  return schedule;
}

}  // namespace bubblescope
