#include "analysis/plan/plan_space.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/transformer/analytic_costs.h"

namespace bubblescope {
namespace {

/// With more of them a simulation takes seconds, and gigabytes.
constexpr std::int64_t kMostForwards = 2'000'000;

std::vector<std::int64_t> divisors(std::int64_t number) {
  std::vector<std::int64_t> low;
  std::vector<std::int64_t> high;
  for (std::int64_t i = 1; i * i <= number; ++i)
    if (number % i == 0) {
      low.push_back(i);
      if (i != number / i)
        high.push_back(number / i);
    }
  low.insert(low.end(), high.rbegin(), high.rend());
  return low;
}

/// Degrees that are asked for, or all that are open, as far as they divide `whole`.
std::vector<std::int64_t> dividing(std::int64_t whole, const std::vector<std::int64_t>& asked) {
  if (asked.empty())
    return divisors(whole);
  std::vector<std::int64_t> result;
  std::copy_if(asked.begin(), asked.end(), std::back_inserter(result),
               [&](std::int64_t degree) { return whole % degree == 0; });
  return result;
}

std::int64_t most_experts(const Model& model) {
  std::int64_t most = 1;
  for (const LayerKind& kind : model.kinds)
    if (kind.experts)
      most = std::max(most, kind.experts->count);
  return most;
}

/// Chunks that make the longest stage shorter, and two, which many schedules have.
std::vector<std::int64_t> open_chunks(std::int64_t layers, int ranks) {
  if (ranks == 1)
    return layers > 1 ? std::vector<std::int64_t>{1, 2} : std::vector<std::int64_t>{1};
  std::vector<std::int64_t> result;
  std::int64_t longest = std::numeric_limits<std::int64_t>::max();
  for (std::int64_t chunks = 1; chunks * ranks <= layers; ++chunks) {
    const std::int64_t stage = (layers + chunks * ranks - 1) / (chunks * ranks);
    if (stage < longest || chunks == 2)
      result.push_back(chunks);
    longest = stage;
  }
  return result;
}

/// Why a schedule cannot be had with a split, or is no choice of its own there; none where it is.
std::optional<std::string> misfit_with(const CatalogueEntry& entry, const PlanSplit& split) {
  if (entry.is_for_experts && split.parallel.expert == 1)
    return fmt::format("{} needs ep > 1", entry.name);
  const bool is_alone =
      entry.is_for_experts && split.ranks == 1;  // pairs make it another than 1F1B
  if (entry.any_chunks && split.ranks == 1 && split.chunks > 1)
    return fmt::format("{} has nothing to interleave on one rank", entry.name);
  if (entry.any_chunks && split.chunks == 1 && !is_alone)
    return fmt::format("{} with v=1 is no schedule of its own", entry.name);
  if (split.ranks == 1 && entry.weight_copies > 1)
    return fmt::format("{} needs several ranks", entry.name);
  const auto misfit = find_misfit(
      entry, {.ranks = split.ranks, .microbatches = split.microbatches, .chunks = split.chunks});
  if (!misfit)
    return std::nullopt;
  return fmt::format("{} at p={}, m={}, v={}: {}", entry.name, split.ranks, split.microbatches,
                     split.chunks, misfit->reason);
}

/// One rank has nobody to wait for: of orders without F&B pairs that one counts which holds
/// least, in one chunk unless more are asked for.
std::vector<std::uint32_t> worth_alone(const PlanChoices& choices,
                                       const std::vector<std::uint32_t>& fitting,
                                       const PlanSplit& split) {
  std::vector<std::uint32_t> result;
  std::optional<std::uint32_t> least;
  const auto peak = [&](std::uint32_t number) {
    const CatalogueEntry& entry = *choices.schedules[number];
    constexpr std::int64_t kUnknown = std::numeric_limits<std::int64_t>::max();
    return std::pair(entry.peak.of == nullptr ? kUnknown : entry.peak.of(split.shape()),
                     entry.name != "1f1b");
  };
  for (const std::uint32_t number : fitting) {
    const CatalogueEntry& entry = *choices.schedules[number];
    if (entry.is_for_experts || entry.family == "dualpipe")
      result.push_back(number);
    else if ((split.chunks == 1 || !choices.chunks.empty()) &&
             (!least || peak(number) < peak(*least)))
      least = number;
  }
  if (least)
    result.push_back(*least);
  return result;
}

/// How far a search for configurations came: the last stage that any of them reached tells why
/// there are none.
enum class Reached : std::uint8_t { Nothing, Gpus, Model, Batch, Stages, Schedule };

class Enumeration {
 public:
  explicit Enumeration(const PlanQuestion& question)
      : question_(question), choices_(question.choices) {}

  PlanSpace run() {
    const Hardware& hardware = question_.job.hardware;
    for (const std::int64_t tensor : dividing(question_.gpus, choices_.tensor)) {
      if (tensor > hardware.gpus_per_node) {
        refuse(Reached::Gpus, fmt::format("tp={} does not stay within the {} GPUs of a node of {}",
                                          tensor, hardware.gpus_per_node, hardware.name));
        continue;
      }
      for (const std::int64_t context : dividing(question_.gpus / tensor, choices_.context))
        for (const std::int64_t ranks :
             dividing(question_.gpus / tensor / context, choices_.pipeline))
          add_experts({.tensor = tensor,
                       .data = question_.gpus / tensor / context / ranks,
                       .context = context},
                      ranks);
    }
    return std::move(space_);
  }

  /// Why there are none.
  std::string obstacle() const {
    return reached_ == Reached::Nothing
               ? fmt::format("{} GPUs are no multiple of any tp · cp · pp asked for",
                             question_.gpus)
               : reason_;
  }

 private:
  void refuse(Reached reached, const std::string& reason) {
    if (reached <= reached_)
      return;
    reached_ = reached;
    reason_ = reason;
  }

  void add_experts(Parallel parallel, std::int64_t ranks) {
    if (ranks > question_.job.model.depth())
      return refuse(Reached::Gpus,
                    fmt::format("pp={} is more than the {} layers of {}", ranks,
                                question_.job.model.depth(), question_.job.model.name));
    for (const std::int64_t expert : dividing(parallel.gpus_per_stage(), choices_.expert)) {
      if (choices_.expert.empty() && expert > most_experts(question_.job.model))
        break;
      parallel.expert = expert;
      ModelJob job = question_.job;
      job.parallel = parallel;
      job.training = training_of(question_, parallel);
      try {
        check(parallel, job.model);
        check_sequence(job);
        check_training(job);
      } catch (const Error& error) {
        refuse(Reached::Model, error.what());
        continue;
      }
      add_batches(parallel, static_cast<int>(ranks));
    }
  }

  void add_batches(const Parallel& parallel, int ranks) {
    const auto usual = std::vector<std::int64_t>(std::begin(kUsualMicrobatchSizes),
                                                 std::end(kUsualMicrobatchSizes));
    for (const std::int64_t size :
         choices_.microbatch_sizes.empty() ? usual : choices_.microbatch_sizes) {
      if (question_.global_batch % (parallel.data * size) != 0) {
        refuse(Reached::Batch,
               fmt::format("dp={} · micro-batch size {} does not divide the batch of {} sequences",
                           parallel.data, size, question_.global_batch));
        continue;
      }
      add_chunks(
          {.parallel = parallel,
           .ranks = ranks,
           .microbatch = size,
           .microbatches = static_cast<int>(question_.global_batch / (parallel.data * size))});
    }
  }

  void add_chunks(PlanSplit split) {
    const std::int64_t layers = question_.job.model.depth();
    const auto& layout = question_.job.layout;
    std::vector<std::int64_t> open = open_chunks(layers, split.ranks);
    if (layout && layout->size() % static_cast<std::size_t>(split.ranks) == 0)
      open = {static_cast<std::int64_t>(layout->size()) / split.ranks};
    for (const std::int64_t chunks : choices_.chunks.empty() ? open : choices_.chunks) {
      const std::int64_t depth = chunks * split.ranks;
      if (layout && static_cast<std::int64_t>(layout->size()) != depth) {
        refuse(Reached::Stages, fmt::format("the layout has {} stages, and pp={} · v={} make {}",
                                            layout->size(), split.ranks, chunks, depth));
        continue;
      }
      if (!layout && depth > layers) {
        refuse(Reached::Stages, fmt::format("the {} layers of {} do not give each of {} stages one",
                                            layers, question_.job.model.name, depth));
        continue;
      }
      split.chunks = static_cast<int>(chunks);
      if (depth * split.microbatches > kMostForwards) {
        refuse(Reached::Stages,
               fmt::format("pp={} · v={} · m={} are more than {} forwards a step", split.ranks,
                           chunks, split.microbatches, kMostForwards));
        continue;
      }
      add_schedules(split);
    }
  }

  void add_schedules(PlanSplit split) {
    std::vector<std::uint32_t> fitting;
    for (std::uint32_t i = 0; i < choices_.schedules.size(); ++i) {
      if (const auto misfit = misfit_with(*choices_.schedules[i], split))
        refuse(Reached::Schedule, *misfit);
      else
        fitting.push_back(i);
    }
    if (split.ranks == 1)
      fitting = worth_alone(choices_, fitting, split);
    if (fitting.empty())
      return;
    const std::vector<Recompute> all = {kRecomputeNone, kRecomputeSelective, kRecomputeFull};
    for (const Recompute& recompute : choices_.recompute.empty() ? all : choices_.recompute) {
      split.recompute = recompute;
      const auto number = static_cast<std::uint32_t>(space_.splits.size());
      const std::size_t before = space_.configurations.size();
      for (const std::uint32_t schedule : fitting)
        if (!(recompute.layer && choices_.schedules[schedule]->is_for_experts))
          space_.configurations.push_back({number, schedule});
      if (space_.configurations.size() > before)
        space_.splits.push_back(split);
    }
  }

  const PlanQuestion& question_;
  const PlanChoices& choices_;
  PlanSpace space_ = {};
  Reached reached_ = Reached::Nothing;
  std::string reason_ = {};
};

/// The options whose list, opened again, would give some configurations: "--tp, --pp".
std::vector<std::string> blamed(const PlanQuestion& question) {
  std::vector<std::string> result;
  for (const OpenQuestion& open : with_a_choice_open(question))
    if (!Enumeration(open.question).run().configurations.empty())
      result.emplace_back(open.option);
  return result;
}

}  // namespace

PlanSpace plan_space(const PlanQuestion& question) {
  check_precision(question.job);
  Enumeration enumeration(question);
  PlanSpace space = enumeration.run();
  std::map<std::tuple<std::uint32_t, int, int>, int> most;  // micro-batches
  for (const PlanSpace::Configuration& each : space.configurations) {
    const PlanSplit& split = space.splits[each.split];
    int& microbatches = most[{each.schedule, split.ranks, split.chunks}];
    microbatches = std::max(microbatches, split.microbatches);
  }
  for (const auto& [key, microbatches] : most) {
    const auto [schedule, ranks, chunks] = key;
    space.traits[key] =
        order_traits(*question.choices.schedules[schedule],
                     {.ranks = ranks, .microbatches = microbatches, .chunks = chunks});
  }
  if (!space.configurations.empty())
    return space;
  std::string text = fmt::format("no configuration is left: {}", enumeration.obstacle());
  if (const std::vector<std::string> options = blamed(question); !options.empty())
    text += fmt::format("; without {} there would be some", fmt::join(options, ", or without "));
  throw Error(text);
}

}  // namespace bubblescope
