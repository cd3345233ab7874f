// What a job needs of its machines and of its launcher: told where it is missing, and used where it
// is there.
#include <string>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/nccl_double/cluster_job.h"
#include "tests/support/command.h"

namespace bubblescope {
namespace {

using nlohmann::json;

const std::string kLine =
    "replay 1f1b -p 2 -m 2 --forward 1ms --input-grad 1ms --weight-grad 1ms --backend nccl";
const std::string kTensors =
    " -p 4 -m 8 --comm batched --backend nccl --workload tensors --tokens 8 --hidden 16 --inner 16 "
    "--repeats 1 --forward 1us --input-grad 1us --weight-grad 1us --tolerance 1e9 --format json";

/// The one line that tells why.
void check_told(const std::string& err, const std::string& why) {
  CAPTURE(err);
  CHECK(lines(err).size() == 1);
  CHECK(err.starts_with("bubblescope: "));
  CHECK_MESSAGE(has(err, why), "does not say: " << why);
}

/// All processes end with exit code 4, and the first alone tells why.
void check_refused(const ClusterJobOptions& options, const std::string& why) {
  const std::vector<ProcessResult> job = run_job(options);
  check_told(job.front().err, why);
  for (const ProcessResult& each : job) {
    CHECK(each.exit_code == kDevice);
    CHECK(each.out == "");
  }
  for (std::size_t rank = 1; rank < job.size(); ++rank)
    CHECK(job[rank].err == "");
}

/// A switch in a namespace of its own, and so many others that are connected to it, each with an
/// address.
class Namespaces {
 public:
  explicit Namespaces(int count) : count_(count) {
    std::string script = fmt::format(
        "set -e; ip netns add {0}; ip netns exec {0} true; ip -n {0} link add br0 type bridge; ip "
        "-n {0} link set br0 up;",
        name(count));
    for (int i = 0; i < count; ++i)
      script += fmt::format(
          "ip netns add {0}; ip -n {1} link add port{2} type veth peer name eth0 netns {0}; ip -n "
          "{1} link set port{2} master br0 up; ip -n {0} addr add {3}/24 dev eth0; ip -n {0} link "
          "set eth0 up; ip -n {0} link set lo up;",
          name(i), name(count), i, address(i));
    const ProcessResult made = run_shell(script);
    why_not_ = made.exit_code == 0 ? "" : made.err;
  }
  ~Namespaces() {
    std::string script;
    for (int i = 0; i <= count_; ++i)
      script += fmt::format("ip netns del {};", name(i));
    run_shell(script);
  }
  Namespaces(const Namespaces&) = delete;
  Namespaces& operator=(const Namespaces&) = delete;

  /// Empty where they are there.
  const std::string& why_not() const { return why_not_; }
  static std::string name(int i) { return fmt::format("bubblescope-{}-{}", getpid(), i); }
  static std::string address(int i) { return fmt::format("10.99.0.{}", i + 1); }

 private:
  int count_;
  std::string why_not_;
};

}  // namespace

TEST_CASE("what a single process lacks is told in one line, exit code 4") {
  struct Case {
    EnvironmentMap environment;
    std::string says;
  };
  const Case cases[] = {
      {{{"BUBBLESCOPE_CUDA_MODULE", "/no/module.so"}},
       "--backend nccl: /no/module.so: cannot open"},
      {{{"BUBBLESCOPE_DOUBLE_GPUS", "0"}}, "there is no GPU"},
      {{{"BUBBLESCOPE_NCCL_LIBRARY", "/no/libnccl.so"}}, "/no/libnccl.so: cannot open"},
      {{{"BUBBLESCOPE_NCCL_LIBRARY", BUBBLESCOPE_CUDA_DOUBLE}}, "has no ncclGetVersion"},
      {{{"BUBBLESCOPE_DOUBLE_NCCL_VERSION", "21701"}},
       "NCCL 2.17.1 is too old: 2.18.0 or later is needed"},
      {{}, "1 processes (a single process) for 2 pipeline ranks"}};
  for (const Case& each : cases) {
    EnvironmentMap environment = double_environment(1);
    for (const auto& [name, value] : each.environment)
      environment[name] = value;
    const ProcessResult result = run(kLine, {.environment = environment});
    CHECK(result.exit_code == kDevice);
    CHECK(result.out == "");
    check_told(without_notes(result.err), each.says);
  }
}

TEST_CASE("what is wrong with the options that tell of the processes is a fault of the line") {
  for (const auto& [options, why] :
       {std::pair<std::string, std::string>{" --rank 2 --world-size 2 --local-rank 0 --master host",
                                            "--rank is '2': expected a whole number from 0 to 1"},
        {" --rank 0", "--rank is given without --world-size"},
        {" --master host", "--master is given, but neither"},
        {" --meet-timeout 0s", "--meet-timeout: expected 1ms or more"}}) {
    const ProcessResult result = run(kLine + options, {.environment = double_environment(1)});
    CHECK(result.exit_code == kUsage);
    check_told(without_notes(result.err), why);
  }
}

TEST_CASE("what the processes of a job lack is told once, and ends all") {
  const auto with = [](const std::string& name, const std::string& value) {
    return ProcessChange{.environment = {{name, value}}};
  };
  const std::string kVersion = "BUBBLESCOPE_DOUBLE_NCCL_VERSION";
  check_refused({.processes = 2, .line = kLine, .environment = {{kVersion, "21701"}}},
                "NCCL 2.17.1 is too old");
  check_refused({.processes = 2, .line = kLine, .changes = {{1, with(kVersion, "21701")}}},
                "NCCL 2.17.1 is too old");
  check_refused({.processes = 2, .line = kLine, .changes = {{1, with(kVersion, "22304")}}},
                "rank 0 has NCCL 2.28.9 and rank 1 has 2.23.4");
  check_refused({.processes = 2,
                 .line = kLine,
                 .changes = {{1, with("BUBBLESCOPE_NCCL_LIBRARY", "/no/libnccl.so")}}},
                "/no/libnccl.so: cannot open");
  check_refused({.processes = 2, .line = kLine, .changes = {{1, with("LOCAL_RANK", "0")}}},
                "ranks 0 and 1 have the same GPU (0000:01:00.0)");
  check_refused({.processes = 3, .line = kLine}, "3 processes (torchrun) for 2 pipeline ranks");
}

TEST_CASE("mpirun starts the processes of a job") {
  if (run_shell("command -v mpirun").exit_code != 0) {
    MESSAGE("skipped: there is no mpirun");
    return;
  }
  const ProcessResult job = run_shell(
      "exec timeout 100 mpirun -n 4 --oversubscribe --allow-run-as-root bubblescope validate "
      "dualpipe 1f1b" +
          kTensors,
      {.environment = double_environment(4)});
  CAPTURE(job.err);
  REQUIRE(job.exit_code == 0);
  const json report = json::parse(job.out);  // of one process
  REQUIRE(report["results"].size() == 2);
  for (const json& each : report["results"])
    CHECK(each["parity"]["holds"] == true);
}

TEST_CASE("ranks on hosts of their own reach each other, here in network namespaces") {
  const int ranks = 4;
  const Namespaces hosts(ranks);
  if (!hosts.why_not().empty()) {
    MESSAGE("skipped: no network namespaces can be made: " << hosts.why_not());
    return;
  }
  ClusterJobOptions options = {.processes = ranks,
                               .line = "validate dualpipe 1f1b" + kTensors,
                               .master = Namespaces::address(0)};
  for (int rank = 0; rank < ranks; ++rank)
    options.changes[rank] = {
        .environment = {{"BUBBLESCOPE_DOUBLE_ADDRESS", Namespaces::address(rank)}},
        .prefix = "ip netns exec " + Namespaces::name(rank)};
  const std::vector<ProcessResult> job = run_job(options);
  for (const ProcessResult& each : job)
    REQUIRE_MESSAGE(each.exit_code == 0, each.err);
  const json report = json::parse(job.front().out);
  for (const json& each : report["results"])
    CHECK(each["parity"]["holds"] == true);
}

}  // namespace bubblescope
