// Whether a program can run to its end, and if not, why:
//
//     hang.csv: 2 ranks, 4 micro-batches, torch communication
//
//     channels         verdict
//     one a rank       deadlock
//     one a pair       deadlock
//     one a direction  runs
//
//     verdict: deadlock with one a pair: ranks wait for one another in a circle:
//       rank 0, step 3 (0RECV_B0) waits for …
//
// Read: with NCCL's one communicator a pair, which runs its messages in order, the program hangs; a
// channel for each direction of a pair would let it run.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis/figures/format.h"
#include "sim/program/posted_program.h"

namespace bubblescope {

enum class Verdict : std::uint8_t {
  Runs,
  Deadlock,  ///< Ranks wait for one another in a circle.
  Crossed,   ///< A receive would get another message than its own.
  Unsound,   ///< An action or message is missing, done twice, or out of place.
};
std::string_view to_string(Verdict verdict);

/// A verdict holds for one kind of channels.
struct ChannelsVerdict {
  Channels channels;
  Verdict verdict;
};

struct CheckReport {
  std::string file;
  int ranks = 0;
  int microbatches = 0;
  int chunks = 0;
  Comm comm = {};
  std::size_t actions = 0;
  std::size_t messages = 0;  ///< That are spelled out.
  Channels channels = Channels::PerPair;
  Verdict verdict = Verdict::Runs;
  std::string reason = {};                        ///< Why it does not run.
  std::vector<ChannelsVerdict> by_channels = {};  ///< All kinds, where they could matter.
};

std::string check_view(const CheckReport& report, const Style& style);

}  // namespace bubblescope
