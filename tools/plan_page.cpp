#include "tools/plan_page.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "analysis/figures/fits.h"
#include "analysis/plan/plan_details.h"
#include "analysis/plan/plan_front.h"
#include "sim/base/json_text.h"
#include "sim/base/parallel.h"
#include "sim/transformer/stage_memory.h"
#include "tools/plan_rows.h"

namespace bubblescope {
namespace {

const char* state_word(PlanState state) {
  constexpr const char* kWords[] = {"open", "does not fit", "excluded", "simulated"};
  return kWords[static_cast<std::size_t>(state)];
}

MemoryLimit limit_of(const PlanCommandOptions& options, const PlanQuestion& question) {
  return {.bytes = options.device_limit(question.job.hardware),
          .owner = options.memory_limit ? "" : question.job.hardware.name};
}

/// Notes about a result; rows are named as its space names them.
class Notes {
 public:
  Notes(const PlanRows& rows, const PlanQuestion& question, const PlanResult& result)
      : rows_(rows), question_(question), result_(result) {}

  const PlanRow& best() const { return result_.simulated.front(); }

  std::string best_words() const {
    return fmt::format("best: {}: {} an iteration\n  {}", rows_.name(best().number),
                       seconds(best().figures.iteration_time), rows_.command(best().number));
  }

  std::size_t ties() const { return result_.ties(tie_percent(question_.job.model)); }

  /// Among the ties the simplest; the best itself where there is no other.
  const PlanRow& simplest() const {
    const auto ties = static_cast<std::ptrdiff_t>(this->ties());
    return *std::min_element(result_.simulated.begin(), result_.simulated.begin() + ties,
                             [&](const PlanRow& a, const PlanRow& b) {
                               return is_simpler(question_, result_.space, a.number, b.number);
                             });
  }

  std::string ties_words() const {
    const std::size_t ties = this->ties();
    const int percent = tie_percent(question_.job.model);
    if (ties == 1)
      return fmt::format("no other is within {} % of it", percent);
    const PlanRow& simple = simplest();
    std::string text =
        fmt::format("{} {} within {} % of it", ties - 1, ties == 2 ? "is" : "are", percent);
    if (&simple == &best())
      return text + ", and none is simpler";
    return text + fmt::format("; the simplest, {} longer: {}\n  {}", longer(simple),
                              rows_.name(simple.number), rows_.command(simple.number));
  }

  /// Why the best wins over the next of another family; empty where none is known.
  std::string reason() const {
    const auto family = [&](const PlanRow& row) {
      return question_.choices.schedules[result_.space.configurations[row.number].schedule]->family;
    };
    const auto known =
        result_.simulated.begin() + static_cast<std::ptrdiff_t>(std::max(ties(), shown_));
    const auto other = std::find_if(result_.simulated.begin(), known, [&](const PlanRow& row) {
      return family(row) != family(best());
    });
    if (other == known)
      return "";
    return fmt::format("the next of another kind takes {} longer: {}: {}", longer(*other),
                       rows_.name(other->number), because(*other));
  }

  /// Tells how much more memory would give; empty where it gives nothing.
  std::string beyond() const {
    if (result_.beyond.empty())
      return "";
    std::string text;
    const auto add = [&](const PlanRow& row) {
      text += fmt::format("{}with {} more: {} less time, by {}", text.empty() ? "" : "; ",
                          format_bytes(device_memory(row.figures.peak_memory) -
                                       device_memory(question_.memory_limit)),
                          less(row), rows_.name(row.number));
    };
    add(result_.beyond.back());
    if (result_.beyond.size() > 1)
      add(result_.beyond.front());
    return text;
  }

  /// Tells how much each choice costs that is narrowed; empty where none is.
  std::string opened(const PlanCommandOptions& options,
                     const std::vector<OpenedChoice>& choices) const {
    std::vector<std::string> parts;
    std::vector<std::string_view> for_nothing;
    for (const OpenedChoice& each : choices) {
      if (!each.quickest) {
        for_nothing.push_back(each.option);
        continue;
      }
      const PlanRows rows(options, each.question, each.space);
      parts.push_back(fmt::format("{} {} less time, by {}", each.option, less(*each.quickest),
                                  rows.name(each.quickest->number)));
    }
    if (!for_nothing.empty())
      parts.push_back(fmt::format("{} no less time", fmt::join(for_nothing, ", ")));
    return parts.empty() ? "" : fmt::format("left open: {}", fmt::join(parts, "; "));
  }

  void show(std::size_t rows) { shown_ = rows; }

 private:
  std::string seconds(Time time) const {
    return TimeUnit::fit(best().figures.iteration_time).format(time);
  }
  std::string less(const PlanRow& row) const {
    return short_percent(1 - ratio(row.figures.iteration_time, best().figures.iteration_time));
  }
  std::string longer(const PlanRow& row) const {
    return short_percent(ratio(row.figures.iteration_time, best().figures.iteration_time) - 1);
  }

  /// Its ranks work or wait longer, or what follows the step does.
  std::string because(const PlanRow& other) const {
    const auto ranks = [&](const PlanRow& row) {
      return result_.space.splits[result_.space.configurations[row.number].split].ranks;
    };
    const auto work = [&](const PlanRow& row) { return row.figures.busy / ranks(row); };
    const auto idle = [&](const PlanRow& row) { return row.figures.step_time - work(row); };
    const auto after = [&](const PlanRow& row) {
      return row.figures.iteration_time - row.figures.step_time;
    };
    const Time more_work = work(other) - work(best());
    const Time more_idle = idle(other) - idle(best());
    const Time more_after = after(other) - after(best());
    if (more_work >= more_idle && more_work >= more_after)
      return fmt::format("a rank works {} instead of {}", seconds(work(other)),
                         seconds(work(best())));
    if (more_idle >= more_after)
      return fmt::format("a rank idles {} instead of {}", seconds(idle(other)),
                         seconds(idle(best())));
    return fmt::format("reduction and optimizer take {} instead of {}", seconds(after(other)),
                       seconds(after(best())));
  }

  const PlanRows& rows_;
  const PlanQuestion& question_;
  const PlanResult& result_;
  std::size_t shown_ = 0;
};

std::vector<std::string> title(const PlanCommandOptions& options, const PlanQuestion& question) {
  const CommWays& comm = question.comm;
  const std::string interleaved =
      comm.interleaved && *comm.interleaved != comm.plain
          ? fmt::format(", {} where stages are interleaved", to_string(*comm.interleaved))
          : "";
  return {fmt::format("{} on {} {}, {} sequences of {} tokens, {} communication{}",
                      question.job.model.name, question.gpus, question.job.hardware.name,
                      question.global_batch, question.job.training.sequence,
                      to_string(question.comm.plain), interleaved),
          "limit: " + limit_words(limit_of(options, question))};
}

Json opened_row(const PlanCommandOptions& options, const OpenedChoice& opened, Time best) {
  const PlanRow& row = *opened.quickest;
  const auto details = plan_details(opened.question, opened.space, {row.number}, 1);
  return PlanRows(options, opened.question, opened.space).row(row, best, details.front());
}

}  // namespace

PlanPage plan_page(const PlanCommandOptions& options, const PlanQuestion& question,
                   const PlanFindings& findings) {
  const PlanResult& result = findings.result;
  PlanRows rows(options, question, result.space);
  Notes notes(rows, question, result);
  PlanPage page{.title = title(options, question),
                .ties = notes.ties(),
                .tie_percent = tie_percent(question.job.model),
                .counts = result.counts,
                .is_interrupted = result.is_interrupted};
  const Time best = result.simulated.front().figures.iteration_time;
  const auto shown = std::min(static_cast<std::size_t>(options.top), result.simulated.size());
  notes.show(shown);
  const auto detailed = [&](const std::vector<PlanRow>& list) {
    std::vector<std::uint32_t> numbers;
    numbers.reserve(list.size());
    for (const PlanRow& row : list)
      numbers.push_back(row.number);
    const std::vector<PlanDetails> details =
        plan_details(question, result.space, numbers, machine_threads());
    Rows json;
    json.reserve(list.size());
    for (std::size_t i = 0; i < list.size(); ++i)
      json.push_back(rows.row(list[i], best, details[i]));
    return json;
  };
  page.results = detailed(
      {result.simulated.begin(), result.simulated.begin() + static_cast<std::ptrdiff_t>(shown)});
  page.front = detailed(result.front);
  page.beyond = detailed(result.beyond);
  page.simplest = detailed({notes.simplest()}).front();
  const FinalistPlan& finalists = findings.finalists;
  PlanRows made(options, finalists.question, finalists.space);
  for (std::size_t i = 0; i < finalists.rows.size(); ++i)
    page.finalists.push_back(made.row(finalists.rows[i], best, finalists.details[i]));
  for (const OpenedChoice& each : findings.opened)
    page.opened.push_back({{"option", each.option},
                           {"quickest", each.quickest ? opened_row(options, each, best) : Json()}});
  for (const std::string& note : {notes.best_words(), notes.ties_words(), notes.reason(),
                                  notes.beyond(), notes.opened(options, findings.opened)})
    if (!note.empty())
      page.notes.push_back(note);
  if (findings.better)
    page.notes.push_back(
        fmt::format("with layers laid by their load the best takes {} less time: --layout balanced",
                    short_percent(findings.better->saving)));
  return page;
}

std::string all_rows(const PlanCommandOptions& options, const PlanQuestion& question,
                     const PlanResult& result, bool as_json) {
  PlanRows rows(options, question, result.space);
  std::vector<const PlanRow*> simulated(result.states.size());
  for (const PlanRow& row : result.simulated)
    simulated[row.number] = &row;
  const Time best = result.simulated.front().figures.iteration_time;
  Rows all;
  std::string lines;
  for (std::uint32_t number = 0; number < result.states.size(); ++number) {
    Json row = rows.bounded(number, result.bounds[number]);
    if (simulated[number] != nullptr)
      row.update(rows.row(*simulated[number], best));
    row["state"] = state_word(result.states[number]);
    if (as_json)
      lines += dump_json(row, -1) + "\n";
    else
      all.push_back(std::move(row));
  }
  return as_json ? lines : to_csv(all);
}

std::string why_nothing_fits(const PlanCommandOptions& options, const PlanQuestion& question,
                             const PlanResult& result) {
  if (!result.lightest)
    return "interrupted before any configuration that fits was simulated";
  const PlanRows rows(options, question, result.space);
  return fmt::format("no configuration fits {}: the least memory that would do is {}, by {}\n  {}",
                     limit_words(limit_of(options, question)),
                     format_bytes(device_memory(result.lightest->figures.peak_memory)),
                     rows.name(result.lightest->number), rows.command(result.lightest->number));
}

Provenance plan_provenance(const PlanCommandOptions& options, const PlanQuestion& question) {
  Json all = *provenance("plan");
  Json inputs = {{"gpus", question.gpus},
                 {"global_batch", question.global_batch},
                 {"memory_limit_bytes", options.device_limit(question.job.hardware)},
                 {"comm", to_string(question.comm.plain)},
                 {"interleaved_comm",
                  question.comm.interleaved ? Json(to_string(*question.comm.interleaved)) : Json()},
                 {"top", options.top},
                 {"balanced_layout", question.job.is_balanced},
                 {"question", options.question_words()},
                 {"schedules", Json::array()}};
  for (const auto* list : {&question.choices.schedules, &question.choices.searched})
    for (const CatalogueEntry* entry : *list)
      inputs["schedules"].push_back(entry->name);
  const auto add = [&](const char* key, const std::vector<std::int64_t>& list) {
    inputs[key] = list.empty() ? Json() : Json(list);
  };
  add("tp", question.choices.tensor);
  add("cp", question.choices.context);
  add("pp", question.choices.pipeline);
  add("ep", question.choices.expert);
  add("chunks", question.choices.chunks);
  add("microbatch_sizes", question.choices.microbatch_sizes);
  Json job = job_json(question.job);
  for (const char* searched : {"parallel", "microbatch_size", "recompute"})
    job.erase(searched);
  inputs.update(job);
  all["inputs"] = std::move(inputs);
  return std::make_shared<const Json>(std::move(all));
}

}  // namespace bubblescope
