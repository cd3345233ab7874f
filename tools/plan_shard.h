// A part of a plan's search as a file, and files put together.
#pragma once

#include <string>
#include <vector>

#include "analysis/plan/plan_search.h"
#include "tools/options/plan_options.h"

namespace bubblescope {

/// A shard with its findings and the question that it was part of.
std::string shard_text(const PlanCommandOptions& options, const PlanResult& result);

/// Shards as they were read, and the question that all of them have.
struct ReadShards {
  std::vector<std::string> words = {};  ///< As on the command line: "--tp", "1,2".
  std::vector<PlanResult> shards = {};  ///< All of them, in their order.
  std::size_t configurations = 0;       ///< They are those of the whole space.
};

/// Throws Error for what is no shard, is of another version or question, is there twice or not at
/// all, or was interrupted.
ReadShards read_shards(const std::vector<std::string>& paths);

}  // namespace bubblescope
