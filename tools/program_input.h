// Programs from files on the command line: --program FILE, or what `check` is given.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sim/formats/program_file.h"
#include "tools/options/output_options.h"
#include "tools/options/shape_options.h"

namespace bubblescope {

/// A program instead of a schedule's name.
struct ProgramOption {
  std::string path;
  Dialect dialect = Dialect::Auto;

  void add_to(CLI::App& app);
  bool is_given() const { return !path.empty(); }
};

/// Needs `program`, an option that names a program, where there is one.
void add_dialect(CLI::App& app, Dialect& dialect, CLI::Option* program);

/// UsageError unless there is either a name or a program.
void require_one(const std::string& name, const ProgramOption& program);

/// What has to be sound in a program.
enum class Soundness : std::uint8_t {
  All,     ///< Orders and messages.
  Orders,  ///< Whether its messages are is seen when it runs.
};

/// What `load_program`, `check_shape` and `with_comm` make of a file.
PostedProgram load_program(const ProgramOption& option, const ShapeOptions& shape,
                           const CommOptions& comm, const GlobalOptions& global,
                           Soundness soundness = Soundness::All);

/// Reads a file and says what was assumed. Throws Error where it cannot be read or has a fault.
PostedProgram load_program(const std::string& path, Dialect dialect, const GlobalOptions& global,
                           Soundness soundness = Soundness::All);

/// p, m and v.
Shape shape_of(const PostedProgram& program);

/// A program whose orders are lowered as asked. Throws UsageError where it says itself how its
/// messages travel, and that is another way.
PostedProgram with_comm(PostedProgram program, const CommOptions& comm);

/// Throws UsageError where a shape is asked for that the program has not.
void check_shape(const PostedProgram& program, const ShapeOptions& shape);

}  // namespace bubblescope
