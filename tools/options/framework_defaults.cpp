#include "tools/options/framework_defaults.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace bubblescope {
namespace {

/// Megatron-LM: megatron/training/arguments.py, where --use-distributed-optimizer,
/// --sequence-parallel and --cross-entropy-loss-fusion are off, and messages of interleaved stages
/// overlap (--no-overlap-p2p-communication turns it off). torchtitan: job_config.py, with
/// FSDP, which beside a pipeline gathers and reduces once a step. DeepSpeed: runtime/config.py.
constexpr FrameworkDefaults kDefaults[] = {
    {"megatron", Comm::Batched, Comm::Stream, 0, Dispatch::AllToAll, LossKernels::Unfused, false},
    {"torchtitan", Comm::Torch, Comm::Torch, 1, Dispatch::AllToAll, LossKernels::Unfused, true},
    {"deepspeed", Comm::Batched, Comm::Batched, 0, Dispatch::AllToAll, LossKernels::Unfused,
     false}};

}  // namespace

const FrameworkDefaults* framework_defaults(const std::string& name) {
  if (name.empty())
    return nullptr;
  Choices<const FrameworkDefaults*> choices;
  for (const FrameworkDefaults& each : kDefaults)
    choices.emplace_back(each.name, &each);
  return one_of(choices)(name);
}

void add_like(CLI::App& app, std::string& like, OptionGroup& model) {
  CLI::Option* option = add_option(
      app,
      {"--like", "WHOM",
       "what a framework does by default: megatron, torchtitan, deepspeed (--comm, --zero, "
       "--dispatch, --loss, --sequence-parallel; schedules that compare and plan have)",
       "Costs from a model"},
      like, [](const std::string& word) { return std::string(framework_defaults(word)->name); });
  option->needs(app.get_option("--model"));
  model.add(option);
}

void apply(const FrameworkDefaults& defaults, const OptionGroup& model, Training& training,
           CommOptions& comm) {
  const auto set = [&](const char* option, auto& value, const auto& by_default) {
    if (!model.is_given(option))
      value = by_default;
  };
  if (!comm.comm) {
    comm.comm = defaults.comm;
    comm.interleaved = defaults.interleaved_comm;
  }
  set("--zero", training.zero, defaults.zero);
  set("--dispatch", training.dispatch, defaults.dispatch);
  set("--loss", training.loss, defaults.loss);
  set("--sequence-parallel", training.sequence_parallel, defaults.sequence_parallel);
}

}  // namespace bubblescope
