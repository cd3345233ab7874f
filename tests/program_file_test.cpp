// Programs from files and to files: PyTorch's CSV and our JSON.
#include "sim/formats/program_file.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/formats/program_json.h"
#include "sim/formats/tokens.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/digest.h"
#include "tests/support/generated.h"
#include "tests/support/process.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

Schedule small() {
  return written(bidirectional_placement(2), 4,
                 {
                     "0F0 3F2 0I0 (0F1;3B2)OVERLAP_F_B 0W0",
                     "",
                 });
}

/// A file's program, and what was assumed.
ProgramFile read(const std::string& text, Dialect dialect = Dialect::Auto) {
  const TemporaryFolder folder;
  std::ofstream(folder / "f", std::ios::binary) << text;
  ProgramFile file = read_program_file(folder / "f", dialect);
  file.path = "f";
  return file;
}

/// What is said against a file: that it cannot be read, or its fault.
std::string complaint(const std::string& text, Dialect dialect = Dialect::Auto) {
  const std::string error = error_of([&] { check_program(read(text, dialect)); });
  const auto name = error.find("f: ");  // behind the folder
  return name == error.npos ? error : error.substr(name + 3);
}

void check_same(const PostedProgram& read, const PostedProgram& written) {
  CHECK(to_program_json(read).substr(to_program_json(read).find("\"comm\"")) ==
        to_program_json(written).substr(to_program_json(written).find("\"comm\"")));
}

/// With the stages of RESHARD cells in ascending order where only messages stand between them:
/// PyTorch's order, which is that of a set, means nothing.
std::string with_sorted_reshards(const std::string& csv) {
  std::string sorted;
  std::istringstream rows(csv);
  for (std::string row; std::getline(rows, row);) {
    std::vector<std::string> cells;
    std::vector<std::size_t> run;  // places of RESHARD cells
    std::istringstream in(row);
    for (std::string cell; std::getline(in, cell, ',');) {
      cells.push_back(cell);
      if (cell.find("SEND_") != cell.npos || cell.find("RECV_") != cell.npos)
        continue;
      if (!cell.ends_with("RESHARD")) {
        run.clear();
        continue;
      }
      run.push_back(cells.size() - 1);
      for (std::size_t i = run.size() - 1; i > 0; --i)
        if (std::string& before = cells[run[i - 1]]; std::stoi(before) > std::stoi(cells[run[i]]))
          before.swap(cells[run[i]]);
    }
    sorted += fmt::format("{}\n", fmt::join(cells, ","));
  }
  return sorted;
}

/// Merges each I with the W of its stage and micro-batch that follows at once into a B.
Schedule merged(const Schedule& schedule) {
  Orders orders = orders_of(schedule);
  for (auto& order : orders)
    for (std::size_t i = 0; i + 1 < order.size(); ++i) {
      const Op op = order[i].op();
      if (op.kind() == OpKind::BackwardInput && !order[i].is_pair() &&
          order[i + 1] == Action(Op(OpKind::BackwardWeight, op.stage(), op.microbatch()))) {
        order[i] = Op(OpKind::Backward, op.stage(), op.microbatch());
        order.erase(order.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  Schedule result = schedule;
  set_orders(result, orders);
  return result;
}

std::string without_carriage_returns(std::string text) {
  std::erase(text, '\r');
  return text;
}

constexpr const char* kOrder = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n";

}  // namespace

TEST_CASE("PyTorch's CSV has one line a rank and commas between cells and nothing else") {
  CHECK(to_torch_csv(small()) == "0F0,3F2,0I0,(0F1;3B2)OVERLAP_F_B,0W0\n\n");
  const Schedule large = written(loop_placement({.ranks = 1, .chunks = 1}), 123'457, {"0F123456"});
  CHECK(to_torch_csv(large) == "0F123456\n");
}

TEST_CASE("A program as JSON has one line of steps a rank") {
  CHECK(to_program_json({.schedule = small()}) ==
        "{\n"
        "  \"format\": \"bubblescope-program/1\",\n"
        "  \"schedule\": \"mine\",\n"
        "  \"comm\": \"ideal\",\n"
        "  \"ranks\": 2,\n"
        "  \"microbatches\": 4,\n"
        "  \"pipes\": 2,\n"
        "  \"depth\": 2,\n"
        "  \"rank_of_stage\": [0,1,1,0],\n"
        "  \"weights_of_stage\": [0,1,0,1],\n"
        "  \"program\": [\n"
        "    [{\"action\": \"0F0\"}, {\"action\": \"3F2\"}, {\"action\": \"0I0\"}, "
        "{\"action\": \"(0F1;3B2)OVERLAP_F_B\"}, {\"action\": \"0W0\"}],\n"
        "    []\n"
        "  ]\n"
        "}\n");
}

TEST_CASE("A schedule's name is quoted in JSON") {
  Schedule schedule = small();
  schedule.name = "a \"b\"\n\\";
  CHECK(json::parse(to_program_json({.schedule = schedule}))["schedule"] == schedule.name);
}

TEST_CASE("What is written is read again, in CSV and JSON, for the whole catalogue") {
  constexpr Comm kComms[] = {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch};
  for (const CatalogueEntry& entry : generated_schedules()) {
    CAPTURE(entry.name);
    for (const Comm comm : kComms) {
      CAPTURE(to_string(comm));
      const PostedProgram program = post_messages(entry, {4, 8}, comm);
      const std::string text = to_program_json(program);
      const ProgramFile again = read(text);
      CHECK(to_program_json(again.program) == text);
      CHECK(again.program.schedule.name == entry.name);
      CHECK_NOTHROW(check_program(again));
      CHECK(again.notes.empty());
      if (comm == Comm::Ideal)
        check_same(read(to_torch_csv(program.schedule)).program, program);
      if (comm == Comm::Torch)
        check_same(read(to_torch_comms_csv(program)).program, program);
    }
  }
}

TEST_CASE("Random programs are read as they were written") {
  constexpr Comm kComms[] = {Comm::Ideal, Comm::Stream, Comm::Batched, Comm::Torch};
  int read_again = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 engine(seed);
    const PostedProgram program = post_messages(random_schedule(engine), kComms[seed % 4]);
    if (find_placement_fault(program.schedule.placement))
      continue;  // stages strewn unevenly: files have as many on each rank
    const std::string text = to_program_json(program);
    CHECK(to_program_json(read(text).program) == text);
    if (program.comm == Comm::Ideal)
      check_same(read(to_torch_csv(program.schedule)).program, program);
    if (program.comm == Comm::Torch)
      check_same(read(to_torch_comms_csv(program)).program, program);
    ++read_again;
  }
  CHECK(read_again > 100);
}

TEST_CASE("Channels that are not the default go with a program") {
  PostedProgram program = post_messages(*find_schedule("1f1b"), {2, 2}, Comm::Torch);
  CHECK(to_program_json(program).find("channels") == std::string::npos);
  program.channels = Channels::PerRank;
  CHECK(read(to_program_json(program)).program.channels == Channels::PerRank);
  json wrong = json::parse(to_program_json(program));
  wrong["channels"] = "ranks";
  CHECK(complaint(wrong.dump()) ==
        "/channels: expected rank, pair, direction, got \"ranks\"; did you mean 'rank'?");
}

TEST_CASE("Idle slots, blanks, CR LF and a byte order mark change nothing") {
  const PostedProgram plain = read(kOrder).program;
  for (const char* text :
       {"0F0,0F1,,0B0,,,0B1\n,1F0,1B0,1F1,1B1\n", "0F0,0F1,0B0,0B1\r\n1F0,1B0,1F1,1B1\r\n",
        " 0F0 ,\t0F1,0B0,0B1\n1F0,1B0,1F1,1B1",
        "\xef\xbb\xbf"
        "0F0,0F1,0B0,0B1\n"
        "1F0,1B0,1F1,1B1\n\n\n"})
    check_same(read(text).program, plain);
}

TEST_CASE("The dialect before PyTorch 2.6 is told by its tokens, and that is said") {
  const std::string current = "0F0,0I0,0W0,0F1,0B1\n1F0,1I0,1W0,1F1,1B1\n";
  const std::string old = "0F0,0B0,0W0,0F1,0BW1\n1F0,1B0,1W0,1F1,1BW1\n";
  const PostedProgram program = read(current).program;
  CHECK(read(current).notes.empty());
  check_same(read(old).program, program);
  REQUIRE(read(old).notes.size() == 1);
  CHECK(read(old).notes.front().find("before 2.6, where B is the gradient for the input: it has "
                                     "BW") != std::string::npos);
  CHECK(read("0F0,0B0,0W0\n").notes.size() == 1);  // a W and no I
  check_same(read(old, Dialect::Before26).program, program);
  CHECK(read(old, Dialect::Before26).notes.empty());
  CHECK(complaint(old, Dialect::Current) ==
        "line 1, column 5: '0BW1': BW is of PyTorch's dialect before 2.6, expected that of today");
  CHECK(complaint(current, Dialect::Before26) ==
        "line 1, column 2: '0I0': I is not of PyTorch's dialect before 2.6, expected B for the "
        "input's gradient");
  CHECK(complaint("0F0,0I0,0W0,0F1,0BW1\n") ==
        "line 1, column 5: '0BW1': one file has both I and BW, which are of two dialects of "
        "PyTorch");
}

TEST_CASE("Collectives without messages are left out, and that is said") {
  const ProgramFile file = read("0UNSHARD,0F0,0B0,0REDUCE_GRAD\n1F0,1B0,1REDUCE_GRAD\n");
  CHECK(file.program.comm == Comm::Ideal);
  CHECK(file.program.collectives.empty());
  CHECK(file.notes.size() == 1);
  CHECK_NOTHROW(check_program(file));
}

TEST_CASE("Two pipes are told by the micro-batches that each half of the stages sees") {
  const PostedProgram program =
      read(to_torch_csv(make_schedule(*find_schedule("dualpipe"), {4, 8}))).program;
  CHECK(program.schedule.placement.pipes == 2);
  CHECK(program.schedule.placement.depth == 4);
  CHECK(program.schedule.placement.rank_of_stage == bidirectional_placement(4).rank_of_stage);
  CHECK(program.schedule.placement.weights_of_stage == bidirectional_placement(4).weights_of_stage);
}

TEST_CASE("A CSV that is wrong is told by line and column and token and what was expected") {
  struct Case {
    std::string text;
    std::string complaint;
  };
  const Case cases[] = {
      {"0F0,0F1x,0B0\n", "line 1, column 2: '0F1x': expected nothing after '0F1', got 'x'"},
      {"0F0,,0G0\n",
       "line 1, column 3: '0G0': expected one of F, I, W, B, BW, SEND_F, RECV_F, "
       "SEND_B, RECV_B, UNSHARD, RESHARD, REDUCE_GRAD after the stage, got 'G'; did you mean 'F'?"},
      {"F0\n", "line 1, column 1: 'F0': expected a stage, such as 0 in 0F3, and got 'F0'"},
      {"0F\n", "line 1, column 1: '0F': expected a micro-batch after F and the word ends"},
      {"-1F0\n", "line 1, column 1: '-1F0': expected a stage, such as 0 in 0F3, and got '-1F0'"},
      {"0F99999999999\n",
       "line 1, column 1: '0F99999999999': the number '99999999999' is too large"},
      {"0F0,(0F1;0B0)OVERLAP,0B1\n",
       "line 1, column 2: '(0F1;0B0)OVERLAP': expected OVERLAP_F_B after a pair"},
      {"0F0,(0F1:0B0)OVERLAP_F_B\n",
       "line 1, column 2: '(0F1:0B0)OVERLAP_F_B': expected ; between the two ops of a pair"},
      {"0F0,(0B0;0F1)OVERLAP_F_B,0B1\n",
       "line 1, column 2: '(0B0;0F1)OVERLAP_F_B': expected an F, then a B, in a pair"},
      {"0F0,(0F1;0F1)OVERLAP_F_B,0B1\n",
       "line 1, column 2: '(0F1;0F1)OVERLAP_F_B': expected an F, then a B, in a pair"},
      {"0F0,0F1,0B0\n1F0,1F1,1B0,1B1\n",
       "line 1: micro-batch 1 on stage 0 lacks its B, or I and W"},
      {"0F0,0F1,0B0,0B1,1F0\n1F0,1F1,1B0,1B1\n",
       "line 1, column 5: '1F0': the stage is on another rank"},
      {"0F0,0F0,0B0\n", "line 1, column 2: '0F0': was done before"},
      {",0B0,0F0\n", "line 1, column 2: '0B0': comes before its F"},
      {"0F0,0B0\n\n1F0,1B0\n", "line 2: is empty, and rank 1 does nothing"},
      {"0F0,0B0\n2F0,2B0\n", "stage 1 is nowhere, but there is stage 2"},
      {"0F0,0B0,2F0,2B0\n1F0,1B0\n", "3 stages on 2 ranks: expected as many on each"},
      {"0F0,0B0,1F0,1B0,2F0,2B0\n3F0,3B0\n",
       "4 stages on 2 ranks: expected 2 on each, and rank 0 has 3"},
      {"0F0,0B2000000\n",
       "line 1, column 2: '0B2000000': there is micro-batch 2000000, but the file "
       "has only 2 actions for 1 stages: micro-batches are missing"},
      {"0F2,",  // whose JSON would be refused
       "line 1, column 1: '0F2': there is micro-batch 2, but the file has only 1 actions for 1 "
       "stages: "
       "micro-batches are missing"},
      {"0F0,7000B0\n",
       "line 1, column 2: '7000B0': there is stage 7000, but the file has only 2 "
       "tokens: stages are missing"},
      {",,,\n", "line 1: is empty, and rank 0 does nothing"},
      {std::string("\0\xff\x01", 3),
       "line 1, column 1: '\\x00\\xff\\x01': expected a stage, such as "
       "0 in 0F3, and got '\\x00\\xff\\x01'"},
      {"0F0,0SEND_F0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n",
       "line 1, column 3: '0B0': the output of 1I0 that it needs is not received before it"},
      {"0SEND_F0,0F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n",
       "line 1, column 1: '0SEND_F0': it is sent before it is made"},
      {"0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0\n",
       "line 2: the output of 1I0 is never sent to rank 0"},
      {"0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0,1SEND_F0\n",
       "line 2, column 5: '1SEND_F0': stage 1 has no stage after it"},
      {"0F0,0SEND_F0,0RECV_B0,0B0,1UNSHARD\n1RECV_F0,1F0,1B0,1SEND_B0\n",
       "line 1, column 5: '1UNSHARD': stage 1 is on rank 1"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.text);
    CHECK(complaint(each.text) == each.complaint);
  }
}

TEST_CASE("JSON that is wrong is told by its path") {
  const std::string good =
      to_program_json(post_messages(*find_schedule("1f1b"), {2, 2}, Comm::Batched));
  struct Case {
    std::string path;
    json value;
    std::string complaint;
  };
  const Case cases[] = {
      {"/format", "x", "/format: expected \"bubblescope-program/1\""},
      {"/ranks", 3, "/ranks: is 3, and \"program\" has steps of 2"},
      {"/pipes", 3, "/pipes: expected 1 … 2, got 3"},
      {"/microbatches", 0, "/microbatches: expected 1 … 16, got 0"},
      {"/depth", 2.5, "/depth: expected a whole number, got 2.5"},
      {"/rank_of_stage", json::array({0, 0}),
       "/rank_of_stage: 2 stages on 2 ranks: expected 1 on each, and rank 0 has 2"},
      {"/rank_of_stage", json::array({0}),
       "/rank_of_stage: expected 2 entries, pipes × depth, got 1"},
      {"/rank_of_stage/1", 9, "/rank_of_stage/1: expected less than 2, got 9"},
      {"/comm", "batches",
       "/comm: expected ideal, stream, batched, torch, got \"batches\"; did you "
       "mean 'batched'?"},
      {"/comm", "stream", "/comm: is stream, and there are batches"},
      {"/extra", 1, "/extra: unknown key"},
      {"/program", 1, "/program: expected an array with one array of steps a rank"},
      {"/program/0", 1, "/program/0: expected an array of steps"},
      {"/program/1/0", 1, "/program/1/0: expected a step such as {\"action\": \"0F3\"}"},
      {"/program/0/0",
       {{"acton", "0F0"}},
       "/program/0/0/'acton': unknown key; did you mean 'action'?"},
      {"/program/0/0", {{"action", "0F0"}, {"batch", 1}}, "/program/0/0: expected one key, got 2"},
      {"/program/0/0/action", "0F0y",
       "/program/0/0/action: '0F0y': expected nothing after '0F0', got 'y'"},
      {"/program/0/0/action", "0SEND_F0",
       "/program/0/0/action: '0SEND_F0': expected an F, I, W, B or a pair"},
      {"/program/0/0/action", "1F0", "/program/0/0: '1F0': the stage is on another rank"},
      {"/program/0/0",
       {{"batch", json::array({json::array({"send", 1, "act", 0})})}},
       "/program/0/0/batch/0: expected [\"send\" or \"recv\", peer, \"act\" or \"grad\", stage, "
       "micro-batch], got an array"},
      {"/program/0/0",
       {{"batch", json::array({json::array({"sent", 1, "act", 0, 0})})}},
       "/program/0/0/batch/0/0: expected \"send\" or \"recv\", got \"sent\""},
      {"/program/0/0",
       {{"batch", json::array({json::array({"send", 1, "act", 7, 0})})}},
       "/program/0/0: there are stages 0 … 1, got 7"},
      {"/program/0/0",
       {{"post", json::array({"send", 1, "act", 0, 0})}},
       "/comm: is batched, and there are posted transfers: expected stream or torch"},
  };
  for (const Case& each : cases) {
    CAPTURE(each.complaint);
    json changed = json::parse(good);
    changed[json::json_pointer(each.path)] = each.value;
    CHECK(complaint(changed.dump()) == each.complaint);
  }
  json missing = json::parse(good);
  missing.erase("ranks");
  CHECK(complaint(missing.dump()) == "/ranks: is missing");
  CHECK_FALSE(complaint("{\"format\": ").empty());
  CHECK(complaint(good, Dialect::Current) == "is JSON, and only PyTorch's CSV has dialects");
}

TEST_CASE("Adjacent batches stay apart and are waited for one after the other") {
  PostedProgram program = post_messages(*find_schedule("1f1b"), {2, 1}, Comm::Batched);
  const std::string apart =
      R"({"format": "bubblescope-program/1", "schedule": "mine", "comm": "batched", "ranks": 2,
          "microbatches": 2, "pipes": 1, "depth": 2, "rank_of_stage": [0, 1],
          "weights_of_stage": [0, 1], "program": [
          [{"action": "0F0"}, {"action": "0F1"}, {"batch": [["send", 1, "act", 0, 0]]},
           {"batch": [["send", 1, "act", 0, 1]]}, {"batch": [["recv", 1, "grad", 1, 0]]},
           {"action": "0B0"}, {"batch": [["recv", 1, "grad", 1, 1]]}, {"action": "0B1"}],
          [{"batch": [["recv", 0, "act", 0, 0]]}, {"batch": [["recv", 0, "act", 0, 1]]},
           {"action": "1F0"}, {"action": "1F1"}, {"action": "1B0"}, {"batch": [["send", 0, "grad",
           1, 0]]}, {"action": "1B1"}, {"batch": [["send", 0, "grad", 1, 1]]}]]})";
  const ProgramFile file = read(apart);
  CHECK_NOTHROW(check_program(file));
  CHECK(json::parse(to_program_json(file.program))["program"] == json::parse(apart)["program"]);
  const CostSource costs{.stages = {{.forward = Time(10), .backward = Time(10)}},
                         .link = {.latency = Time(5)}};
  const CostModel model(costs, file.program.schedule.placement, {});
  const DependencyGraph graph = build_graph(file.program, model);
  std::vector<NodeId> forwards;
  for (NodeId node = 0; node < graph.size(); ++node)
    if (graph.is_message(node))
      forwards.push_back(node);
  REQUIRE(forwards.size() == 4);
  // The second activation waits for the first: an edge leads there.
  const auto edges = graph.producer().subspan(
      graph.first_edge()[forwards[1]],
      graph.first_edge()[forwards[1] + 1] - graph.first_edge()[forwards[1]]);
  CHECK(std::find(edges.begin(), edges.end(), forwards[0]) != edges.end());
}

TEST_CASE("Every file that PyTorch lowered is lowered the same") {
  const auto folder = reference("oracles/pytorch-lowered");
  if (folder.empty())
    return;
  int compared = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    CAPTURE(file.path());
    const ProgramFile theirs = read_program_file(file.path());
    CHECK(theirs.program.comm == Comm::Torch);
    CHECK_NOTHROW(check_program(theirs));
    CHECK(to_torch_comms_csv(theirs.program) == without_carriage_returns(theirs.text));
    const PostedProgram ours = post_messages(theirs.program.schedule, Comm::Torch);
    CHECK(to_torch_comms_csv(ours) == with_sorted_reshards(without_carriage_returns(theirs.text)));
    ++compared;
  }
  CHECK(compared == 24);
}

TEST_CASE("The catalogue is lowered as PyTorch lowers it in many shapes") {
  std::istringstream lines(contents(source_file("tests/golden/torch_lowered_digests.csv")));
  int compared = 0;
  for (std::string line; std::getline(lines, line);) {
    char name[64];
    char expected[64];
    int p = 0;
    int m = 0;
    int v = 0;
    if (std::sscanf(line.c_str(), "%63[^,],%d,%d,%d,%63s", name, &p, &m, &v, expected) != 5)
      continue;
    CAPTURE(line);
    const PostedProgram program = post_messages(*find_schedule(name), {p, m, v}, Comm::Torch);
    CHECK(digest(to_torch_comms_csv(program)) == expected);
    ++compared;
  }
  CHECK(compared > 200);
}

TEST_CASE("PyTorch's own test files are read in their dialects") {
  const auto folder = reference("pytorch_csv");
  if (folder.empty())
    return;
  const auto file = [&](const char* name) { return read_program_file(folder / name); };
  const ProgramFile dualpipev = file("dualpipev_4rank_10mb.csv");
  check_same(dualpipev.program, post_messages(*find_schedule("dualpipev"), {4, 10}, Comm::Ideal));
  const ProgramFile compute = file("zb1p_2rank_2stagep_compute.csv");
  const ProgramFile old = file("zb1p_2rank_2stagep_compute.OLD_DIALECT.csv");
  CHECK(compute.notes.empty());
  CHECK(old.notes.size() == 1);
  check_same(old.program, compute.program);
  // Their _comms file is of a test that merges I and W into B where they are neighbours, and then
  // adds messages, but no collectives.
  const ProgramFile comms = file("zb1p_2rank_2stagep_comms.csv");
  CHECK_NOTHROW(check_program(comms));
  CHECK(orders_of(merged(compute.program.schedule)) == orders_of(comms.program.schedule));
  PostedProgram ours = post_messages(merged(compute.program.schedule), Comm::Torch);
  ours.collectives.clear();
  CHECK(to_torch_comms_csv(ours) == without_carriage_returns(comms.text));
}

}  // namespace bubblescope
