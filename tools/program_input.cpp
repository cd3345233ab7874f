#include "tools/program_input.h"

#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "sim/program/posting.h"
#include "sim/schedule/order_check.h"
#include "tools/errors.h"
#include "tools/options/units.h"

namespace bubblescope {

void DialectOption::add_to(CLI::App& app) {
  add_option(app,
             {"--dialect", "WHICH",
              "what a CSV means by B: current, the full backward; pre-2.6, that for the input, and "
              "BW the full one; auto, told by the tokens (default)",
              "Programs"},
             dialect);
}

void DialectOption::require_program(bool is_given) const {
  if (parsed() != Dialect::Auto && !is_given)
    throw UsageError("--dialect is for --program");
}

Dialect DialectOption::parsed() const {
  return static_cast<Dialect>(choose("--dialect", dialect, {"auto", "current", "pre-2.6"}));
}

void ProgramOption::add_to(CLI::App& app) {
  add_option(
      app,
      {"--program", "FILE",
       "instead of NAME: PyTorch's CSV of an order, or a bubblescope program (JSON)", "Programs"},
      path);
  dialect.add_to(app);
}

void refuse_overwrite(const Input& input, const std::string& output) {
  std::error_code error;  // what does not exist is no input
  if (!output.empty() && std::filesystem::equivalent(input.path, output, error))
    throw UsageError(fmt::format("{} is the {} that is read: take another file for the output",
                                 output, input.what));
}

void require_one(const std::string& name, const ProgramOption& program) {
  program.dialect.require_program(program.is_given());
  if (name.empty() == !program.is_given())
    throw UsageError(name.empty() ? "expected the NAME of a schedule, or --program FILE"
                                  : "NAME and --program do not go together");
}

PostedProgram load_program(const ProgramOption& option, const ShapeOptions& shape,
                           const CommChoice& comm, const GlobalOptions& global,
                           Soundness soundness) {
  PostedProgram program = load_program(option.path, option.dialect.parsed(), global, soundness);
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

PostedProgram with_comm(PostedProgram program, const CommChoice& choice) {
  if (program.comm == Comm::Ideal) {
    program = post_messages(std::move(program.schedule), choice.comm.value_or(Comm::Ideal));
  } else if (choice.comm && *choice.comm != program.comm) {
    throw UsageError(fmt::format("{} has messages of its own, {}: they cannot become {} ones",
                                 program.schedule.name, to_string(program.comm),
                                 to_string(*choice.comm)));
  }
  choice.set_channels(program);
  return program;
}

void check_shape(const PostedProgram& program, const ShapeOptions& shape) {
  const Placement& placement = program.schedule.placement;
  constexpr Range kCount = {1, std::numeric_limits<int>::max()};
  const auto check = [&](const char* option, const std::string& asked, int has) {
    if (!asked.empty() && parse_count({option, asked}, kCount) != has)
      throw UsageError(fmt::format("{} {}: {} has {} (it may be left out)", option, asked,
                                   program.schedule.name, has));
  };
  check("-p/--ranks", shape.ranks, placement.ranks);
  check("-m/--microbatches", shape.microbatches, program.schedule.microbatches);
  check("-v/--chunks", shape.chunks, placement.chunks());
  if (!shape.group_size.empty())
    throw UsageError("--group-size is for interleaved schedules by name");
}

}  // namespace bubblescope
