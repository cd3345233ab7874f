#include "sim/program/program.h"

#include <algorithm>

namespace bubblescope {

static_assert(sizeof(Instruction) == 12 && sizeof(TransferEnd) == 4);

StreamId Program::stream_of(InstructionId id) const {
  const auto after = std::upper_bound(first_of_stream.begin(), first_of_stream.end() - 1, id);
  return static_cast<StreamId>(after - first_of_stream.begin() - 1);
}

Rank Program::rank_of(InstructionId id) const {
  const auto after = std::upper_bound(first_stream.begin(), first_stream.end() - 1, stream_of(id));
  return static_cast<Rank>(after - first_stream.begin() - 1);
}

}  // namespace bubblescope
