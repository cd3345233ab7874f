#include "sim/program/steps.h"

#include "sim/schedule/words.h"

namespace bubblescope {
namespace {

std::size_t find_step(const PostedProgram& program, Rank rank, Step::Kind kind, std::size_t index) {
  std::size_t steps = 0;
  std::size_t found = 0;
  for_each_step(program, rank, [&](const Step& step) {
    if (step.kind == kind && step.first <= index && index < step.end)
      found = steps;
    ++steps;
  });
  return found;
}

}  // namespace

std::size_t step_of_action(const PostedProgram& program, Rank rank, std::size_t action) {
  return find_step(program, rank, Step::Kind::Action, action);
}

std::size_t step_of_transfer(const PostedProgram& program, Rank rank, std::size_t transfer) {
  return find_step(program, rank, Step::Kind::Transfers, transfer);
}

std::string step_words(const PostedProgram& program, Rank rank, std::size_t step) {
  std::size_t steps = 0;
  std::string words;
  for_each_step(program, rank, [&](const Step& each) {
    if (steps++ != step)
      return;
    if (each.kind == Step::Kind::Action)
      words = to_string(program.schedule.actions[each.first]);
    else if (each.kind == Step::Kind::Collective)
      words = to_string(program.collectives[each.first]);
    else
      for (std::size_t i = each.first; i < each.end; ++i)
        words += (i == each.first ? "" : " ") +
                 to_string(program.transfers[i], program.schedule.placement);
  });
  return words;
}

}  // namespace bubblescope
