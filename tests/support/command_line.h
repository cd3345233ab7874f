// Lines that are right, for tests to go wrong from, and how the program fails at those that are
// not.
#pragma once

#include <string>
#include <vector>

#include "tests/support/process.h"

namespace bubblescope {

inline const std::string kCosts = " --forward 10us --input-grad 10us --weight-grad 10us";
inline const std::string kSimulate = "simulate 1f1b -p 4 -m 8";
inline const std::string kCompare = "compare -p 4 -m 8";
inline const std::string kGood = kSimulate + kCosts;

/// The line of a table whose first cell is `name`.
std::string line_of(const std::string& table, const std::string& name);

/// One message, whose other lines, such as the names to choose from, are indented.
bool is_one_message(const std::string& text);

struct Failure {
  std::string line;
  std::vector<std::string> says;
};

/// Runs it in `folder`, within 100 MB and a second; it must fail, say why and leave nothing.
void check_failure(const Failure& failure, int exit_code, const TemporaryFolder& folder,
                   ProcessOptions options = {});
void check_failures(const std::vector<Failure>& failures, int exit_code);

}  // namespace bubblescope
