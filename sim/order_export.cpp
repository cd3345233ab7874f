#include "sim/order_export.h"

#include <iterator>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bubblescope {
namespace {

void append(fmt::memory_buffer& text, const Op& op) {
  fmt::format_to(std::back_inserter(text), "{}{}{}", op.stage(), letter(op.kind()),
                 op.microbatch());
}

void append(fmt::memory_buffer& text, const Action& action) {
  if (!action.is_pair())
    return append(text, action.op());
  text.push_back('(');
  append(text, action.op());
  text.push_back(';');
  append(text, action.overlapped());
  text.append(std::string_view(")OVERLAP_F_B"));
}

/// Writes the steps of one rank, with commas between.
class StepWriter {
 public:
  StepWriter(const Program& program, Rank rank, fmt::memory_buffer& text)
      : program_(program), rank_(rank), text_(text) {}

  /// What is posted before an action, then the action.
  void write(std::size_t action) {
    write_transfers(action);
    begin_step();
    text_.append(std::string_view("{\"action\": \""));
    append(text_, program_.schedule.actions[action]);
    text_.append(std::string_view("\"}"));
  }

  /// What is posted after the last action.
  void finish() {
    write_transfers(program_.schedule.first_action[static_cast<std::size_t>(rank_) + 1]);
  }

 private:
  void begin_step() {
    if (!std::exchange(first_, false))
      text_.append(std::string_view(", "));
  }

  void write_transfers(std::size_t action) {
    if (program_.comm == Comm::Ideal)
      return;
    const auto transfers = program_.transfers.slot(slot_before(rank_, action));
    if (transfers.empty())
      return;
    begin_step();
    fmt::format_to(std::back_inserter(text_), "{{\"{}\": [",
                   program_.comm == Comm::Batched ? "batch" : "post");
    for (const Transfer& transfer : transfers)
      fmt::format_to(std::back_inserter(text_), "{}[\"{}\", {}, \"{}\", {}, {}]",
                     &transfer == transfers.data() ? "" : ", ", transfer.is_send ? "send" : "recv",
                     transfer.peer, transfer.output.kind() == OpKind::Forward ? "act" : "grad",
                     transfer.output.stage(), transfer.output.microbatch());
    text_.append(std::string_view("]}"));
  }

  const Program& program_;
  Rank rank_;
  fmt::memory_buffer& text_;
  bool first_ = true;
};

}  // namespace

std::string to_torch_csv(const Schedule& schedule) {
  fmt::memory_buffer text;
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    bool first = true;
    for (const Action& action : schedule.order(rank)) {
      if (!std::exchange(first, false))
        text.push_back(',');
      append(text, action);
    }
    text.push_back('\n');
  }
  return fmt::to_string(text);
}

std::string to_program_json(const Program& program) {
  const Schedule& schedule = program.schedule;
  const Placement& placement = schedule.placement;
  const nlohmann::ordered_json head = {{"format", "bubblescope-program/1"},
                                       {"schedule", schedule.name},
                                       {"comm", to_string(program.comm)},
                                       {"ranks", placement.ranks},
                                       {"microbatches", schedule.microbatches},
                                       {"pipes", placement.pipes},
                                       {"depth", placement.depth},
                                       {"rank_of_stage", placement.rank_of_stage},
                                       {"weights_of_stage", placement.weights_of_stage}};
  fmt::memory_buffer text;
  text.append(std::string_view("{\n"));
  for (const auto& [key, value] : head.items())
    fmt::format_to(std::back_inserter(text), "  \"{}\": {},\n", key, value.dump());
  text.append(std::string_view("  \"program\": ["));
  for (Rank rank = 0; rank < placement.ranks; ++rank) {
    text.append(std::string_view(rank == 0 ? "\n    [" : ",\n    ["));
    StepWriter steps(program, rank, text);
    for (std::size_t action = schedule.first_action[static_cast<std::size_t>(rank)];
         action < schedule.first_action[static_cast<std::size_t>(rank) + 1]; ++action)
      steps.write(action);
    steps.finish();
    text.push_back(']');
  }
  text.append(std::string_view("\n  ]\n}\n"));
  return fmt::to_string(text);
}

}  // namespace bubblescope
