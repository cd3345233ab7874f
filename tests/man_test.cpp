// The manual page says what --help says.
#include <doctest/doctest.h>

#include "tests/support/command.h"

namespace bubblescope {
namespace {

/// Without roff's escapes of hyphens.
std::string plain(std::string text) {
  for (std::size_t at = text.find("\\-"); at != std::string::npos; at = text.find("\\-", at))
    text.erase(at, 1);
  return text;
}

/// Words that stand first on a line below "Subcommands:".
std::vector<std::string> subcommands() {
  std::vector<std::string> names;
  bool is_below = false;
  for (const std::string& line : lines(output("--help"))) {
    if (is_below && line.empty())
      break;
    if (is_below)
      names.push_back(words(line).front());
    is_below = is_below || line == "Subcommands:";
  }
  return names;
}

}  // namespace

TEST_CASE("The manual page has every subcommand and every option that its help has") {
  const std::string page = plain(output("man"));
  REQUIRE(subcommands().size() > 8);
  for (const std::string& name : subcommands()) {
    CAPTURE(name);
    if (name == "help")  // it prints what the others' --help does
      continue;
    const std::size_t section = page.find("\n.SS " + name + "\n");
    REQUIRE(section != std::string::npos);
    const std::string own = page.substr(section, page.find("\n.S", section + 4) - section);
    int options = 0;
    for (const std::string& line : lines(output(name + " --help")))
      if (line.starts_with("  -") && !line.starts_with("  -h,--help")) {
        ++options;
        CAPTURE(line);
        CHECK(has(own, "\\fB" + words(line).front() + "\\fR"));
      }
    CHECK((options > 0 || name == "man"));
  }
}

TEST_CASE("The manual page tells of the variables that are no options") {
  const std::string page = plain(output("man"));
  for (const std::string name : {"BUBBLESCOPE_CUDA_MODULE", "BUBBLESCOPE_NCCL_LIBRARY",
                                 "BUBBLESCOPE_CUBLASLT", "BUBBLESCOPE_TOKEN"})
    CHECK(page.find("\\fB" + name + "\\fR\n", page.find("\n.SH ENVIRONMENT\n")) != page.npos);
}

TEST_CASE("groff reads the manual page without a warning") {
  if (run_shell("command -v groff").exit_code != 0) {
    MESSAGE("skipped: there is no groff");
    return;
  }
  const ProcessResult read = run_shell("bubblescope man | groff -man -Tutf8 -Kutf8 -ww -z 2>&1");
  CHECK(read.exit_code == 0);
  CHECK(read.out == "");
}

}  // namespace bubblescope
