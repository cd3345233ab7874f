// No output takes the place of what is read, or of another output.
#include <filesystem>

#include <doctest/doctest.h>

#include "tests/support/command.h"

namespace bubblescope {
namespace {

const std::string kShape = " -p 2 -m 4";
const std::string kCosts = " --forward 10us --input-grad 10us --weight-grad 10us";

}  // namespace

TEST_CASE("An output that is a file that is read is refused, however it is spelt, exit code 2") {
  const TemporaryFolder folder;
  const ProcessOptions here{.folder = folder.path()};
  folder.write("costs.json",
               R"({"format": "bubblescope-costs/1", "name": "mine", "source": "test",)"
               R"( "stage": {"forward_us": 1, "input_grad_us": 1, "weight_grad_us": 1}})");
  folder.write("options.toml", "[simulate]\nranks = 2\n");
  folder.write("mine.csv", output("order 1f1b" + kShape));
  std::filesystem::create_symlink("costs.json", folder / "link.json");
  const std::string listing = folder.listing();
  for (const std::string& line : {
           "simulate 1f1b" + kShape + " --costs costs.json -o ./costs.json",
           "simulate 1f1b" + kShape + " --costs costs.json --trace link.json",
           "compare" + kShape + " --schedules 1f1b --costs link.json -o costs.json",
           "compare --program mine.csv --schedules 1f1b -o ./mine.csv" + kCosts,
           "--config options.toml simulate 1f1b -m 4 --svg ./options.toml" + kCosts,
       }) {
    CAPTURE(line);
    const ProcessResult refused = run(line, here);
    CHECK(refused.exit_code == kUsage);
    CHECK(has(refused.err, "read"));
  }
  CHECK(folder.listing() == listing);
  CHECK(run("simulate 1f1b" + kShape + " --costs costs.json -o figures.txt", here).exit_code == 0);
}

TEST_CASE("The folder that --trace fills takes no other output") {
  const TemporaryFolder folder;
  const ProcessOptions here{.folder = folder.path()};
  for (const std::string option : {"-o", "--svg", "--html"}) {
    CAPTURE(option);
    const ProcessResult refused =
        run("simulate 1f1b" + kShape + kCosts + " --trace run --trace-flavour kineto " + option +
                " run/rank0.json.gz",
            here);
    CHECK(refused.exit_code == kUsage);
    CHECK(has(refused.err, "--trace"));
  }
}

}  // namespace bubblescope
