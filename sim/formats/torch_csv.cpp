#include "sim/formats/torch_csv.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/printable.h"
#include "sim/formats/tokens.h"
#include "sim/program/steps.h"
#include "sim/schedule/words.h"

namespace bubblescope {
namespace {

/// A cell without blanks and quotes around it.
std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == text.npos)
    return {};
  text = text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
  const bool is_quoted = text.size() > 1 && text.front() == '"' && text.back() == '"';
  return is_quoted ? text.substr(1, text.size() - 2) : text;
}

/// Calls `visit(line, column, cell)` for each cell that is not empty, both from 0, and
/// `end_line(line)` behind each line, but for empty ones at the end of the text.
template <typename Visitor, typename EndLine>
void for_each_cell(std::string_view text, Visitor&& visit, EndLine&& end_line) {
  text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
  for (std::size_t line = 0, column = 0, begin = 0; begin <= text.size(); ++column) {
    const std::size_t end = std::min(text.find_first_of(",\n", begin), text.size());
    if (const auto cell = trimmed(text.substr(begin, end - begin)); !cell.empty())
      visit(line, column, cell);
    if (end == text.size() || text[end] == '\n') {
      end_line(line++);
      column = static_cast<std::size_t>(-1);
    }
    begin = end + 1;
  }
}

constexpr auto kNothing = [](std::size_t) {};

/// Reads the cells, then finds out what they mean together.
class CsvReader {
 public:
  CsvReader(std::string_view text, const std::string& file) : text_(text), file_(file) {
    for_each_cell(
        text,
        [&](std::size_t line, std::size_t column, std::string_view cell) {
          add(line, column, cell);
        },
        [&](std::size_t line) { end_line(line); });
  }

  /// Takes tokens of another dialect for what they mean, and notes if that was not asked for.
  void translate(Dialect dialect, std::vector<std::string>& notes) {
    const auto full = find(TokenKind::OldBackward);
    const auto input = find(TokenKind::BackwardInput);
    if (dialect == Dialect::Current && full)
      fail(*full, "BW is of PyTorch's dialect before 2.6, expected that of today");
    if (dialect == Dialect::Before26 && input)
      fail(*input, "I is not of PyTorch's dialect before 2.6, expected B for the input's gradient");
    if (full && input)
      fail(std::max(*full, *input),
           "one file has both I and BW, which are of two dialects of PyTorch");
    const bool is_old = dialect == Dialect::Before26 || full ||
                        (dialect == Dialect::Auto && !input && find(TokenKind::BackwardWeight));
    if (!is_old)
      return;
    for (CsvStep& step : steps_)
      if (step.token.kind == TokenKind::Backward)
        step.token.kind = TokenKind::BackwardInput;
      else if (step.token.kind == TokenKind::OldBackward)
        step.token.kind = TokenKind::Backward;
    if (dialect != Dialect::Before26)
      notes.push_back(fmt::format(
          "{}: read in PyTorch's dialect before 2.6, where B is the gradient for the input: it has "
          "{} (--dialect chooses)",
          file_, full ? "BW" : "W and no I"));
  }

  PostedProgram program(std::vector<std::string>& notes) {
    PostedProgram program;
    program.schedule.name = printable(file_);
    const auto has = [&](auto&& is_one) {
      return std::any_of(steps_.begin(), steps_.end(),
                         [&](const CsvStep& step) { return is_one(step.token.kind); });
    };
    const bool has_messages = has(is_message);
    const bool has_collectives = has([](TokenKind kind) { return kind >= TokenKind::Unshard; });
    const bool spells_out = has_messages || (has_collectives && ranks() == 1);  // one needs none
    if (has_collectives && !spells_out)
      notes.push_back(fmt::format(
          "{}: has no messages, and is read as an order alone, without its collectives", file_));
    program.comm = spells_out ? Comm::Torch : Comm::Ideal;
    program.channels = default_channels(program.comm);
    place_stages(program.schedule);
    count_microbatches(program.schedule);
    if (program.schedule.placement.pipes == 2)
      notes.push_back(fmt::format(
          "{}: read as two pipes of {} stages, since each half of the stages has half of the "
          "micro-batches",
          file_, program.schedule.placement.depth));
    write_steps(program);
    return program;
  }

 private:
  struct CsvStep {
    Token token;
    bool is_pair_with_next = false;  // the next one is of the same cell
  };

  void add(std::size_t line, std::size_t column, std::string_view cell) {
    try {
      const Word word = parse_word(cell);
      steps_.push_back({word.token, word.overlapped.has_value()});
      if (word.overlapped)
        steps_.push_back({*word.overlapped});
    } catch (const Error& error) {
      throw Error(
          fmt::format("{}: line {}, column {}: {}", file_, line + 1, column + 1, error.what()));
    }
  }

  void end_line(std::size_t line) {
    if (steps_.size() == line_end_.back())
      throw Error(
          fmt::format("{}: line {}: is empty, and rank {} does nothing", file_, line + 1, line));
    line_end_.push_back(steps_.size());
  }

  std::optional<std::size_t> find(TokenKind kind) const {
    const auto found = std::find_if(steps_.begin(), steps_.end(),
                                    [&](const CsvStep& step) { return step.token.kind == kind; });
    return found == steps_.end() ? std::nullopt
                                 : std::optional<std::size_t>(found - steps_.begin());
  }

  int ranks() const { return static_cast<int>(line_end_.size()) - 1; }
  Rank line_of(std::size_t step) const {
    return static_cast<Rank>(std::upper_bound(line_end_.begin(), line_end_.end(), step) -
                             line_end_.begin() - 1);
  }

  [[noreturn]] void fail(std::size_t step, std::string_view what) const {
    const Rank rank = line_of(step);
    std::size_t cell = 0;
    for (std::size_t i = line_end_[static_cast<std::size_t>(rank)]; i < step; ++i)
      cell += steps_[i].is_pair_with_next ? 0U : 1U;
    std::string word;
    for_each_cell(
        text_,
        [&, seen = std::size_t{0}](std::size_t line, std::size_t, std::string_view text) mutable {
          if (line == static_cast<std::size_t>(rank) && seen++ == cell)
            word = quoted_word(text);
        },
        kNothing);
    throw Error(fmt::format("{}: {}: {}: {}", file_,
                            torch_csv_place(text_, rank, cell, Comm::Torch), word, what));
  }

  /// The step with the greatest value of `of`.
  template <typename Of>
  std::size_t greatest(Of&& of) const {
    return static_cast<std::size_t>(
        std::max_element(steps_.begin(), steps_.end(),
                         [&](const CsvStep& a, const CsvStep& b) { return of(a) < of(b); }) -
        steps_.begin());
  }

  /// Each stage sits where more than half of its actions are, found by majority vote: one that
  /// strays is not taken for its home.
  void place_stages(Schedule& schedule) const {
    const auto stage_of = [](const CsvStep& step) {
      return is_compute(step.token.kind) ? step.token.stage : -1;
    };
    const std::size_t last = greatest(stage_of);
    if (stage_of(steps_[last]) < 0)
      fail(last, "there are no actions, such as 0F0,0B0");
    const auto stages = static_cast<std::size_t>(steps_[last].token.stage) + 1;
    if (stages > steps_.size())
      fail(last, fmt::format("there is stage {}, but the file has only {} tokens: stages are "
                             "missing",
                             stages - 1, steps_.size()));
    std::vector<Rank> home(stages, -1);
    std::vector<std::size_t> votes(stages);
    for (Rank rank = 0; rank < ranks(); ++rank)
      for (std::size_t i = line_end_[static_cast<std::size_t>(rank)];
           i < line_end_[static_cast<std::size_t>(rank) + 1]; ++i) {
        if (!is_compute(steps_[i].token.kind))
          continue;
        const auto stage = static_cast<std::size_t>(steps_[i].token.stage);
        if (votes[stage] == 0)
          home[stage] = rank;
        votes[stage] += home[stage] == rank ? 1 : static_cast<std::size_t>(-1);
      }
    const auto missing = std::find(home.begin(), home.end(), -1);
    if (missing != home.end())
      throw Error(fmt::format("{}: stage {} is nowhere, but there is stage {}", file_,
                              missing - home.begin(), stages - 1));
    schedule.placement.ranks = ranks();
    schedule.placement.rank_of_stage = std::move(home);
  }

  /// How many micro-batches there are, and whether two pipes share them.
  void count_microbatches(Schedule& schedule) const {
    Placement& placement = schedule.placement;
    const auto microbatch = [](const CsvStep& step) {
      return is_compute(step.token.kind) ? step.token.microbatch : -1;
    };
    const std::size_t last = greatest(microbatch);
    const std::size_t stages = placement.rank_of_stage.size();
    const auto microbatches = static_cast<std::size_t>(microbatch(steps_[last])) + 1;
    const auto actions = static_cast<std::size_t>(std::count_if(
        steps_.begin(), steps_.end(), [&](const CsvStep& step) { return microbatch(step) >= 0; }));
    // An F and a backward each, at most two in an action, and one in four of them there, as in
    // JSON: else a number is mistyped.
    if (microbatches > 2 * actions || microbatches * stages > 4 * actions)
      fail(last, fmt::format("there is micro-batch {}, but the file has only {} actions for {} "
                             "stages: micro-batches are missing",
                             microbatches - 1, actions, stages));
    schedule.microbatches = static_cast<int>(microbatches);
    const auto half_stage = static_cast<Stage>(stages / 2);
    const auto half = static_cast<MicroBatch>(microbatches / 2);
    const bool is_shared =
        stages % 2 == 0 && microbatches % 2 == 0 &&
        std::all_of(steps_.begin(), steps_.end(), [&](const CsvStep& step) {
          return !is_compute(step.token.kind) ||
                 (step.token.stage < half_stage) == (step.token.microbatch < half);
        });
    placement.pipes = is_shared ? 2 : 1;
    placement.depth = static_cast<int>(stages) / placement.pipes;
    for (Stage stage = 0; stage < placement.stages(); ++stage)
      placement.weights_of_stage.push_back(stage % placement.depth);
    if (const auto fault = find_placement_fault(placement))
      throw Error(fmt::format("{}: {}", file_, *fault));
  }

  void write_steps(PostedProgram& program) const {
    Schedule& schedule = program.schedule;
    OrderWriter writer(schedule, steps_.size());
    std::size_t slot = 0;
    for (Rank rank = 0; rank < ranks(); ++rank) {
      for (std::size_t i = line_end_[static_cast<std::size_t>(rank)];
           i < line_end_[static_cast<std::size_t>(rank) + 1]; ++i) {
        const Token& token = steps_[i].token;
        if (is_compute(token.kind)) {
          const Op op = op_of(token);
          writer.append(steps_[i].is_pair_with_next ? Action(op, op_of(steps_[i + 1].token))
                                                    : Action(op));
          i += steps_[i].is_pair_with_next ? 1U : 0U;
          program.transfers.end_slot();
          ++slot;
        } else if (is_message(token.kind)) {
          program.transfers.post(transfer(i, schedule));
        } else {
          program.collectives.push_back(collective(i, rank, program, slot));
        }
      }
      writer.end_rank();
      program.transfers.end_slot();
      ++slot;
    }
    writer.finish();
    if (program.comm == Comm::Ideal) {
      program.transfers = {};
      program.collectives = {};
    }
  }

  void check_stage(std::size_t step, const Placement& placement) const {
    if (steps_[step].token.stage >= placement.stages())
      fail(step, fmt::format("there are actions of stages 0 … {}", placement.stages() - 1));
  }

  Transfer transfer(std::size_t step, const Schedule& schedule) const {
    const Token& token = steps_[step].token;
    const bool is_send =
        token.kind == TokenKind::SendForward || token.kind == TokenKind::SendBackward;
    const bool forward =
        token.kind == TokenKind::SendForward || token.kind == TokenKind::ReceiveForward;
    check_stage(step, schedule.placement);
    if (token.microbatch >= schedule.microbatches)
      fail(step, fmt::format("there are micro-batches 0 … {}", schedule.microbatches - 1));
    const Placement& placement = schedule.placement;
    const auto other =
        forward == is_send ? placement.after(token.stage) : placement.before(token.stage);
    if (!other)
      fail(step, fmt::format("stage {} has no stage {} it", token.stage,
                             forward == is_send ? "after" : "before"));
    const Stage maker = is_send ? token.stage : *other;
    return {{forward ? OpKind::Forward : OpKind::BackwardInput, maker, token.microbatch},
            placement.rank(*other),
            is_send};
  }

  Collective collective(std::size_t step, Rank rank, const PostedProgram& program,
                        std::size_t slot) const {
    const Token& token = steps_[step].token;
    check_stage(step, program.schedule.placement);
    if (const Rank home = program.schedule.placement.rank(token.stage); home != rank)
      fail(step, fmt::format("stage {} is on rank {}", token.stage, home));
    const CollectiveKind kind = token.kind == TokenKind::Unshard   ? CollectiveKind::Unshard
                                : token.kind == TokenKind::Reshard ? CollectiveKind::Reshard
                                                                   : CollectiveKind::ReduceGrad;
    return {kind, token.stage, slot, program.transfers.size()};
  }

  std::string_view text_;
  const std::string& file_;
  std::vector<CsvStep> steps_ = {};
  std::vector<std::size_t> line_end_ = {0};  // [lines + 1] in steps_
};

}  // namespace

std::string to_torch_csv(const Schedule& schedule) {
  fmt::memory_buffer text;
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    bool first = true;
    for (const Action& action : schedule.order(rank)) {
      if (!std::exchange(first, false))
        text.push_back(',');
      append_word(text, action);
    }
    text.push_back('\n');
  }
  return fmt::to_string(text);
}

std::string to_torch_comms_csv(const PostedProgram& program) {
  fmt::memory_buffer text;
  for (Rank rank = 0; rank < program.schedule.placement.ranks; ++rank) {
    bool first = true;
    const auto append = [&](const auto&... word) {
      if (!std::exchange(first, false))
        text.push_back(',');
      append_word(text, word...);
    };
    for_each_step(program, rank, [&](const Step& step) {
      if (step.kind == Step::Kind::Action)
        append(program.schedule.actions[step.first]);
      else if (step.kind == Step::Kind::Collective)
        append(program.collectives[step.first]);
      else
        for (std::size_t i = step.first; i < step.end; ++i)
          append(program.transfers[i], program.schedule.placement);
    });
    text.push_back('\n');
  }
  return fmt::to_string(text);
}

PostedProgram parse_torch_csv(std::string_view text, const std::string& file, Dialect dialect,
                              std::vector<std::string>& notes) {
  CsvReader reader(text, file);
  reader.translate(dialect, notes);
  return reader.program(notes);
}

std::string torch_csv_place(std::string_view text, Rank rank, std::optional<std::size_t> step,
                            Comm comm) {
  std::string place = fmt::format("line {}", rank + 1);
  std::size_t steps = 0;
  for_each_cell(
      text,
      [&](std::size_t line, std::size_t column, std::string_view cell) {
        if (!step || line != static_cast<std::size_t>(rank))
          return;
        if (comm == Comm::Ideal && !is_compute(parse_word(cell).token.kind))
          return;
        if (steps++ == *step)
          place += fmt::format(", column {}", column + 1);
      },
      kNothing);
  return place;
}

}  // namespace bubblescope
