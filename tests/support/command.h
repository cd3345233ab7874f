// bubblescope, run by the line that a user types, and what it says.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "tests/support/process.h"

namespace bubblescope {

constexpr int kCheckFailed = 1;
constexpr int kUsage = 2;
constexpr int kBadInput = 3;
constexpr int kDevice = 4;

std::vector<std::string> words(const std::string& line);
std::vector<std::string> lines(const std::string& text);
bool has(const std::string& text, const std::string& part);

ProcessResult run(const std::string& line, const ProcessOptions& options = {});
/// What a command prints that must succeed.
std::string output(const std::string& line, const ProcessOptions& options = {});
/// The same with --format json.
nlohmann::json output_json(const std::string& line);
/// A result without what it says of how it was made, for comparison with another.
nlohmann::json without_provenance(nlohmann::json result);

}  // namespace bubblescope
