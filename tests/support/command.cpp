#include "tests/support/command.h"

#include <iterator>
#include <sstream>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace bubblescope {

std::vector<std::string> words(const std::string& line) {
  std::istringstream stream(line);
  return {std::istream_iterator<std::string>(stream), {}};
}

std::vector<std::string> lines(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> result;
  for (std::string line; std::getline(stream, line);)
    result.push_back(line);
  return result;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

ProcessResult run(const std::string& line, const ProcessOptions& options) {
  return run_program(words(line), options);
}

std::string output(const std::string& line, const ProcessOptions& options) {
  const ProcessResult result = run(line, options);
  CHECK_MESSAGE(result.exit_code == 0, line << "\n" << result.err);
  CHECK_MESSAGE(result.out.ends_with('\n'), line);
  return result.out;
}

nlohmann::json output_json(const std::string& line) {
  return nlohmann::json::parse(output(line + " --format json"));
}

nlohmann::json without_provenance(nlohmann::json result) {
  for (const char* key : {"format", "version", "inputs"})
    result.erase(key);
  return result;
}

}  // namespace bubblescope
