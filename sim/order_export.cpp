#include "sim/order_export.h"

#include <iterator>
#include <string_view>

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
    bool first = true;
    for (const Action& action : schedule.order(rank)) {
      text.append(
          std::string_view(std::exchange(first, false) ? "{\"action\": \"" : ", {\"action\": \""));
      append(text, action);
      text.append(std::string_view("\"}"));
    }
    text.push_back(']');
  }
  text.append(std::string_view("\n  ]\n}\n"));
  return fmt::to_string(text);
}

}  // namespace bubblescope
