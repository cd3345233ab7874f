#include <algorithm>
#include <atomic>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "backend_cuda/cuda/expert_phases.h"
#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/cuda/spin_kernels.h"
#include "backend_cuda/cuda/tensor_kernels.h"
#include "backend_cuda/cuda/work.h"
#include "sim/schedule/outputs.h"

namespace bubblescope::gpu {
namespace {

class TimedWork : public Work {
 public:
  TimedWork(const Plan& plan, const Layout& layout)
      : plan_(plan),
        layout_(layout),
        outputs_(plan.schedule().placement, plan.schedule().microbatches),
        wrong_(std::max<std::size_t>(plan.schedule().actions.size(), 1), "what actions find") {
    for (const int gpu : layout.gpu_of_rank)
      if (gpu != kElsewhere && !tokens_.contains(gpu)) {
        BUBBLESCOPE_CHECK(cudaSetDevice(gpu));
        BUBBLESCOPE_CHECK(load_spin_kernels());
        tokens_.try_emplace(gpu, 2 * outputs_.size(), "tokens");
      }
  }

  std::size_t operations(const Instruction& action) const override {
    const bool exchanges = phases_ && phases_->has(plan_.action(action));
    return exchanges ? 4 + phases_->operations(plan_.action(action)) : 1;
  }
  std::size_t operations(MessageId /*message*/) const override { return 1; }
  bool is_idle() const override { return !phases_ || phases_->is_idle(); }

  void enqueue_action(const Instruction& instruction, Stamp* stamp, cudaStream_t stream) override {
    TimedAction launch{.stamp = stamp,
                       .nanoseconds = layout_.ticks_of(plan_.duration(instruction)),
                       .stop = layout_.stop,
                       .wrong = wrong_.on_device() + instruction.first,
                       .inputs = {},
                       .outputs = {}};
    TimedInput* input = launch.inputs;
    TimedOutput* output = launch.outputs;
    const auto read = [&](TimedToken* place, const Op& of) { *input++ = {place, token(of)}; };
    const Rank rank = placement().rank(plan_.action(instruction).op().stage());
    plan_.action(instruction).for_each_op([&](const Op& op) {
      const bool is_forward = op.kind() == OpKind::Forward;
      const Op activation = {OpKind::Forward, op.stage(), op.microbatch()};
      const Op gradient = {OpKind::BackwardInput, op.stage(), op.microbatch()};
      if (const auto maker = maker_of_input(placement(), op)) {
        const Op made = {is_forward ? OpKind::Forward : OpKind::BackwardInput, *maker,
                         op.microbatch()};
        read(placement().rank(*maker) == rank ? made_place(rank, made) : received_place(rank, made),
             made);
      }
      if (op.kind() == OpKind::BackwardWeight)
        read(made_place(rank, gradient), gradient);
      else if (!is_forward)
        read(made_place(rank, activation), activation);
      if (op.kind() != OpKind::BackwardWeight) {
        const Op& made = is_forward ? activation : gradient;
        *output++ = {made_place(rank, made), token(made)};
      }
    });
    if (phases_ && phases_->has(plan_.action(instruction)))
      enqueue_around_phases(launch, plan_.action(instruction), stream);
    else
      BUBBLESCOPE_CHECK(launch_timed_action(launch, stream));
  }

  void exchange_through(Wire& wire) override {
    for (Rank rank = 0; rank < plan_.ranks(); ++rank)
      if (wire.has_all_to_all() && layout_.is_here(rank))
        phases_.emplace(plan_, rank, layout_, wire);
  }

  void enqueue_message(MessageId id, Stamp* stamp, cudaStream_t stream) override {
    const PlanMessage& message = plan_.messages[id];
    BUBBLESCOPE_CHECK(launch_timed_message(
        {.stamp = stamp,
         .nanoseconds = plan_.is_eager ? 0 : layout_.ticks_of(message.duration),
         .stop = layout_.stop,
         .from = made_place(message.from, message.sent),
         .to = received_place(message.to, message.expected)},
        stream));
  }

  Payload payload(const TransferEnd& transfer) const override {
    const PlanMessage& message = plan_.messages[transfer.message];
    return {transfer.is_send ? made_place(message.from, message.sent)
                             : received_place(message.to, message.expected),
            sizeof(TimedToken)};
  }

  void enqueue_reset(cudaStream_t stream) override {
    for (const auto& [gpu, tokens] : tokens_)
      BUBBLESCOPE_CHECK(
          cudaMemsetAsync(tokens.data(), 0, tokens.size() * sizeof(TimedToken), stream));
  }

  void check() override {
    for (std::size_t action = 0; action < plan_.schedule().actions.size(); ++action) {
      const WrongToken wrong = wrong_[action];
      if (wrong.expected == 0)
        continue;
      const InstructionId id = plan_.instruction_of_action[action];
      clear();
      throw DeviceError("rank " + std::to_string(plan_.rank_of(id)) + ": " +
                        to_string(plan_.action(id)) + " needs " + describe(wrong.expected) +
                        " and found " + describe(wrong.found));
    }
  }

  std::optional<Parity> parity() override { return std::nullopt; }

 private:
  const Placement& placement() const { return plan_.schedule().placement; }

  TimedToken token(const Op& output) const { return outputs_[output] + 1; }
  std::string describe(TimedToken token) const {
    if (token == 0 || token > outputs_.size())
      return "nothing";
    const Op output = outputs_.output(token - 1);
    return (output.kind() == OpKind::Forward ? "the activation of " : "the gradient of ") +
           to_string(output);
  }

  /// Where a rank keeps an output that it makes, or one that it receives.
  TimedToken* made_place(Rank rank, const Op& output) const {
    return tokens_.at(layout_.gpu_of_rank[static_cast<std::size_t>(rank)]).data() +
           outputs_[output];
  }
  TimedToken* received_place(Rank rank, const Op& output) const {
    return made_place(rank, output) + outputs_.size();
  }

  /// Reads what the action reads, does what its phases do, writes what it writes.
  void enqueue_around_phases(TimedAction whole, const Action& action, cudaStream_t stream) {
    Stamp* const stamp = std::exchange(whole.stamp, ignored_.data());
    whole.nanoseconds = 0;
    TimedAction reads = whole;
    std::fill(std::begin(reads.outputs), std::end(reads.outputs), TimedOutput{});
    TimedAction writes = whole;
    std::fill(std::begin(writes.inputs), std::end(writes.inputs), TimedInput{});
    BUBBLESCOPE_CHECK(launch_stamp_start(stamp, stream));
    BUBBLESCOPE_CHECK(launch_timed_action(reads, stream));
    phases_->enqueue(action, stream);
    BUBBLESCOPE_CHECK(launch_timed_action(writes, stream));
    BUBBLESCOPE_CHECK(launch_stamp_end(stamp, 0, stream));
  }

  void clear() {
    for (std::size_t action = 0; action < wrong_.size(); ++action)
      wrong_[action] = {};
  }

  const Plan& plan_;
  const Layout& layout_;
  OutputNumbers outputs_;
  SharedBuffer<WrongToken> wrong_;                  // [index in schedule.actions]
  std::map<int, DeviceBuffer<TimedToken>> tokens_;  // by GPU: made, then received outputs
  std::optional<ExpertPhases> phases_;              // of the rank that is here, if they talk
  DeviceBuffer<Stamp> ignored_{1, "a stamp"};
};

}  // namespace

std::unique_ptr<Work> make_timed_work(const Plan& plan, const Layout& layout) {
  return std::make_unique<TimedWork>(plan, layout);
}

}  // namespace bubblescope::gpu
