// Defaults of --like: what a framework does unless it is told otherwise.
#pragma once

#include <string>
#include <string_view>

#include "tools/options/model_options.h"

namespace bubblescope {

struct FrameworkDefaults {
  std::string_view name;  ///< The catalogue names those that have a schedule by it, too.
  Comm comm;
  Comm interleaved_comm;
  int zero;
  Dispatch dispatch;
  LossKernels loss;
  bool sequence_parallel;
};

/// Null where `name` is empty. Throws UsageError for another one.
const FrameworkDefaults* framework_defaults(const std::string& name);

/// Declares --like, noted in `model`'s group.
void add_like(CLI::App& app, std::string& like, OptionGroup& model);

/// Sets what the command line leaves open, of which `model` is the group of options.
void apply(const FrameworkDefaults& defaults, const OptionGroup& model, Training& training,
           CommOptions& comm);

}  // namespace bubblescope
