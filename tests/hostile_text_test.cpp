// Text from outside that would steer a terminal, forge a line, or is no UTF-8.
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/json_text.h"
#include "sim/printable.h"
#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"
#include "tests/support/trace_checker.h"

namespace bubblescope {
namespace {

using nlohmann::json;

}  // namespace

TEST_CASE("What may not stand on a terminal becomes one sign a character") {
  CHECK(printable("Größe µ, ≥ 2 🙂") == "Größe µ, ≥ 2 🙂");
  CHECK(printable("a\tb\nc\x7f\xc2\x85") == "a?b?c??");
  CHECK(printable("\xe2\x80\xae|\xe2\x81\xa6|\xe2\x80\xa8") == "?|?|?");
  CHECK(printable("\xff|\xc3|\xe2\x82") == "?|?|??");
  CHECK(printable("\xe0\x80\x9b|\xc0\x9b") == "???|??");  // an escape in longer forms
}

TEST_CASE("JSON that is written has no control characters and is UTF-8") {
  const std::string del = "\x7f\xc2\x9b\x1b";
  const std::string text = dump_json(json{{"name", del}});
  CHECK(is_plain(text));
  CHECK(json::parse(text)["name"] == del);
  CHECK(dump_json(json("µ")) == "\"µ\"");
  CHECK(json::parse(dump_json(json("a\xff"))) == "a\xef\xbf\xbd");
}

TEST_CASE("A file's name that is no UTF-8 is no reason to fail") {
  const TemporaryFolder folder;
  const ProcessOptions here{.folder = folder.path()};
  const std::string program = "\xff\xfe.csv";
  CHECK(run("order 1f1b -p 2 -m 4 -o " + program, here).exit_code == 0);
  for (const std::string& line :
       {"simulate" + kCosts + " --format json --program ",
        "compare --schedules 1f1b" + kCosts + " --format json --program ",
        "explain" + kCosts + " --format json --program ", std::string("check --format json "),
        std::string("order --to json --program "),
        "replay" + kCosts + " --format json --program "}) {
    const ProcessResult result = run(line + program, here);
    CAPTURE(line);
    CHECK_MESSAGE(result.exit_code == 0, result.err);
    CHECK(json::accept(result.out));
  }
  const std::string simulate = "simulate" + kCosts + " --program " + program;
  CHECK(run(simulate + " --trace t.json", here).exit_code == 0);
  CHECK(run(simulate + " --trace k --trace-flavour kineto", here).exit_code == 0);
  CHECK(json::accept(contents(folder / "t.json")));
  CHECK(json::accept(inflated(folder / "k/rank0.json.gz")));
}

}  // namespace bubblescope
