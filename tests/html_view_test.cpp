// Pages hold every action and every idle interval, and names only as text. What they do in a
// browser is tested by tests/browser/run.
#include "analysis/pictures/html_view.h"

#include <algorithm>
#include <cstddef>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "analysis/explain/blockers.h"
#include "analysis/pictures/picture.h"
#include "sim/engine/simulate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/command.h"
#include "tests/support/costs.h"
#include "tests/support/generated.h"
#include "tests/support/process.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

struct Run {
  DependencyGraph graph;
  Timeline timeline = simulate(graph);
  Report figures = report(graph, timeline);

  std::string data() const { return html_data(Analysis(graph, timeline)); }
};

Run run_of(const CatalogueEntry& entry, Shape shape, SimpleCosts costs, Comm comm) {
  while (const auto misfit = find_misfit(entry, shape))
    shape = misfit->nearest;
  Schedule schedule = make_schedule(entry, shape);
  CostModel model(simple_costs(costs), schedule.placement, {});
  return {build_graph(post_messages(std::move(schedule), comm), std::move(model))};
}

/// What stands between two marks, which the page has once.
std::string between(const std::string& page, const std::string& begin, const std::string& end) {
  const std::size_t from = page.find(begin);
  REQUIRE(from != page.npos);
  const std::size_t to = page.find(end, from);
  REQUIRE(to != page.npos);
  return page.substr(from + begin.size(), to - from - begin.size());
}

json data_of(const std::string& page) {
  return json::parse(between(page, R"(<script type="application/json" id="data">)", "</script>"));
}

/// Unpacks the flat arrays again, and holds them against graph, timeline and report.
void check_holds_all(const Run& run) {
  const json data = json::parse(run.data());
  const Schedule& schedule = run.graph.schedule();
  const Analysis analysis(run.graph, run.timeline);
  const Picture picture(analysis);
  CHECK(data["step"] == run.figures.step_time.count());
  REQUIRE(data["op"].size() == schedule.actions.size());
  std::size_t pair = 0;
  std::size_t bubble = 0;
  for (Rank rank = 0; rank < schedule.placement.ranks; ++rank) {
    const auto r = static_cast<std::size_t>(rank);
    REQUIRE(data["first"][r] == schedule.first_action[r]);
    std::int64_t time = 0;
    std::int64_t idle = 0;
    for (std::size_t i = schedule.first_action[r]; i < schedule.first_action[r + 1]; ++i) {
      const Action& action = schedule.actions[i];
      const Span& span = picture.span_of_action(i);
      time += data["gap"][i].get<std::int64_t>();
      idle += data["gap"][i].get<std::int64_t>();
      CHECK(time == (span.start - picture.step.start).count());
      time += data["time"][i].get<std::int64_t>();
      CHECK(time == (span.end - picture.step.start).count());
      CHECK(data["op"][i] == action.op().stage_and_kind());
      CHECK(data["mb"][i] == action.op().microbatch());
      if (action.is_pair()) {
        CHECK(data["pairs"]["action"][pair] == i);
        CHECK(data["pairs"]["op"][pair++] == action.overlapped().stage_and_kind());
      }
    }
    idle += data["step"].get<std::int64_t>() - time;
    std::int64_t bubbles = 0;
    while (bubble < picture.bubbles.size() && picture.bubbles[bubble].rank == rank)
      bubbles += data["length"][bubble++].get<std::int64_t>();
    CHECK(idle == run.figures.per_rank[r].idle.count());
    CHECK(bubbles == idle);
  }
  CHECK(pair == data["pairs"]["op"].size());
  CHECK(bubble == data["length"].size());
}

/// Blockers and the critical path name actions and messages that are there; the path is as long as
/// the step.
void check_names(const Run& run) {
  const json data = json::parse(run.data());
  const auto actions = static_cast<std::int64_t>(data["op"].size());
  const auto messages = static_cast<std::int64_t>(data["messages"].size());
  const auto is_node = [&](const json& node) {
    return -messages <= node.get<std::int64_t>() && node < actions;
  };
  const auto is_there = [&](const json& node) {
    if (node.is_array())
      return node.size() > 1 && std::all_of(node.begin(), node.end(), is_node);
    return node.is_null() || is_node(node);
  };
  CHECK(std::all_of(data["blocker"].begin(), data["blocker"].end(), is_there));
  CHECK(std::all_of(data["path"].begin(), data["path"].end(), is_node));
  for (const json& message : data["messages"])
    CHECK(message["producer"] < actions);
  std::int64_t length = 0;
  for (const json& node : data["path"])
    if (node >= 0)
      length += data["time"][node.get<std::size_t>()].get<std::int64_t>();
  CHECK(length <= data["step"]);
  CHECK(length > 0);
}

TEST_CASE("a page holds every schedule's actions, bubbles, blockers and critical path") {
  const SimpleCosts costs = {.forward = 6'001,
                             .input_grad = 7'013,
                             .weight_grad = 5'555,
                             .overlapped = 16'001,
                             .hop = 333};
  for (const CatalogueEntry& entry : generated_schedules())
    for (const Comm comm : {Comm::Ideal, Comm::Batched, Comm::Torch}) {
      CAPTURE(entry.name);
      const Run run = run_of(entry, {.ranks = 4, .microbatches = 8}, costs, comm);
      check_holds_all(run);
      check_names(run);
    }
}

TEST_CASE("blockers of a page are those that the anatomy names, ties and all") {
  const SimpleCosts costs = {.forward = 10'000, .input_grad = 10'000, .weight_grad = 10'000};
  std::size_t ties = 0;
  for (const CatalogueEntry& entry : generated_schedules()) {
    CAPTURE(entry.name);
    const Run run = run_of(entry, {.ranks = 4, .microbatches = 8}, costs, Comm::Ideal);
    const json data = json::parse(run.data());
    const Analysis analysis(run.graph, run.timeline);
    const Picture picture(analysis);
    const Blockers blockers(run.graph, run.timeline);
    for (std::size_t i = 0; i < picture.bubbles.size(); ++i) {
      const Bubble& bubble = picture.bubbles[i];
      std::vector<std::size_t> expected;
      for (const NodeId node : blockers.of(bubble))
        expected.push_back(run.graph.action_index()[node]);
      const json& found = data["blocker"][i];
      if (bubble.blocking == bubble.waiting) {
        CHECK(found.is_null());
        continue;
      }
      auto named = found.is_array() ? found.get<std::vector<std::size_t>>()
                                    : std::vector{found.get<std::size_t>()};
      ties += found.is_array() ? 1U : 0U;
      CHECK(named.front() == run.graph.action_index()[bubble.blocking]);
      std::sort(named.begin(), named.end());
      std::sort(expected.begin(), expected.end());
      CHECK(named == expected);
    }
  }
  CHECK(ties > 0);
}

TEST_CASE("pages of random schedules hold all that is in them") {
  constexpr std::uint64_t kSeed = 11;
  std::mt19937_64 engine(kSeed);
  for (int i = 0; i < 200; ++i) {
    CAPTURE(kSeed);
    CAPTURE(i);
    const Schedule schedule = random_schedule(engine);
    check_holds_all({graph_of(schedule, random_costs(engine, schedule.placement))});
  }
}

TEST_CASE("names reach a page as text in its JSON block only") {
  const std::string name =
      "</script><img src=x onerror=alert(1)> <!--<script> ]]> \xE2\x80\xA8 \xFF @SCRIPT@ \" \\";
  Schedule schedule = make_schedule(catalogue().front(), {.ranks = 2, .microbatches = 2});
  const std::string plain = html_view({Run{graph_of(schedule, simple_costs({}))}.data()});
  schedule.name = name;
  const std::string page = html_view({Run{graph_of(schedule, simple_costs({}))}.data()});
  const auto count = [](const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != text.npos; at = text.find(part, at + 1))
      ++found;
    return found;
  };
  for (const char* part : {"<", "</script", "<!--", "<script", "\xE2\x80\xA8", "\xFF"})
    CHECK_MESSAGE(count(page, part) == count(plain, part), part);
  std::string expected = name;
  expected.replace(expected.find('\xFF'), 1, "\xEF\xBF\xBD");
  CHECK(data_of(page)["schedules"][0]["name"] == expected);
}

TEST_CASE("a page asks for nothing from elsewhere, and its policy names its own script and style") {
  const std::string page =
      html_view({Run{graph_of(make_schedule(catalogue().front(), {.ranks = 2, .microbatches = 2}),
                              simple_costs({}))}
                     .data()});
  for (const char* part :
       {"http:", "https:", "//cdn", "@import", "innerHTML", "outerHTML", "insertAdjacentHTML",
        "document.write", "eval(", "@POLICY@", "@STYLE@", "@DATA@", "@SCRIPT@"})
    CHECK_MESSAGE(!has(page, part), part);
  const std::string policy = between(page, "Content-Security-Policy\" content=\"", "\"");
  CHECK(policy.starts_with("default-src 'none'; script-src 'sha256-"));
  const TemporaryFolder folder;
  const auto hash = [&](const std::string& text) {
    folder.write("text", text);
    const ProcessResult result = run_shell(
        "python3 -c \"import base64, hashlib, sys; print(base64.b64encode(hashlib.sha256("
        "open('text', 'rb').read()).digest()).decode())\"",
        {.folder = folder.path()});
    return result.exit_code == 0 ? result.out.substr(0, result.out.find('\n')) : "";
  };
  const std::string script = hash(between(page, "</script>\n<script>", "</script>\n</body>"));
  if (script.empty()) {
    MESSAGE("skipped: no python3 to compute hashes");
    return;
  }
  CHECK(has(policy, "script-src 'sha256-" + script + "'"));
  CHECK(has(policy, "style-src 'sha256-" + hash(between(page, "<style>", "</style>")) + "'"));
}

const std::string kCosts = " --forward 1us --input-grad 1us --weight-grad 1us";

TEST_CASE("--html writes a page beside the figures, the same every time") {
  const TemporaryFolder folder;
  const std::string line = "simulate zb-h1 -p 2 -m 4" + kCosts;
  CHECK(output(line + " --html a.html --svg a.svg", {.folder = folder.path()}) == output(line));
  output(line + " --html b.html", {.folder = folder.path()});
  CHECK(folder.listing() == "a.html a.svg b.html");
  CHECK(contents(folder / "a.html") == contents(folder / "b.html"));
  CHECK(data_of(contents(folder / "a.html"))["schedules"][0]["name"] == "zb-h1");
}

TEST_CASE("compare --html shows what was compared, best first") {
  const TemporaryFolder folder;
  const std::string line = "compare -p 4 -m 8 --schedules gpipe,1f1b,zb-h1,dualpipe" + kCosts;
  CHECK(output(line + " --html c.html", {.folder = folder.path()}) == output(line));
  const json figures = json::parse(output(line + " --format json"));
  const json data = data_of(contents(folder / "c.html"));
  REQUIRE(data["schedules"].size() == figures["results"].size());
  for (std::size_t i = 0; i < data["schedules"].size(); ++i)
    CHECK(data["schedules"][i]["name"] == figures["results"][i]["schedule"]);
}

TEST_CASE("a page needs a file of its own") {
  const TemporaryFolder folder;
  const auto code = [&](const std::string& line) {
    return run(line + kCosts, {.folder = folder.path()}).exit_code;
  };
  CHECK(code("simulate 1f1b -p 2 -m 2 --html -") == kUsage);
  CHECK(code("simulate 1f1b -p 2 -m 2 --html a --svg a") == kUsage);
  CHECK(code("compare -p 2 -m 2 --html a -o a") == kUsage);
  CHECK(code("compare -p 2 -m 2 --html none/a") == kBadInput);
  CHECK(folder.listing() == "");
  folder.write("mine.csv", "0F0,0B0\n");
  CHECK(code("compare --program mine.csv --html mine.csv") == kUsage);
  CHECK(code("simulate --program mine.csv --html mine.csv") == kUsage);
  CHECK(contents(folder / "mine.csv") == "0F0,0B0\n");
}

TEST_CASE("too many actions for a page are refused") {
  const TemporaryFolder folder;
  const ProcessResult result =
      run("simulate 1f1b -p 2 -m 250001 --html a.html" + kCosts, {.folder = folder.path()});
  CHECK(result.exit_code == kBadInput);
  CHECK(has(result.err,
            "--html: the schedule has 1000004 actions, but such a picture shows at most "
            "1000000"));
  CHECK(folder.listing() == "");
}

}  // namespace
}  // namespace bubblescope
