// Costs from a model on the command line: `costs`, and every subcommand that takes costs.
#include <algorithm>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/costs/cost_file.h"
#include "sim/transformer/hardware.h"
#include "sim/transformer/model_file.h"
#include "sim/transformer/parameters.h"
#include "tests/support/command.h"
#include "tests/support/json_schema.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kDeepseek =
    "--model deepseek-v3 --hardware h800 --parallel tp=1,ep=64,dp=128,cp=1 --precision fp8 "
    "--recompute selective";

/// As of a cost file, which does not tell what the model needs.
json without_throughput(json report) {
  for (const char* key :
       {"gpus", "tokens_per_second", "mfu", "mfu_full_attention", "device_memory_bytes"}) {
    CHECK(report[key].is_number());
    report[key] = nullptr;
  }
  return without_provenance(report);
}

json result_of(const json& comparison, const std::string& schedule) {
  for (const json& each : comparison["results"])
    if (each["schedule"] == schedule)
      return each;
  return {};
}

}  // namespace

TEST_CASE("costs tells what a model comes to, stage by stage") {
  const json costs = output_json("costs -p 16 " + kDeepseek);
  CHECK(costs["ranks"] == 16);
  CHECK(costs["layers_per_stage"] == 61.0 / 16);
  CHECK(costs["layout"] == "Et*4|(t*4|)*12(t*3|)*2t*3mL");
  REQUIRE(costs["stages"].size() == 16);
  const json& stage = costs["stages"][2];
  for (const char* key : {"forward_ns", "input_grad_ns", "weight_grad_ns", "backward_ns",
                          "overlapped_ns", "activation_bytes", "weight_bytes", "message_bytes"})
    CHECK_MESSAGE(stage[key].get<std::int64_t>() > 0, key);
  CHECK(stage["message_bytes"] == 4096 * 7168 * 2);
  std::int64_t forward = 0;
  for (const json& phase : stage["phases"])
    if (phase["of"] == "F")
      forward += phase["duration_ns"].get<std::int64_t>();
  // Alone, nothing of it runs beside anything.
  CHECK(stage["forward_ns"] == forward);
  CHECK(stage["overlapped_ns"] <
        stage["forward_ns"].get<std::int64_t>() + stage["backward_ns"].get<std::int64_t>());
  CHECK(std::abs(stage["overlapped_ns"].get<double>() / 129.012e6 - 1) < 0.15);
}

TEST_CASE("costs shows tables and CSV, and other sources of costs too") {
  const std::string table = output("costs -p 16 " + kDeepseek);
  CHECK(has(table, "stages  layers"));
  CHECK(has(table, "1–12"));
  CHECK(has(table, "dispatch(F)"));
  CHECK(has(table, "network"));
  CHECK(has(output("costs -p 16 " + kDeepseek + " --format md"), "| stages 1–12 |"));
  const auto csv = lines(output("costs -p 16 " + kDeepseek + " --format csv"));
  CHECK(csv.size() == 17);
  CHECK(csv[0].starts_with("stage,forward_ns,"));
  const json measured = output_json("costs --costs deepseek-v3-h800");
  CHECK(measured["ranks"] == 16);
  CHECK(measured["stages"][0]["overlapped_ns"] == 129'012'000);
  CHECK(measured["stages"][0]["phases"].size() == 10);
  const json by_hand =
      output_json("costs --forward 1us --input-grad 2us --weight-grad 3us -p 2 -v 2");
  CHECK(by_hand["stages"].size() == 4);
  CHECK(by_hand["stages"][0]["backward_ns"] == 1000 + 1500);
  CHECK(by_hand["stages"][0]["activation_bytes"] == nullptr);
}

TEST_CASE("Costs that are saved are read back as the same") {
  const TemporaryFolder folder;
  const std::string file = (folder / "mine.json").string();
  output("costs -p 8 " + kDeepseek + " --save " + file);
  const json schema = json::parse(contents(source_file("data/schema/costs.schema.json")));
  CHECK(schema_faults(schema, json::parse(contents(file))) == std::vector<std::string>());
  CHECK(read_costs(file).stages.size() == 8);
  output("costs -p 8 " + kDeepseek + " --save " + file + ".gz");
  const json unpacked = output_json("costs --costs " + file);
  CHECK(output_json("costs --costs " + file + ".gz") == unpacked);
  for (const char* schedule : {"1f1b", "dualpipe", "zb-h1"}) {
    const std::string shape =
        std::string("simulate ") + schedule + " -p 8 -m 16 --memory-limit 80GB ";
    CHECK(without_throughput(output_json(shape + kDeepseek)) ==
          without_provenance(output_json(shape + "--costs " + file)));
  }
}

TEST_CASE("Costs by hand are read back, whatever rate a link can be given") {
  const TemporaryFolder folder;
  const ProcessOptions there{.folder = folder.path()};
  for (const std::string rate : {"1e-3B/s", "50GB/s", "1e15TB/s"}) {
    CAPTURE(rate);
    output(
        "costs -p 2 --forward 1us --input-grad 1us --weight-grad 1us --message 1B --save c.json "
        "--bandwidth " +
            rate,
        there);
    CHECK(has(output("costs -p 2 --costs c.json", there), "a message takes"));
  }
}

TEST_CASE("Costs are not saved into the file or the stream of the table") {
  const TemporaryFolder folder;
  const std::string costs = "costs -p 2 --forward 1us --input-grad 1us --weight-grad 1us ";
  for (const char* files : {"--save a.json -o a.json", "--save a.json -o ./a.json", "--save -"}) {
    const ProcessResult result = run(costs + files, {.folder = folder.path()});
    CHECK(result.exit_code == kUsage);
    CHECK(has(result.err, "--save"));
    CHECK(result.out == "");
    CHECK(folder.listing() == "");
  }
}

TEST_CASE("costs takes no option of a run, of which it would take no notice") {
  const std::string costs = "costs -p 2 --forward 1us --input-grad 1us --weight-grad 1us ";
  for (const char* option :
       {"--reduce after", "--optimizer-sync none", "--comm ideal", "--channels pair"}) {
    const ProcessResult result = run(costs + option);
    CHECK(result.exit_code == kUsage);
    CHECK(has(result.err, "there is no option --"));
  }
}

TEST_CASE("A model's throughput follows from its FLOPs, the GPUs and the iteration") {
  const std::string job =
      "simulate 1f1b -p 8 -m 32 --model llama-3.1-405b --hardware h100-sxm --parallel "
      "tp=8,cp=2,dp=4 --sequence 8192 --microbatch-size 2 ";
  const json plain = output_json(job);
  const double seconds = plain["iteration_time_ns"].get<double>() * 1e-9;
  const double tokens = 32.0 * 2 * 8192 * 4;
  CHECK(plain["gpus"] == 8 * 8 * 2 * 4);
  CHECK(plain["tokens_per_second"].get<double>() == doctest::Approx(tokens / seconds));
  // 6 FLOPs a parameter that multiplies and a token; 6 × layers × width × sequence of attention.
  const Model model = read_model(source_file("data/models/llama-3.1-405b.json").string());
  const double flops =
      6.0 * static_cast<double>(activated_parameters(model)) + 6.0 * 126 * 16384 * 8192;
  const double peak =
      512 * read_hardware(source_file("data/hardware/h100-sxm.json").string()).bf16_flops;
  CHECK(plain["mfu"].get<double>() ==
        doctest::Approx(flops * tokens / (peak * seconds)).epsilon(1e-4));
  // What is made again costs time and counts as nothing; scores above the diagonal neither.
  for (const char* option : {"--recompute full", "--attention unfused"}) {
    const json other = output_json(job + option);
    const double slower =
        other["iteration_time_ns"].get<double>() / plain["iteration_time_ns"].get<double>();
    CHECK(slower > 1.05);
    CHECK(other["mfu"].get<double>() * slower == doctest::Approx(plain["mfu"].get<double>()));
  }
  // Nor does a head of keys and values that two GPUs of a tensor group compute both.
  const json wide = output_json(std::string(job).replace(job.find("tp=8"), 4, "tp=16"));
  CHECK(wide["mfu"].get<double>() * 2 * wide["iteration_time_ns"].get<double>() ==
        doctest::Approx(plain["mfu"].get<double>() * plain["iteration_time_ns"].get<double>()));
  CHECK(has(output(job), "8 ranks (512 GPUs), 32 micro-batches, "));
  CHECK(has(output(job), "\nMFU "));
  const std::string shape = job.substr(std::string("simulate 1f1b").size());
  CHECK(has(output("compare --schedules 1f1b,zb-h1" + shape), " MFU "));
}

TEST_CASE("A model's ranks stand on nodes as their GPUs do") {
  const std::string four = "--model gpt3-175b --hardware h800 --parallel tp=4 ";
  const json network = output_json("costs -p 4 " + four)["network"];
  CHECK(network["ranks_per_node"] == 2);
  CHECK(network["intra_node"]["latency_ns"] == 2000);
  CHECK(network["intra_node"]["bandwidth_bytes_per_s"] == doctest::Approx(0.78 * 200e9));
  CHECK(network["inter_node"]["latency_ns"] == 10'000);
  CHECK(network["inter_node"]["bandwidth_bytes_per_s"] == doctest::Approx(0.8 * 50e9));
  CHECK(network["inter_node"]["shared_bytes_per_s"] == nullptr);
  CHECK(has(output("costs -p 4 " + four + "--nic 100GB/s"),
            "; 2 ranks a node: a message takes 2000 ns and its bytes at 156 GB/s within a node, "
            "10.000 µs and its bytes at 40 GB/s (all share 100 GB/s) between nodes\n"));
  // A stage on eight GPUs or more fills its nodes; one on twelve of eight shares none.
  for (const char* parallel : {"tp=8", "tp=4,dp=2", "tp=4,dp=4", "tp=4,dp=3"}) {
    const json costs = output_json(
        std::string("costs -p 4 --model gpt3-175b --hardware h800 --parallel ") + parallel);
    CHECK(costs["network"] == nullptr);
    CHECK(costs["latency_ns"] == 10'000);
  }
  CHECK(output_json("costs -p 4 --ranks-per-node 1 " + four)["network"] == nullptr);
}

TEST_CASE("Messages of a model divide links where options say so, under every way to talk") {
  const std::string line =
      "simulate interleaved-1f1b -p 4 -m 8 -v 2 --model gpt3-175b --hardware h800 "
      "--parallel tp=4 ";
  const auto step = [&](const std::string& options) {
    return output_json(line + options)["step_time_ns"].get<std::int64_t>();
  };
  for (const char* comm : {"", "--comm stream ", "--comm batched ", "--comm torch "}) {
    CAPTURE(comm);
    const std::string way = comm;
    CHECK(step(way) < step(way + "--ranks-per-node 1"));
    CHECK(step(way) < step(way + "--nic 5GB/s"));
    CHECK(step(way) <= step(way + "--nvlink 100GB/s"));
  }
  CHECK_FALSE(output_json(line).contains("links"));
  CHECK(output_json(line + "--nic 20GB/s")["links"].size() == 4);
  const TemporaryFolder folder;
  const std::string file = (folder / "saved.json").string();
  output("costs -p 4 -v 2 --model gpt3-175b --hardware h800 --parallel tp=4 --nic 20GB/s --save " +
         file);
  const std::string limit = " --memory-limit 80GB";  // which a cost file does not tell
  CHECK(without_provenance(
            output_json("simulate interleaved-1f1b -p 4 -m 8 -v 2 --costs " + file + limit)) ==
        without_throughput(output_json(line + "--nic 20GB/s" + limit)));
}

TEST_CASE("compare lays the model over each schedule's own number of stages") {
  const std::string shape = "compare -p 4 -m 8 --schedules 1f1b,zb-v,dualpipe ";
  const std::string model =
      "--model mixtral-8x22b --hardware h100-sxm --parallel tp=2,ep=8 --sequence 2048 ";
  const json comparison = output_json(shape + model);
  CHECK(comparison["results"].size() == 3);
  const json one = output_json("simulate 1f1b -p 4 -m 8 " + model);
  CHECK(result_of(comparison, "1f1b")["step_time_ns"] == one["step_time_ns"]);
  const json laid = output_json(shape + model + "--layout Et*14|t*14|t*14|t*14L");
  CHECK(result_of(laid, "1f1b")["step_time_ns"] == one["step_time_ns"]);
  REQUIRE(laid["skipped"].size() == 1);
  CHECK(laid["skipped"][0]["schedule"] == "zb-v");
  CHECK(laid["skipped"][0]["reason"] == "the layout is for 4 stages, and the pipe has 8");
  // A rank of DualPipe holds two stages.
  const json costs = output_json("costs -p 4 " + model);
  const auto weights = [&](std::size_t stage) {
    return costs["stages"][stage]["weight_bytes"].get<std::int64_t>();
  };
  const auto peak = result_of(comparison, "dualpipe")["per_rank"][1]["peak_memory_bytes"];
  CHECK(peak.get<std::int64_t>() > weights(1) + weights(2));
}

TEST_CASE("Where nothing else is asked for, a GPU's memory is what a model has to fit") {
  const std::string model = "--model gpt3-175b --hardware h200 --parallel tp=8";
  const std::string line = " -p 8 -m 16 " + model;
  const json shallow = output_json("simulate gpipe" + line);
  CHECK(shallow["memory_limit_bytes"] == 150'750'000'000);
  CHECK(shallow["fits"] == true);
  const std::string deep = "simulate gpipe -p 8 -m 512 " + model;
  CHECK(output_json(deep)["fits"] == false);
  CHECK(output_json(deep + " --memory-limit 10TB")["fits"] == true);
  CHECK(output_json("compare --schedules gpipe" + line)["memory_limit_bytes"] == 150'750'000'000);
  CHECK(has(output("compare --schedules 1f1b -p 8 -m 16 " + model),
            "; limit: 140.4 GiB a GPU, the memory of h200\n"));
  CHECK(has(output("simulate 1f1b -p 8 -m 16 " + model),
            "within 140.4 GiB a GPU, the memory of h200"));
  CHECK(output_json("simulate 1f1b -p 8 -m 16 --costs deepseek-v3-h800")["fits"] == nullptr);
}

TEST_CASE("A model's and a hardware's own file is read") {
  const TemporaryFolder folder;
  json config = json::parse(contents(source_file("data/models/qwen3-235b-a22b.json")));
  for (const char* key : {"format", "name", "source", "query_key_norm"})
    config.erase(key);
  config["model_type"] = "qwen3_moe";
  folder.write("config.json", config.dump());
  const json costs =
      output_json("costs -p 4 --model " + (folder / "config.json").string() + " --hardware " +
                  source_file("data/hardware/h200.json").string() + " --parallel ep=8");
  CHECK(costs["name"] == "qwen3_moe on h200");
}

TEST_CASE("What a config.json has beside what is read is told, or refused until it is ignored") {
  const TemporaryFolder folder;
  json config = json::parse(contents(source_file("data/models/llama-3.1-405b.json")));
  for (const char* key : {"format", "name", "source"})
    config.erase(key);
  config["model_type"] = "llama";
  folder.write("vision.json",
               json{{"text_config", config}, {"vision_config", {{"depth", 3}}}}.dump());
  config["mamba_d_state"] = 16;
  config["index_topk"] = 2048;
  folder.write("hybrid.json", config.dump());
  const std::string rest = " --model vision.json --hardware h200 --parallel tp=8";
  for (const char* command : {"costs -p 2", "simulate 1f1b -p 2 -m 2",
                              "compare -p 2 -m 2 --schedules 1f1b", "explain 1f1b -p 2 -m 2"}) {
    const ProcessResult result = run(command + rest, {.folder = folder.path()});
    CHECK(result.exit_code == 0);
    CHECK_MESSAGE(has(result.err, "note: vision.json: text_config alone is read"), result.err);
    CHECK(run("-q " + (command + rest), {.folder = folder.path()}).err == "");
  }
  const std::string hybrid = "costs -p 2 --model hybrid.json --hardware h200 --parallel tp=8";
  const auto refused = [&](const std::string& options, int code, const std::string& told) {
    const ProcessResult result = run(hybrid + options, {.folder = folder.path()});
    CHECK(result.exit_code == code);
    CHECK_MESSAGE(has(result.err, told), result.err);
  };
  refused("", kBadInput, "hybrid.json: /index_topk: is not understood, and by its name");
  refused(" --ignore-key index_topk", kBadInput, "hybrid.json: /mamba_d_state: is not understood");
  refused(" --ignore-key indextopk", kBadInput, "did you mean 'index_topk'?");
  for (const char* both : {" --ignore-key mamba_d_state --ignore-key index_topk",
                           " --ignore-key mamba_d_state,index_topk"})
    refused(both, 0, "");
}

TEST_CASE("GPUs and a global batch that no split divides are refused") {
  const auto said = [](const std::string& options) {
    const ProcessResult result =
        run("simulate 1f1b -p 4 -m 8 --model deepseek-v3 --hardware h800 " + options);
    CHECK(result.exit_code == kUsage);
    return result.err;
  };
  CHECK(has(said("--tp 67108864 --cp 67108864 --gpus 8"), "--gpus: 8 GPUs are no multiple of tp"));
  CHECK(has(said("--gpus 16 --parallel dp=8"), "16 GPUs make dp=4, and --parallel says dp=8"));
  CHECK(has(said("--gpus 16 --global-batch 6"),
            "6 sequences are no multiple of dp · micro-batch size = 4"));
  CHECK(has(said("--gpus 16 --global-batch 16"), "it comes to m=4, and -m says 8"));
}

TEST_CASE("What is wrong with a model's options is told with its place") {
  struct Case {
    const char* line;
    int code;
    const char* told;
  };
  const Case cases[] = {
      {"--model deepseek-v9 --hardware h800", kUsage,
       "--model: there is no file and no such name: 'deepseek-v9'; the nearest is 'deepseek-v2', "
       "of another size or version"},
      {"--model deepseek-v3 --hardware h900", kUsage,
       "the nearest is 'h200', of another size or version"},
      {"--model deepseek-v3", kUsage, "--model needs --hardware"},
      {"--sequence 4096", kUsage, "--sequence needs --model"},
      {"--model deepseek-v3 --hardware h800 --costs deepseek-v3-h800", kUsage,
       "--costs and --model do not go together: give one of them"},
      {"--model deepseek-v3 --hardware h800 --forward 1us", kUsage,
       "--forward and --model do not go together"},
      {"--model deepseek-v3 --hardware h800 --inter-p2p 1us", kUsage,
       "--inter-p2p and --model do not go together"},
      {"--model deepseek-v3 --hardware h800 --inter-bandwidth 1GB/s", kUsage,
       "--inter-bandwidth and --model do not go together"},
      {"--model deepseek-v3 --hardware h800 --ranks-per-node 0", kUsage, "--ranks-per-node"},
      {"--model gpt3-175b --hardware h800 --memory-limit 80", kUsage,
       "--memory-limit: with --model it is the memory of a GPU and needs a unit, 80GB (10⁹ bytes) "
       "or 80GiB (2³⁰), got '80'"},
      {"--model gpt3-175b --hardware h800 --parallel tp=8 --nvlink 1GB/s", kUsage,
       "--nvlink: no two of the pipeline's ranks share a node"},
      {"--model gpt3-175b --hardware h800 --cost-per stage", kUsage,
       "--cost-per and --model do not go together"},
      {"--model deepseek-v3 --hardware h800 --parallel ep=512", kUsage,
       "--parallel: ep=512 is more than the 256 experts of deepseek-v3"},
      {"--model deepseek-v3 --hardware h800 --parallel tp=3", kUsage,
       "--parallel: tp=3 does not divide the 128 attention heads of deepseek-v3"},
      {"--model deepseek-v3 --hardware h800 --parallel pp=4", kUsage,
       "--parallel: at 'pp=4' (character 1): expected tp, ep, dp or cp"},
      {"--model deepseek-v3 --hardware h800 --layout Et*60L", kUsage,
       "--layout: character 6: has 60 layers (t), and deepseek-v3 has 61"},
      {"--model deepseek-v3 --hardware a100-80g --precision fp8", kUsage,
       "--precision: a100-80g has no fp8"},
      {"--model deepseek-v3 --hardware h800 --precision fp16", kUsage,
       "--precision: expected bf16|fp8, got 'fp16'"},
      {"--model deepseek-v3 --hardware h800 --zero 4", kUsage,
       "--zero: expected a whole number from 0 to 3, got '4'"},
      {"--model gpt3-175b --hardware h800 --sequence 4096", kUsage,
       "--sequence: a sequence of 4096 tokens is longer than the 2048 positions of gpt3-175b"},
      {"--model gpt3-175b --hardware h800 --parallel tp=8 --ranks-per-node 16", kUsage,
       "--ranks-per-node: 16 ranks of 8 GPUs are more than the 8 GPUs of a node of h800"},
      {"--model deepseek-v3 --hardware h800 --microbatch-size 0", kUsage, "--microbatch-size"},
      {"--model deepseek-v3 --hardware h800 --parallel cp=3,dp=1", kUsage,
       "--sequence: cp × tp = 3 does not divide the sequence of 4096 tokens"},
      {"--model deepseek-v3 --hardware h800 --microbatch-size 100000000 --sequence 100000000",
       kUsage, "--microbatch-size × --sequence: "},
      {"--model nowhere.json --hardware h800", kBadInput, "nowhere.json: No such file"}};
  for (const Case& each : cases) {
    CAPTURE(each.line);
    const ProcessResult result = run(std::string("simulate 1f1b -p 4 -m 8 ") + each.line);
    CHECK(result.exit_code == each.code);
    CHECK_MESSAGE(has(result.err, each.told), result.err);
  }
  const ProcessResult deep = run("simulate 1f1b -p 64 -m 64 --model deepseek-v3 --hardware h800");
  CHECK(deep.exit_code == kBadInput);
  CHECK(has(deep.err, "the 61 layers of deepseek-v3 do not give each of 64 stages one"));
  CHECK(run("costs --model deepseek-v3 --hardware h800").exit_code == kUsage);
}

}  // namespace bubblescope
