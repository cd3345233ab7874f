#include "sim/schedule/outputs.h"

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

std::optional<Stage> maker_of_input(const Placement& placement, const Op& op) {
  if (op.kind() == OpKind::BackwardWeight)
    return std::nullopt;
  return op.kind() == OpKind::Forward ? placement.before(op.stage()) : placement.after(op.stage());
}

std::optional<Stage> reader_of_output(const Placement& placement, const Op& op) {
  if (op.kind() == OpKind::BackwardWeight)
    return std::nullopt;
  return op.kind() == OpKind::Forward ? placement.after(op.stage()) : placement.before(op.stage());
}

std::optional<Message> message_from(const Placement& placement, const Op& op) {
  const auto reader = reader_of_output(placement, op);
  return reader ? message(placement, op, *reader) : std::nullopt;
}

std::optional<Message> message_to(const Placement& placement, const Op& op) {
  const auto maker = maker_of_input(placement, op);
  return maker ? message(placement, {op.kind(), *maker, op.microbatch()}, op.stage())
               : std::nullopt;
}

}  // namespace bubblescope
