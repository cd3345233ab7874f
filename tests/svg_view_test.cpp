// Pictures are well-formed, show every action and every idle interval, and stay small.
#include "analysis/pictures/svg_view.h"

#include <cmath>
#include <cstddef>
#include <map>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "analysis/pictures/picture.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/colours.h"
#include "tests/support/command.h"
#include "tests/support/costs.h"
#include "tests/support/generated.h"
#include "tests/support/golden.h"
#include "tests/support/process.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"
#include "tests/support/xml_checker.h"

namespace bubblescope {
namespace {

struct Run {
  DependencyGraph graph;
  Timeline timeline = simulate(graph);
  Report figures = report(graph, timeline);

  std::string svg() const { return svg_view(Analysis(graph, timeline)); }
};

Run run_of(const CatalogueEntry& entry, Shape shape, SimpleCosts costs, Comm comm = Comm::Ideal) {
  while (const auto misfit = find_misfit(entry, shape))
    shape = misfit->nearest;
  Schedule schedule = make_schedule(entry, shape);
  CostModel model(simple_costs(costs), schedule.placement, {});
  return {build_graph(post_messages(std::move(schedule), comm), std::move(model))};
}

const CatalogueEntry& entry_of(std::string_view name) {
  for (const CatalogueEntry& entry : catalogue())
    if (entry.name == name)
      return entry;
  throw std::runtime_error("no such schedule");
}

/// The boxes of a path: their number, and their widths together.
struct Boxes {
  std::size_t count = 0;
  double width = 0;

  void add(const std::string& path) {
    for (std::size_t at = path.find('M'); at != path.npos; at = path.find('M', at + 1)) {
      ++count;
      width += std::stod(path.substr(path.find('h', at) + 1));
    }
  }
};

/// What the rows of a picture show.
struct Shown {
  Boxes actions;  ///< Those of a pair are two.
  Boxes pairs;
  std::map<int, Boxes> bubbles;  ///< [rank]
  std::size_t numbers = 0;
  double plot_width = 0;
};

Shown shown(const std::string& svg) {
  const auto elements = check_xml(svg);
  Shown out;
  for (const XmlElement& element : elements) {
    const auto row = [&]() -> std::optional<int> {
      for (std::size_t i = element.parent; i != 0; i = elements[i].parent)
        if (const auto id = elements[i].attributes.find("id");
            id != elements[i].attributes.end() && id->second.starts_with("rank-"))
          return std::stoi(id->second.substr(5));
      return std::nullopt;
    }();
    if (!row)
      continue;
    if (element.name == "text") {
      const auto& around = elements[element.parent].attributes;
      out.numbers += around.contains("class") && around.at("class").starts_with("n ") ? 1U : 0U;
      continue;
    }
    if (element.name != "path")
      continue;
    const std::string& look = element.attributes.at("class");
    const std::string& path = element.attributes.at("d");
    if (look == "pair")
      out.pairs.add(path);
    else if (look == "m")
      out.plot_width = std::stod(path.substr(path.rfind('H') + 1));
    else if (look.starts_with("idle"))
      out.bubbles[*row].add(path);
    else
      out.actions.add(path);
  }
  return out;
}

void check_shows_all(const Run& run) {
  const Shown picture = shown(run.svg());
  std::size_t ops = 0;
  std::size_t pairs = 0;
  for (const Action& action : run.graph.schedule().actions) {
    pairs += action.is_pair() ? 1U : 0U;
    action.for_each_op([&](const Op&) { ++ops; });
  }
  CHECK(picture.actions.count == ops);
  CHECK(picture.pairs.count == pairs);
  const auto pixels = [&](Time time) {
    return static_cast<double>(time.count()) * picture.plot_width /
           static_cast<double>(run.figures.step_time.count());
  };
  const double rounding = 0.005;  // a box
  Time busy{};
  for (const RankReport& rank : run.figures.per_rank) {
    busy += rank.busy;
    const auto found = picture.bubbles.find(rank.rank);
    const Boxes bubbles = found == picture.bubbles.end() ? Boxes{} : found->second;
    CHECK(std::abs(bubbles.width - pixels(rank.idle)) <=
          rounding * static_cast<double>(bubbles.count + 1));
  }
  CHECK(std::abs(picture.actions.width - pixels(busy)) <=
        rounding * static_cast<double>(picture.actions.count + 1));
}

TEST_CASE("every schedule's picture has a box for each op, and bubbles as wide as its idle time") {
  const SimpleCosts costs = {.forward = 6'001,
                             .input_grad = 7'013,
                             .weight_grad = 5'555,
                             .overlapped = 16'001,
                             .hop = 333};
  for (const CatalogueEntry& entry : generated_schedules())
    for (const Comm comm : {Comm::Ideal, Comm::Torch}) {
      CAPTURE(entry.name);
      check_shows_all(run_of(entry, {.ranks = 4, .microbatches = 8}, costs, comm));
    }
}

TEST_CASE("pictures of random schedules show all that is in them") {
  constexpr std::uint64_t kSeed = 7;
  std::mt19937_64 engine(kSeed);
  for (int i = 0; i < 200; ++i) {
    CAPTURE(kSeed);
    CAPTURE(i);
    const Schedule schedule = random_schedule(engine);
    Run run{graph_of(schedule, random_costs(engine, schedule.placement))};
    if (run.figures.step_time > Time::zero())
      check_shows_all(run);
    else
      check_xml(run.svg());
  }
}

TEST_CASE("a small picture is as it was looked at") {
  Run run = run_of(entry_of("dualpipe"), {.ranks = 2, .microbatches = 4},
                   {.forward = 10'000,
                    .input_grad = 10'000,
                    .weight_grad = 10'000,
                    .overlapped = 27'000,
                    .hop = 1'000});
  check_golden("dualpipe.svg", run.svg());
}

TEST_CASE("a wide shape's picture is small, and the same every time") {
  const SimpleCosts costs = {
      .forward = 10'000, .input_grad = 11'000, .weight_grad = 9'001, .overlapped = 27'777};
  for (const char* name : {"dualpipe", "zb-h2"}) {
    const Run run = run_of(entry_of(name), {.ranks = 16, .microbatches = 120}, costs);
    const std::string svg = run.svg();
    CHECK(svg.size() < 3'000'000);
    CHECK(svg == run.svg());
  }
}

TEST_CASE("numbers stand in boxes that have room for them only") {
  const SimpleCosts costs = {.forward = 10'000, .input_grad = 10'000, .weight_grad = 10'000};
  const Run small = run_of(entry_of("1f1b"), {.ranks = 2, .microbatches = 4}, costs);
  CHECK(shown(small.svg()).numbers == 16);
  const Run wide = run_of(entry_of("1f1b"), {.ranks = 64, .microbatches = 1'200}, costs);
  CHECK(shown(wide.svg()).numbers == 0);
}

TEST_CASE("a step without length is drawn as well") {
  const Run run = run_of(entry_of("1f1b"), {.ranks = 2, .microbatches = 2},
                         {.forward = 0, .input_grad = 0, .weight_grad = 0});
  CHECK(shown(run.svg()).actions.count == 8);
}

TEST_CASE("hostile names are text") {
  Schedule schedule = make_schedule(entry_of("1f1b"), {.ranks = 2, .microbatches = 2});
  const std::string name = "</title></svg><script>alert(\"1\")</script>&amp;<!-- ]]>";
  schedule.name = name;
  const CostSource costs = simple_costs({});
  const Run run{graph_of(schedule, costs)};
  const auto elements = check_xml(run.svg());
  std::size_t found = 0;
  for (const XmlElement& element : elements) {
    CHECK(element.name != "script");
    found += element.text == name ? 1U : 0U;
  }
  CHECK(found == 2);  // the title that is shown, and the one that is told
}

TEST_CASE("a name without end is cut") {
  Schedule schedule = make_schedule(entry_of("1f1b"), {.ranks = 2, .microbatches = 2});
  schedule.name = std::string(5'000, 'W');
  const Run run{graph_of(schedule, simple_costs({}))};
  for (const XmlElement& element : check_xml(run.svg()))
    if (element.name == "text")
      CHECK(element.text.size() < 200);
}

TEST_CASE("two pipes, and the chunks of one, have shades of their own") {
  CHECK(shade_of_stage(bidirectional_placement(2)) == std::vector<std::uint8_t>{0, 0, 1, 1});
  CHECK(shade_of_stage(loop_placement({.ranks = 2, .chunks = 3})) ==
        std::vector<std::uint8_t>{0, 0, 1, 1, 0, 0});
  CHECK(shade_of_stage(v_placement(2)) == std::vector<std::uint8_t>{0, 0, 1, 1});
  CHECK(shade_words(bidirectional_placement(2), 1) == "second pipe");
  CHECK(shade_words(loop_placement({.ranks = 2, .chunks = 1}), 0) == "");
}

TEST_CASE("numbers are read in their boxes, and kinds told apart by all eyes") {
  for (std::size_t shade = 0; shade < kShades; ++shade)
    for (std::uint32_t a = 0; a < kOpKinds; ++a) {
      const BoxPaint paint = box_paint(static_cast<OpKind>(a), shade);
      CHECK(contrast(paint.fill, paint.ink) >= 4.5);
      const auto border = box_paint(static_cast<OpKind>(a), 1 - shade).fill;
      for (const auto paper : {kPaper.light, kPaper.dark})
        CHECK(std::max(contrast(paint.fill, paper), contrast(border, paper)) >= 3);
      for (std::uint32_t b = 0; b < a; ++b)
        for (const Vision vision :
             {Vision::Normal, Vision::Protanopia, Vision::Deuteranopia, Vision::Tritanopia})
          CHECK(colour_difference(paint.fill, box_paint(static_cast<OpKind>(b), shade).fill,
                                  vision) >= 19);
    }
}

TEST_CASE("causes are hatched unlike one another") {
  for (std::size_t a = 0; a < kBubbleCauses; ++a)
    for (std::size_t b = 0; b < a; ++b) {
      CHECK(hatch(static_cast<BubbleCause>(a)).lines != hatch(static_cast<BubbleCause>(b)).lines);
    }
}

TEST_CASE("live activations of a picture peak where the report says") {
  const Run run = run_of(entry_of("zb-h1"), {.ranks = 4, .microbatches = 8}, {});
  const Analysis analysis(run.graph, run.timeline);
  const Picture picture(analysis);
  for (const RankReport& rank : run.figures.per_rank) {
    int most = 0;
    const auto changes = live_changes(picture, rank.rank);
    for (std::size_t i = 0; i < changes.size(); ++i) {
      most = std::max(most, changes[i].live);
      CHECK((i == 0 || changes[i - 1].at < changes[i].at));
    }
    CHECK(most == rank.peak_live_activations);
    CHECK(changes.back().live == 0);
  }
}

TEST_CASE("the checker of XML sees what is wrong") {
  CHECK(check_xml("<a b=\"&lt;\">x<c/>y</a>")[0].text == "xy");
  for (const char* bad : {"", "a", "<a>", "<a></b>", "<a/><b/>", "<a b=c/>", "<a b=\"1\" b=\"2\"/>",
                          "<a>&x;</a>", "<a b=\"<\"/>", "<a></a>x", "<a><!--x--></a>", "<1/>"})
    CHECK_THROWS_AS(check_xml(bad), std::runtime_error);
}

const std::string kOneStep =
    "simulate 1f1b -p 2 -m 2 --forward 1us --input-grad 1us --weight-grad 1us";

TEST_CASE("--svg writes a picture beside the figures") {
  const TemporaryFolder folder;
  const std::string plain = output(kOneStep);
  CHECK(output(kOneStep + " --svg a.svg", {.folder = folder.path()}) == plain);
  CHECK(folder.listing() == "a.svg");
  CHECK(shown(contents(folder / "a.svg")).actions.count == 8);
}

// What made docs/dualpipe-p8-m20.svg.
const std::string kShown =
    "simulate dualpipe -p 8 -m 20 --forward 1ms --input-grad 1ms --weight-grad 1ms "
    "--overlapped 2700us --svg dualpipe-p8-m20.svg";

TEST_CASE("the picture in docs is what the program draws") {
  const TemporaryFolder folder;
  output(kShown, {.folder = folder.path()});
  CHECK_MESSAGE(
      contents(folder / "dualpipe-p8-m20.svg") == contents(source_file("docs/dualpipe-p8-m20.svg")),
      "in docs: bubblescope " << kShown);
}

TEST_CASE("--svg needs a file of its own, which can be written") {
  const TemporaryFolder folder;
  const auto refused = [&](const std::string& more, int code, const std::string& why) {
    const ProcessResult result = run(kOneStep + more, {.folder = folder.path()});
    CHECK(result.exit_code == code);
    CHECK_MESSAGE(has(result.err, why), result.err);
  };
  refused(" --svg -", kUsage, "--svg: needs a file: stdout is for the figures");
  refused(" --svg a.svg -o ./a.svg", kUsage, "--svg and --output must be different files");
  refused(" --svg a.svg --trace a.svg", kUsage, "--svg and --trace must be different files");
  refused(" --svg none/a.svg", kBadInput, "cannot write none/a.svg");
  CHECK(folder.listing() == "");
}

TEST_CASE("too many actions for a picture are refused before the simulation") {
  const TemporaryFolder folder;
  const ProcessResult result = run(
      "simulate 1f1b -p 2 -m 50001 --forward 1us --input-grad 1us --weight-grad 1us --svg a.svg",
      {.folder = folder.path()});
  CHECK(result.exit_code == kBadInput);
  CHECK(has(result.err,
            "--svg: the schedule has 200004 actions, but such a picture shows at most "
            "200000"));
  CHECK(folder.listing() == "");
}

}  // namespace
}  // namespace bubblescope
