#include "tools/program_input.h"

#include <utility>

#include <fmt/format.h>

#include "sim/program/posting.h"
#include "sim/schedule/order_check.h"
#include "tools/errors.h"
#include "tools/options/option.h"

namespace bubblescope {

void add_dialect(CLI::App& app, Dialect& dialect, CLI::Option* program) {
  CLI::Option* option = add_option(
      app,
      {"--dialect", "WHICH",
       "what a CSV means by B: current, the full backward; pre-2.6, that for the input, and BW the "
       "full one; auto, as its tokens say (default)",
       "Programs"},
      dialect,
      one_of<Dialect>({{"auto", Dialect::Auto},
                       {"current", Dialect::Current},
                       {"pre-2.6", Dialect::Before26}}));
  if (program != nullptr)
    option->needs(program);
}

void ProgramOption::add_to(CLI::App& app) {
  CLI::Option* program = add_option(
      app,
      {"--program", "FILE",
       "instead of NAME: PyTorch's CSV of an order, or a bubblescope program (JSON)", "Programs"},
      path);
  add_dialect(app, dialect, program);
}

void require_one(const std::string& name, const ProgramOption& program) {
  if (name.empty() == !program.is_given())
    throw UsageError(name.empty() ? "expected the NAME of a schedule, or --program FILE"
                                  : "NAME and --program do not go together",
                     {"--program"});
}

PostedProgram load_program(const ProgramOption& option, const ShapeOptions& shape,
                           const CommOptions& comm, const GlobalOptions& global,
                           Soundness soundness) {
  PostedProgram program = load_program(option.path, option.dialect, global, soundness);
  check_shape(program, shape);
  return with_comm(std::move(program), comm);
}

Shape shape_of(const PostedProgram& program) {
  const Placement& placement = program.schedule.placement;
  return {.ranks = placement.ranks,
          .microbatches = program.schedule.microbatches,
          .chunks = placement.chunks()};
}

PostedProgram load_program(const std::string& path, Dialect dialect, const GlobalOptions& global,
                           Soundness soundness) {
  ProgramFile file = read_program_file(path, dialect);
  for (const std::string& note : file.notes)
    global.note(note);
  if (soundness == Soundness::All)
    check_program(file);
  else
    check_orders(file.program.schedule);
  return std::move(file.program);
}

PostedProgram with_comm(PostedProgram program, const CommOptions& comm) {
  if (program.comm == Comm::Ideal) {
    program = post_messages(std::move(program.schedule), comm.comm.value_or(Comm::Ideal));
  } else if (comm.comm && *comm.comm != program.comm) {
    throw UsageError(fmt::format("{} has messages of its own, {}: they cannot become {} ones",
                                 program.schedule.name, to_string(program.comm),
                                 to_string(*comm.comm)));
  }
  comm.set_channels(program);
  return program;
}

void check_shape(const PostedProgram& program, const ShapeOptions& shape) {
  const Shape has = shape_of(program);
  const auto check = [&](const char* option, std::optional<int> asked, int present) {
    if (asked && *asked != present)
      throw UsageError(fmt::format("{} {}: {} has {} (it may be left out)", option, *asked,
                                   program.schedule.name, present),
                       {option});
  };
  check("-p/--ranks", shape.ranks, has.ranks);
  check("-m/--microbatches", shape.microbatches, has.microbatches);
  for (const int chunks : shape.chunks)
    check("-v/--chunks", chunks, *has.chunks);
  if (shape.group_size)
    throw UsageError("--group-size is for interleaved schedules by name", {"--group-size"});
}

}  // namespace bubblescope
