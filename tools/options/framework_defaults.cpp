#include "tools/options/framework_defaults.h"

#include <algorithm>
#include <iterator>
#include <vector>

namespace bubblescope {
namespace {

/// Megatron-LM: megatron/training/arguments.py, where --use-distributed-optimizer,
/// --sequence-parallel and --cross-entropy-loss-fusion are off. torchtitan: job_config.py, with
/// FSDP, which beside a pipeline gathers and reduces once a step. DeepSpeed: runtime/config.py.
constexpr FrameworkDefaults kDefaults[] = {
    {"megatron", Comm::Batched, 0, Dispatch::AllToAll, LossKernels::Unfused, false},
    {"torchtitan", Comm::Torch, 1, Dispatch::AllToAll, LossKernels::Unfused, true},
    {"deepspeed", Comm::Batched, 0, Dispatch::AllToAll, LossKernels::Unfused, false}};

}  // namespace

const FrameworkDefaults* framework_defaults(const std::string& name) {
  if (name.empty())
    return nullptr;
  Choices<const FrameworkDefaults*> choices;
  for (const FrameworkDefaults& each : kDefaults)
    choices.emplace_back(each.name, &each);
  return one_of(choices)(name);
}

void apply(const FrameworkDefaults& defaults, ModelOptions& model, CommOptions& comm) {
  const OptionGroup& given = model.given;
  Training& training = model.training;
  const auto set = [&](const char* option, auto& value, const auto& by_default) {
    if (!given.is_given(option))
      value = by_default;
  };
  if (!comm.comm)
    comm.comm = defaults.comm;
  set("--zero", training.zero, defaults.zero);
  set("--dispatch", training.dispatch, defaults.dispatch);
  set("--loss", training.loss, defaults.loss);
  const bool needs_it = model.degrees.expert.value_or(1) > 1;
  set("--sequence-parallel", training.sequence_parallel, defaults.sequence_parallel || needs_it);
}

}  // namespace bubblescope
