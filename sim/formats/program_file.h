// Programs from files: an order that somebody designed, or one with its messages spelled out.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/formats/torch_csv.h"
#include "sim/program/posted_program.h"
#include "sim/program/program_check.h"

namespace bubblescope {

/// A file that says what it means, be it sound or not.
struct ProgramFile {
  std::string path;
  std::string text;
  PostedProgram program;
  std::vector<std::string> notes = {};  ///< What was assumed, for people.

  /// "orders.csv: line 2, column 7: '1B0': comes before its F"
  std::string describe(const ProgramFault& fault) const;
};

/// Reads PyTorch's CSV or our JSON, whichever it is; the placement and pipes of a CSV are told by
/// which rank runs which stage and micro-batch. Throws Error, with the file, the place in it and
/// what was expected, for a file that cannot be read or understood, or that fits no placement.
ProgramFile read_program_file(const std::string& path, Dialect dialect = Dialect::Auto);

/// Throws Error where the program has a fault.
void check_program(const ProgramFile& file);

}  // namespace bubblescope
