#include "tests/support/command_line.h"

#include <algorithm>
#include <chrono>
#include <cstddef>

#include <doctest/doctest.h>

#include "tests/support/command.h"

namespace bubblescope {

std::string line_of(const std::string& table, const std::string& name) {
  for (const std::string& line : lines(table))
    if (line.starts_with(name + " "))
      return line;
  return "";
}

bool is_one_message(const std::string& text) {
  const std::vector<std::string> all = lines(text);
  return text.starts_with("bubblescope: ") && text.ends_with('\n') && all[0].size() < 400 &&
         std::all_of(all.begin() + 1, all.end(), [](auto& line) { return line.starts_with("  "); });
}

void check_failure(const Failure& failure, int exit_code, const TemporaryFolder& folder,
                   ProcessOptions options) {
  constexpr std::size_t kMostMemory = 100'000'000;
  constexpr std::chrono::seconds kLongest(1);
  options.folder = folder.path();
  options.address_space = kMostMemory;
  const std::string before = folder.listing();
  const ProcessResult result = run(failure.line, options);
  CAPTURE(failure.line);
  CAPTURE(result.err);
  CHECK(result.exit_code == exit_code);
  CHECK(result.out == "");
  CHECK(is_one_message(result.err));
  for (const std::string& part : failure.says)
    CHECK_MESSAGE(has(result.err, part), "does not say: " << part);
  CHECK(folder.listing() == before);
  if (!kSanitized)
    CHECK(result.wall < kLongest);
}

void check_failures(const std::vector<Failure>& failures, int exit_code) {
  const TemporaryFolder folder;
  for (const Failure& failure : failures)
    check_failure(failure, exit_code, folder);
}

}  // namespace bubblescope
