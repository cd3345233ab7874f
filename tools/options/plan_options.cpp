#include "tools/options/plan_options.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/transformer/stage_memory.h"
#include "tools/commands/contender.h"
#include "tools/options/cost_options.h"
#include "tools/options/framework_defaults.h"
#include "tools/options/units.h"

namespace bubblescope {
namespace {

constexpr std::int64_t kMostDegree = 1'000'000;

/// "15T", "300B", "1.5e12"
double read_tokens(const std::string& word) {
  constexpr std::pair<char, double> kUnits[] = {{'K', 1e3}, {'M', 1e6}, {'B', 1e9}, {'T', 1e12}};
  double factor = 1;
  std::string digits = word;
  for (const auto& [letter, value] : kUnits)
    if (word.ends_with(letter)) {
      factor = value;
      digits.pop_back();
    }
  double number = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  constexpr double kMostTokens = 1e18;
  if (error != std::errc() || rest != digits.data() + digits.size() || !(number > 0) ||
      number * factor > kMostTokens)
    refuse_word("a number of tokens such as 15T or 300B", word);
  return number * factor;
}

/// "2/8", from 1.
PlanShard read_shard(const std::string& word) {
  const std::size_t slash = word.find('/');
  if (slash == std::string::npos)
    refuse_word("a shard such as 2/8", word);
  const auto shards = count_from<std::int64_t>(1, kMostShards)(word.substr(slash + 1));
  const auto shard = count_from<std::int64_t>(1, kMostShards)(word.substr(0, slash));
  if (shard > shards)
    throw UsageError(fmt::format("there is no shard {} of {}", shard, shards));
  return {static_cast<std::uint32_t>(shards), static_cast<std::uint32_t>(shard - 1)};
}

template <typename T>
void add_once(std::vector<T>& list, T value, const std::string& word) {
  if (std::find(list.begin(), list.end(), value) != list.end())
    throw UsageError(fmt::format("{} is given twice", word));
  list.push_back(value);
}

}  // namespace

PlanCommandOptions::PlanCommandOptions() {
  model.left_out = {"--parallel",        "--tp",       "--cp", "--ep", "--dp",
                    "--microbatch-size", "--recompute"};
}

void PlanCommandOptions::add_choices_to(CLI::App& app) {
  const char* group = "Choices, each a list; all that are valid where it is left out";
  const auto add = [&](const char* names, const char* help, std::vector<std::int64_t>& list) {
    declare_list(app, {names, "N,...", help, group}, [&list](const std::string& word) {
      add_once(list, count_from<std::int64_t>(1, kMostDegree)(word), word);
    });
  };
  add("--tp", "tensor parallelism, within a node", choices.tensor);
  add("--cp", "context parallelism", choices.context);
  add("-p,--ranks,--pp", "ranks of the pipeline", choices.pipeline);
  add("--ep", "expert parallelism", choices.expert);
  add("-v,--chunks", "stages that a rank holds (default: those that make stages shorter)",
      choices.chunks);
  add("--microbatch-size", "sequences of a micro-batch (default: 1, 2, 4 and 8)",
      choices.microbatch_sizes);
  declare_list(app, {"--recompute", "WHAT,...", "none, selective, full", group},
               [this](const std::string& word) {
                 add_once(choices.recompute,
                          one_of<Recompute>({{"none", kRecomputeNone},
                                             {"selective", kRecomputeSelective},
                                             {"full", kRecomputeFull}})(word),
                          word);
               });
  declare_list(
      app,
      {"--schedules", "A,B,...",
       "by name, family (zero-bubble) or framework (megatron, torchtitan, deepspeed); zb-auto and "
       "v-auto are made for the best divisions alone",
       group},
      [this](const std::string& word) {
        std::vector<Contender> chosen;
        choose_schedules(CLI::detail::trim_copy(word), chosen);
        for (const Contender& each : chosen) {
          const CatalogueEntry* entry = each.source.entry();
          auto& list = entry->automatic == nullptr ? choices.schedules : choices.searched;
          if (std::find(list.begin(), list.end(), entry) == list.end())
            list.push_back(entry);
        }
      });
}

void PlanCommandOptions::add_run_to(CLI::App& app) {
  std::vector<std::pair<std::string, Comm>> ways;
  for (const CommName& each : comm_names())
    ways.emplace_back(each.name, each.comm);
  passed_on.add(
      add_option(app,
                 {"--comm", "WAY", "how messages travel: ideal (default), stream, batched, torch",
                  "Communication"},
                 comm.comm, one_of<Comm>(std::move(ways))));
  add_like(app, like, model.given);
  add_iteration(app, iteration, passed_on);
}

void PlanCommandOptions::add_to(CLI::App& app) {
  add_choices_to(app);
  model.add_to(app);
  add_run_to(app);
  const char* group = "Search";
  passed_on.add(add_option(
      app, {"--memory-limit", "SIZE", "bytes a GPU (default: what the hardware has)", group},
      memory_limit, read_size));
  constexpr int kMostTop = 100'000;
  add_option(app, {"--top", "N", "how many of the best are shown (default: 10)", group}, top,
             count_from(1, kMostTop));
  add_flag(
      app,
      {"--all", "", "every configuration and what became of it, as CSV or lines of JSON", group},
      all);
  add_option(app,
             {"--shard", "I/N",
              "searches one of N parts, for 'plan merge', which puts them together", group},
             shard, read_shard)
      ->excludes(app.get_option("--all"));
  add_flag(app, {"--exhaustive", "", "simulates all that fit; what is found is the same", group},
           exhaustive);
  add_option(app, {"--tokens", "N", "adds days: of the whole training, such as 15T", group}, tokens,
             read_tokens);
  constexpr double kMostPrice = 1e6;
  add_option(app, {"--price", "X", "adds costs: of a GPU for an hour", group}, price,
             [](const std::string& word) { return read_factor(word, 0, kMostPrice); });
  app.get_option("--price")->needs(app.get_option("--tokens"));
  CLI::Option* emit_option = add_option(
      app,
      {"--emit", "FOR",
       "writes the best for a framework, megatron or torchtitan, instead of tables", group},
      emit,
      one_of<EmitFor>({{"megatron", EmitFor::Megatron}, {"torchtitan", EmitFor::Torchtitan}}));
  for (const char* other : {"--all", "--shard"})
    emit_option->excludes(app.get_option(other));
  for (const CLI::Option* option : app.get_options())
    if (const auto& names = option->get_lnames(); !names.empty() && names.front() != "shard" &&
                                                  names.front() != "emit" &&
                                                  names.front() != "help")
      asked.add(option);
  output.add_to(app);
  app.add_option("WORDS", words, "merge FILE...: puts shards together")->type_name("");
}

std::vector<std::string> PlanCommandOptions::question_words() const {
  std::vector<std::string> result;
  for (const CLI::Option* option : asked.options()) {
    if (option->count() == 0)
      continue;
    std::string word = "--" + option->get_lnames().front();
    if (option->get_type_size() > 0)
      word += fmt::format("={}", fmt::join(option->results(), ","));
    result.push_back(word);
  }
  return result;
}

/// Sets --like's defaults where nothing is given.
void PlanCommandOptions::apply_defaults(PlanQuestion& question) const {
  const FrameworkDefaults* defaults = framework_defaults(like);
  if (defaults == nullptr)
    return;
  CommOptions ways = comm;
  apply(*defaults, model.given, question.job.training, ways);
  question.comm = ways.ways();
  if (!model.given.is_given("--sequence-parallel"))
    question.divides_sequence_for_experts = true;
  if (question.choices.schedules.empty())
    for (const CatalogueEntry& entry : catalogue()) {
      const std::vector<std::string> having = words_in(entry.frameworks);
      if (entry.automatic == nullptr &&
          std::find(having.begin(), having.end(), like) != having.end())
        question.choices.schedules.push_back(&entry);
    }
}

PlanQuestion PlanCommandOptions::question() const {
  for (const char* name : {"--model", "--hardware", "--gpus", "--global-batch"})
    if (!model.given.is_given(name))
      throw UsageError(fmt::format("{} is required", name));
  PlanQuestion question{.job = model.job(1),
                        .gpus = *model.gpus,
                        .global_batch = *model.global_batch,
                        .choices = choices,
                        .comm = comm.ways(),
                        .iteration = iteration};
  question.memory_limit = std::max<Bytes>(tensor_memory(device_limit(question.job.hardware)), 0);
  if (choices.schedules.empty() && !choices.searched.empty())
    throw UsageError(fmt::format("{} is made for the best divisions that others have: name one of "
                                 "them, too",
                                 choices.searched.front()->name),
                     {"--schedules"});
  apply_defaults(question);
  if (!question.choices.schedules.empty())
    return question;
  question.choices.schedules = ordered_schedules();
  for (const CatalogueEntry& entry : catalogue())
    if (entry.automatic != nullptr)
      question.choices.searched.push_back(&entry);
  return question;
}

}  // namespace bubblescope
