// What ops hand on: the activation of an F to the stage after, the gradient of an I or B to the
// stage before; and which of these outputs are messages between ranks.
#pragma once

#include <cstddef>
#include <optional>

#include "sim/schedule/op.h"
#include "sim/schedule/placement.h"

namespace bubblescope {

/// An output that leaves its rank. Of a B it is named as that of the `I`.
struct Message {
  Op output;
  Rank from;
  Rank to;
  Stage reader;  ///< The stage that needs it.
};

/// The stage that makes the input of `op`, and the one that reads its output; none for a W, and at
/// the ends of a pipe.
std::optional<Stage> maker_of_input(const Placement& placement, const Op& op);
std::optional<Stage> reader_of_output(const Placement& placement, const Op& op);

/// The message that carries the output of `op`; none where nobody needs one, or on the same rank.
std::optional<Message> message_from(const Placement& placement, const Op& op);
/// The message that `op` needs; none where it needs no output, or one of its own rank.
std::optional<Message> message_to(const Placement& placement, const Op& op);

/// Dense numbers for all outputs of a schedule: by stage, activation or gradient, micro-batch.
class OutputNumbers {
 public:
  OutputNumbers(const Placement& placement, int microbatches)
      : stages_(static_cast<std::size_t>(placement.stages())),
        microbatches_(static_cast<std::size_t>(microbatches)) {}

  std::size_t size() const { return 2 * stages_ * microbatches_; }
  /// `output` is of an F, I or B.
  std::size_t operator[](const Op& output) const {
    const std::size_t backward = output.kind() == OpKind::Forward ? 0 : 1;
    return (2 * static_cast<std::size_t>(output.stage()) + backward) * microbatches_ +
           static_cast<std::size_t>(output.microbatch());
  }
  /// The other way round; a gradient is named by its `I`.
  Op output(std::size_t number) const {
    const std::size_t kind_and_stage = number / microbatches_;
    return {kind_and_stage % 2 == 0 ? OpKind::Forward : OpKind::BackwardInput,
            static_cast<Stage>(kind_and_stage / 2),
            static_cast<MicroBatch>(number % microbatches_)};
  }

 private:
  std::size_t stages_;
  std::size_t microbatches_;
};

}  // namespace bubblescope
