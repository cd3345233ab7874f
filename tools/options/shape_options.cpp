#include "tools/options/shape_options.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "tools/options/units.h"

namespace bubblescope {

void ShapeOptions::add_to(CLI::App& app, Chunks how_many) {
  const char* group = "Shape";
  add_option(app, {"-p,--ranks,--pp", "N", "pipeline ranks", group}, ranks, count_from(1));
  add_option(app, {"-m,--microbatches", "N", "micro-batches a step, over all pipes", group},
             microbatches, count_from(1));
  const auto take = [this](const std::string& word) {
    const int v = count_from(1)(word);
    if (std::find(chunks.begin(), chunks.end(), v) != chunks.end())
      throw UsageError(fmt::format("{} is given twice", v));
    chunks.push_back(v);
  };
  if (how_many == Chunks::One)
    declare_option(
        app, {"-v,--chunks", "N", "stages that a rank holds per pipe (virtual stages)", group},
        take);
  else
    declare_list(app,
                 {"-v,--chunks", "N,...",
                  "stages that a rank holds per pipe (virtual stages): schedules that take any "
                  "stand there once for each",
                  group},
                 take);
  add_option(
      app,
      {"--group-size", "N",
       "micro-batches that pass a rank's chunks together, in interleaved schedules (default: "
       "p); Megatron's --microbatch-group-size-per-vp-stage",
       group},
      group_size, count_from(1));
}

Shape ShapeOptions::shape(const Shape& present) const {
  const auto count = [&](const char* option, std::optional<int> asked, int otherwise) {
    if (!asked && otherwise == 0)
      throw UsageError(fmt::format("{} is required", option));
    return asked.value_or(otherwise);
  };
  Shape shape = {.ranks = count("-p/--ranks", ranks, present.ranks),
                 .microbatches = count("-m/--microbatches", microbatches, present.microbatches),
                 .group_size = group_size};
  if (!chunks.empty())
    shape.chunks = chunks.front();
  for (const int v : chunks.empty() ? std::vector{1} : chunks) {
    const double ops = 3.0 * shape.ranks * static_cast<double>(shape.microbatches) * v;
    if (ops > static_cast<double>(kMostOps))
      throw UsageError(fmt::format(
          "p={}, m={}, v={} are too large: {:.3g} ops, and {} are the most that can be numbered",
          shape.ranks, shape.microbatches, v, ops, kMostOps));
  }
  return shape;
}

void CommOptions::add_to(CLI::App& app) {
  const char* group = "Communication";
  std::vector<std::pair<std::string, Comm>> ways;
  for (const CommName& each : comm_names())
    ways.emplace_back(each.name, each.comm);
  add_option(
      app,
      {"--comm", "WAY",
       "how messages travel: ideal, occupying no one (default); stream, beside the actions "
       "and one after another; batched, started together and waited for; torch, as PyTorch's "
       "pipeline runtime posts them",
       group},
      comm, one_of<Comm>(std::move(ways)));
  std::vector<std::pair<std::string, Channels>> which;
  for (const Channels each : {Channels::PerRank, Channels::PerPair, Channels::PerDirection})
    which.emplace_back(to_string(each), each);
  add_option(app,
             {"--channels", "WHICH",
              "which of a rank's messages run one after another, with stream and torch: rank, all; "
              "pair, those with one peer (torch's default); direction, those from or to one peer "
              "(stream's default)",
              group},
             channels, one_of<Channels>(std::move(which)));
}

void CommOptions::set_channels(PostedProgram& program) const {
  if (!channels)
    return;
  if (!has_channels(program.comm))
    throw UsageError(fmt::format("--channels is for messages that are posted one by one: --comm "
                                 "torch or stream, not {}",
                                 to_string(program.comm)),
                     {"--channels", "--comm"});
  program.channels = *channels;
}

const CatalogueEntry& require_schedule(std::string_view name) {
  const CatalogueEntry* entry = find_schedule(name);
  if (entry == nullptr)
    throw UsageError(fmt::format("there is no schedule '{}'{}\n  schedules: {}", name.substr(0, 40),
                                 did_you_mean(name, schedule_names()),
                                 fmt::join(schedule_names(), ", ")));
  return *entry;
}

namespace {

MemoryLimit read_limit(const std::string& word) {
  const bool is_number =
      std::all_of(word.begin(), word.end(), [](unsigned char c) { return std::isdigit(c) != 0; });
  if (is_number)
    return {.live_activations = count_from(1)(word)};
  return {.bytes = read_size(word)};
}

}  // namespace

void LimitOptions::add_to(CLI::App& app) {
  const char* group = "Memory and automatic schedules";
  memory_limit.add(add_option(
      app,
      {"--memory-limit", "N|SIZE",
       "live activations of stages, or bytes a GPU (80GB; with --model always), to compare "
       "schedules of one and of two stages a rank: zb-auto and v-auto stay within it (default: "
       "what 1F1B holds), and what does not fit is marked (default with --model: what a GPU has)",
       group},
      automatic.memory, read_limit));
  search.add(add_option(
      app,
      {"--objective", "WHAT",
       "what zb-auto and v-auto make short, with ideal communication: step, the step time "
       "(default); span, the widest rank's",
       group},
      automatic.objective,
      one_of<Objective>({{"step", Objective::Step}, {"span", Objective::Span}})));
  constexpr int kMostEffort = 1'000'000;
  search.add(
      add_option(app,
                 {"--effort", "N",
                  "how many passes they search, of which the best counts (default: 1)", group},
                 automatic.effort, count_from(1, kMostEffort)));
}

}  // namespace bubblescope
