#include "sim/outputs.h"

namespace bubblescope {
namespace {

std::optional<Message> message(const Placement& placement, Op output, Stage reader) {
  if (output.kind() == OpKind::Backward)
    output = {OpKind::BackwardInput, output.stage(), output.microbatch()};
  const Rank from = placement.rank(output.stage());
  const Rank to = placement.rank(reader);
  if (from == to)
    return std::nullopt;
  return Message{output, from, to, reader};
}

}  // namespace

std::optional<Message> message_from(const Placement& placement, const Op& op) {
  if (op.kind() == OpKind::BackwardWeight)
    return std::nullopt;
  const auto reader =
      op.kind() == OpKind::Forward ? placement.after(op.stage()) : placement.before(op.stage());
  return reader ? message(placement, op, *reader) : std::nullopt;
}

std::optional<Message> message_to(const Placement& placement, const Op& op) {
  if (op.kind() == OpKind::BackwardWeight)
    return std::nullopt;
  const auto producer =
      op.kind() == OpKind::Forward ? placement.before(op.stage()) : placement.after(op.stage());
  return producer ? message(placement, {op.kind(), *producer, op.microbatch()}, op.stage())
                  : std::nullopt;
}

}  // namespace bubblescope
