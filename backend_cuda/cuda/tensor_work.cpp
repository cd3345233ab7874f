#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <string>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/cuda/spin_kernels.h"
#include "backend_cuda/cuda/tensor_kernels.h"
#include "backend_cuda/cuda/unpipelined.h"
#include "backend_cuda/cuda/work.h"
#include "sim/schedule/outputs.h"

namespace bubblescope::gpu {
namespace {

// What is not a pipeline's fault: gradients are the same products summed over micro-batches, in
// float, in another order. Each of the m additions rounds by 2⁻²⁴ of a partial sum, and partial
// sums of terms of either sign stay within a few times the largest entry: about 1e-6 for m = 100.
// A micro-batch that is lost, doubled or fed with other data changes some entry by 1/m or more.
constexpr double kTolerance = 1e-4;

constexpr unsigned int kMessageBlocks = 4;  // few, so that actions keep their SMs
constexpr std::size_t kNone = std::numeric_limits<std::size_t>::max();

/// Where outputs lie: each has a place of its own with the rank that makes it and, if it is sent,
/// with the one that receives it.
struct Places {
  explicit Places(const Plan& plan);

  OutputNumbers numbers;
  std::vector<std::size_t> made;           ///< [output] Place on its maker's rank.
  std::vector<std::size_t> received;       ///< [output] Place on its receiver's rank.
  std::vector<std::size_t> count;          ///< [rank]
  std::vector<std::size_t> stage_of_rank;  ///< [stage] Which of its rank's stages it is.
  std::vector<std::size_t> stages;         ///< [rank]
};

Places::Places(const Plan& plan)
    : numbers(plan.schedule().placement, plan.schedule().microbatches),
      made(numbers.size(), kNone),
      received(numbers.size(), kNone),
      count(static_cast<std::size_t>(plan.ranks())),
      stages(count.size()) {
  const Placement& placement = plan.schedule().placement;
  for (const Rank rank : placement.rank_of_stage)
    stage_of_rank.push_back(stages[static_cast<std::size_t>(rank)]++);
  const auto give = [&](std::size_t& place, Rank rank) {
    if (place == kNone)
      place = count[static_cast<std::size_t>(rank)]++;
  };
  for (const Action& action : plan.schedule().actions)
    action.for_each_op([&](const Op& op) {
      // Nobody reads what the last stage makes, but the loss.
      if (op.kind() == OpKind::Forward || reader_of_output(placement, op))
        give(made[numbers[op]], placement.rank(op.stage()));
    });
  for (const PlanMessage& message : plan.messages)
    give(received[numbers[message.expected]], message.to);
}

/// What a rank keeps on its GPU.
struct RankMemory {
  DeviceBuffer<Bf16> weights;     ///< [stage of the rank]
  DeviceBuffer<float> gradients;  ///< The same.
  DeviceBuffer<Bf16> slots;       ///< [activation slot]
  DeviceBuffer<Bf16> outputs;     ///< [place]
  DeviceBuffer<Bf16> inputs;      ///< [micro-batch] If the rank has a first stage.
  DeviceBuffer<float> losses;     ///< [micro-batch][kLossParts] If it has a last stage.
  DeviceBuffer<unsigned char> workspace;
};

/// The greatest difference between two tensors, over the largest entry of the second. Infinite
/// where either is not finite.
double relative_error(const std::vector<float>& found, const std::vector<float>& expected) {
  double difference = 0;
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double each = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    if (!std::isfinite(each))
      return std::numeric_limits<double>::infinity();
    difference = std::max(difference, each);
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
  }
  return difference == 0 ? 0 : difference / largest;
}

std::vector<float> download(const float* from, std::size_t count) {
  std::vector<float> values(count);
  BUBBLESCOPE_CHECK(cudaMemcpy(values.data(), from, count * sizeof(float), cudaMemcpyDeviceToHost));
  return values;
}

class TensorWork : public Work {
 public:
  TensorWork(const Plan& plan, const TensorShape& shape, const Layout& layout);

  std::size_t operations(const Instruction& action) const override;
  std::size_t operations(MessageId id) const override;
  void enqueue_action(const Instruction& instruction, Stamp* stamp, cudaStream_t stream) override;
  void enqueue_message(MessageId id, Stamp* stamp, cudaStream_t stream) override;
  void enqueue_reset(cudaStream_t stream) override;
  Payload payload(const TransferEnd& transfer) const override;
  std::vector<StageGradients> gradients() const override;
  std::optional<Parity> parity() override;

 private:
  const Placement& placement() const { return plan_.schedule().placement; }
  int gpu_of(Rank rank) const { return layout_.gpu_of_rank[static_cast<std::size_t>(rank)]; }
  const Mlp& mlp_of(Rank rank) const { return mlps_.at(gpu_of(rank)); }
  const RankMemory& memory_of(Rank rank) const { return memory_.at(rank); }
  bool is_here(Stage stage) const { return layout_.is_here(placement().rank(stage)); }
  bool stays_on_gpu(const PlanMessage& message) const {
    return gpu_of(message.from) == gpu_of(message.to);
  }
  bool makes_loss(Stage stage) const { return !placement().after(stage); }
  /// Its number among the micro-batches of all replicas, which all have other data.
  MicroBatch among_all(MicroBatch microbatch, int replica) const {
    return replica * plan_.schedule().microbatches + microbatch;
  }

  RankMemory make_memory(Rank rank) const;
  void fill(Rank rank) const;
  void warm_up(Rank rank) const;
  void warm_up_stamps(cudaStream_t stream) const;
  void warm_up_messages(int gpu) const;

  Bf16* made(const Op& output) const;
  Bf16* received(Rank rank, const Op& output) const;
  const Bf16* input_of(const Op& op) const;
  StageTensors tensors_of(const Op& op) const;
  void run(const Op& op, cudaStream_t stream) const;

  float* gradients_of(Stage stage) const;
  double loss() const;
  std::vector<float> summed_gradients(std::int32_t weights, std::size_t first) const;

  const Plan& plan_;
  TensorShape shape_;
  const Layout& layout_;
  Places places_;
  std::map<int, Mlp> mlps_;            // by GPU
  std::map<Rank, RankMemory> memory_;  // of the ranks that are here
  // [message] How many blocks of it have arrived, on the sender's GPU.
  std::map<int, DeviceBuffer<unsigned int>> arrived_;
};

/// Rejects what the kernels do not take.
const TensorShape& checked(const TensorShape& shape) {
  constexpr int kUnit = static_cast<int>(kVector);
  if (shape.tokens < 1 || shape.blocks < 1 || shape.hidden < 1 || shape.inner < 1 ||
      shape.hidden % kUnit != 0 || shape.inner % kUnit != 0)
    throw DeviceError("tensors on a GPU need a hidden and an inner size that are multiples of " +
                      std::to_string(kUnit));
  return shape;
}

TensorWork::TensorWork(const Plan& plan, const TensorShape& shape, const Layout& layout)
    : plan_(plan), shape_(checked(shape)), layout_(layout), places_(plan) {
  // One algorithm for all ranks, so that they do the same to the last bit.
  unsigned int sms = std::numeric_limits<unsigned int>::max();
  for (Rank rank = 0; rank < plan.ranks(); ++rank)
    if (layout.is_here(rank))
      sms = std::min(sms, layout.sms_of_rank[static_cast<std::size_t>(rank)]);
  for (Rank rank = 0; rank < plan.ranks(); ++rank) {
    if (!layout.is_here(rank))
      continue;
    const int gpu = gpu_of(rank);
    BUBBLESCOPE_CHECK(cudaSetDevice(gpu));
    if (!mlps_.contains(gpu)) {
      BUBBLESCOPE_CHECK(load_spin_kernels());
      BUBBLESCOPE_CHECK(load_tensor_kernels());
      mlps_.try_emplace(gpu, shape_, sms);
      arrived_.try_emplace(gpu, std::max<std::size_t>(plan.messages.size(), 1), "counters");
      warm_up_messages(gpu);
    }
    memory_.emplace(rank, make_memory(rank));
    fill(rank);
    warm_up(rank);
  }
}

RankMemory TensorWork::make_memory(Rank rank) const {
  const auto r = static_cast<std::size_t>(rank);
  const Mlp& mlp = mlp_of(rank);
  bool has_first = false;
  bool has_last = false;
  for (Stage stage = 0; stage < placement().stages(); ++stage)
    if (placement().rank(stage) == rank) {
      has_first = has_first || !placement().before(stage);
      has_last = has_last || makes_loss(stage);
    }
  const auto some = [](std::size_t count) { return std::max<std::size_t>(count, 1); };
  const auto m = static_cast<std::size_t>(plan_.schedule().microbatches);
  using Tensor = DeviceBuffer<Bf16>;
  using Floats = DeviceBuffer<float>;
  return {.weights = Tensor(places_.stages[r] * mlp.weights(), "weights"),
          .gradients = Floats(places_.stages[r] * mlp.weights(), "gradients of weights"),
          .slots = Tensor(some(plan_.activation_slots[r] * mlp.slot()), "activations"),
          .outputs = Tensor(some(places_.count[r] * mlp.activation()), "outputs of stages"),
          .inputs = Tensor(has_first ? m * mlp.activation() : 1, "inputs of the model"),
          .losses = Floats(has_last ? m * kLossParts : 1, "losses"),
          .workspace = DeviceBuffer<unsigned char>(CublasLt::workspace_bytes(), "a workspace")};
}

/// Weights, and the input of every micro-batch.
void TensorWork::fill(Rank rank) const {
  const Mlp& mlp = mlp_of(rank);
  const RankMemory& memory = memory_of(rank);
  const Randoms randoms(shape_, mlp);
  const Stream stream = make_stream();
  for (Stage stage = 0; stage < placement().stages(); ++stage) {
    const auto s = static_cast<std::size_t>(stage);
    if (placement().rank(stage) == rank)
      randoms.enqueue_weights(placement().weights_of_stage[s],
                              memory.weights.data() + places_.stage_of_rank[s] * mlp.weights(),
                              stream.get());
  }
  if (memory.inputs.size() > 1)
    for (MicroBatch i = 0; i < plan_.schedule().microbatches; ++i)
      randoms.enqueue_input(among_all(i, layout_.replica),
                            memory.inputs.data() + static_cast<std::size_t>(i) * mlp.activation(),
                            stream.get());
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
}

/// Runs every kernel once where the rank's actions run, since libraries load them, and allocate,
/// when they are first used, which is not allowed while streams are captured.
void TensorWork::warm_up(Rank rank) const {
  const Mlp& mlp = mlp_of(rank);
  const RankMemory& memory = memory_of(rank);
  const DeviceBuffer<Bf16> slot(mlp.slot(), "activations");
  const DeviceBuffer<Bf16> activations(3 * mlp.activation(), "activations");
  const DeviceBuffer<float> loss_parts(kLossParts, "a loss");
  const StageTensors tensors{.weights = memory.weights.data(),
                             .gradients = memory.gradients.data(),
                             .slot = slot.data(),
                             .x = activations.data(),
                             .y = activations.data() + mlp.activation(),
                             .dx = activations.data() + 2 * mlp.activation(),
                             .loss_parts = loss_parts.data(),
                             .workspace = memory.workspace.data()};
  const Stream own = make_stream();
  const cudaStream_t stream =
      layout_.partitions.empty() ? own.get() : layout_.partitions[static_cast<std::size_t>(rank)];
  mlp.forward(tensors, stream);
  mlp.backward_input(tensors, stream);
  mlp.backward_weight(tensors, stream);
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream));
  warm_up_stamps(stream);
}

/// The other kernels that run between actions, but for the one that fails.
void TensorWork::warm_up_stamps(cudaStream_t stream) const {
  constexpr int kSet = 0xff;
  const DeviceBuffer<Stamp> stamp(1, "a stamp");
  const DeviceBuffer<long long> clock_ahead(1, "a clock");
  DeviceBuffer<unsigned int> stop(1, "a flag");
  stop.fill(kSet);
  BUBBLESCOPE_CHECK(launch_timed_arrival({.sent = stamp.data(),
                                          .nanoseconds = 0,
                                          .stop = stop.data(),
                                          .sender_ahead = clock_ahead.data(),
                                          .receiver_ahead = clock_ahead.data()},
                                         stream));
  BUBBLESCOPE_CHECK(launch_stamp_start(stamp.data(), stream));
  BUBBLESCOPE_CHECK(launch_stamp_end(stamp.data(), 0, stream));
  BUBBLESCOPE_CHECK(launch_hang(stamp.data(), stop.data(), stream));
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream));
}

/// Messages move outside of partitions.
void TensorWork::warm_up_messages(int gpu) const {
  const DeviceBuffer<Stamp> stamp(1, "a stamp");
  const DeviceBuffer<Bf16> values(2 * kVector, "a message");
  const Stream stream = make_stream();
  BUBBLESCOPE_CHECK(launch_message({.from = values.data(),
                                    .to = values.data() + kVector,
                                    .bytes = kCopyUnit,
                                    .nanoseconds = 0,
                                    .stamp = stamp.data(),
                                    .arrived = arrived_.at(gpu).data(),
                                    .blocks = kMessageBlocks},
                                   stream.get()));
  warm_up_stamps(stream.get());
}

Bf16* TensorWork::made(const Op& output) const {
  const Rank rank = placement().rank(output.stage());
  return memory_of(rank).outputs.data() +
         places_.made[places_.numbers[output]] * mlp_of(rank).activation();
}

Bf16* TensorWork::received(Rank rank, const Op& output) const {
  const std::size_t place = places_.received[places_.numbers[output]];
  if (place == kNone)
    throw DeviceError("rank " + std::to_string(rank) + " is never sent the output of " +
                      to_string(output));
  return memory_of(rank).outputs.data() + place * mlp_of(rank).activation();
}

/// Of an F, I or B; null where no stage makes it.
const Bf16* TensorWork::input_of(const Op& op) const {
  const auto maker = maker_of_input(placement(), op);
  if (!maker)
    return nullptr;
  const Op output(op.kind(), *maker, op.microbatch());
  const Rank rank = placement().rank(op.stage());
  return placement().rank(*maker) == rank ? made(output) : received(rank, output);
}

StageTensors TensorWork::tensors_of(const Op& op) const {
  const Rank rank = placement().rank(op.stage());
  const Mlp& mlp = mlp_of(rank);
  const RankMemory& memory = memory_of(rank);
  const Op forward(OpKind::Forward, op.stage(), op.microbatch());
  const Op backward(OpKind::BackwardInput, op.stage(), op.microbatch());
  const auto microbatch = static_cast<std::size_t>(op.microbatch());
  const std::size_t weights =
      places_.stage_of_rank[static_cast<std::size_t>(op.stage())] * mlp.weights();
  const bool is_first = !placement().before(op.stage());
  return {
      .weights = memory.weights.data() + weights,
      .gradients = gradients_of(op.stage()),
      .slot = memory.slots.data() + plan_.slot_of(op) * mlp.slot(),
      .x = is_first ? memory.inputs.data() + microbatch * mlp.activation() : input_of(forward),
      .y = made(forward),
      .dy = input_of(backward),
      .dx = is_first ? nullptr : made(backward),
      .loss_parts =
          makes_loss(op.stage()) ? memory.losses.data() + microbatch * kLossParts : nullptr,
      .target_key = Randoms(shape_, mlp).target_key(among_all(op.microbatch(), layout_.replica)),
      .workspace = memory.workspace.data()};
}

void TensorWork::run(const Op& op, cudaStream_t stream) const {
  const Mlp& mlp = mlp_of(placement().rank(op.stage()));
  const StageTensors tensors = tensors_of(op);
  if (op.kind() == OpKind::Forward)
    mlp.forward(tensors, stream);
  if (op.kind() == OpKind::BackwardInput || op.kind() == OpKind::Backward)
    mlp.backward_input(tensors, stream);
  if (op.kind() == OpKind::BackwardWeight || op.kind() == OpKind::Backward)
    mlp.backward_weight(tensors, stream);
}

std::size_t TensorWork::operations(const Instruction& action) const {
  std::size_t count = 2;  // the stamps
  plan_.action(action).for_each_op(
      [&](const Op& op) { count += mlp_of(placement().rank(op.stage())).kernels(op.kind()); });
  return count;
}

std::size_t TensorWork::operations(MessageId id) const {
  return stays_on_gpu(plan_.messages[id]) ? 1 : 3;  // the copy, between stamps
}

void TensorWork::enqueue_action(const Instruction& instruction, Stamp* stamp, cudaStream_t stream) {
  BUBBLESCOPE_CHECK(launch_stamp_start(stamp, stream));
  plan_.action(instruction).for_each_op([&](const Op& op) { run(op, stream); });
  BUBBLESCOPE_CHECK(launch_stamp_end(stamp, 0, stream));
}

void TensorWork::enqueue_message(MessageId id, Stamp* stamp, cudaStream_t stream) {
  const PlanMessage& message = plan_.messages[id];
  const auto duration =
      static_cast<unsigned long long>(plan_.is_eager ? 0 : message.duration.count());
  const std::size_t bytes = mlp_of(message.from).activation() * sizeof(Bf16);
  const Bf16* const from = made(message.sent);
  Bf16* const to = received(message.to, message.expected);
  if (stays_on_gpu(message)) {
    BUBBLESCOPE_CHECK(launch_message({.from = from,
                                      .to = to,
                                      .bytes = bytes,
                                      .nanoseconds = duration,
                                      .stamp = stamp,
                                      .arrived = arrived_.at(gpu_of(message.from)).data() + id,
                                      .blocks = kMessageBlocks},
                                     stream));
    return;
  }
  BUBBLESCOPE_CHECK(launch_stamp_start(stamp, stream));
  BUBBLESCOPE_CHECK(
      cudaMemcpyPeerAsync(to, gpu_of(message.to), from, gpu_of(message.from), bytes, stream));
  BUBBLESCOPE_CHECK(launch_stamp_end(stamp, duration, stream));
}

Payload TensorWork::payload(const TransferEnd& transfer) const {
  const PlanMessage& message = plan_.messages[transfer.message];
  const Rank rank = transfer.is_send ? message.from : message.to;
  return {transfer.is_send ? made(message.sent) : received(rank, message.expected),
          mlp_of(rank).activation() * sizeof(Bf16)};
}

float* TensorWork::gradients_of(Stage stage) const {
  const Rank rank = placement().rank(stage);
  return memory_of(rank).gradients.data() +
         places_.stage_of_rank[static_cast<std::size_t>(stage)] * mlp_of(rank).weights();
}

std::vector<StageGradients> TensorWork::gradients() const {
  std::vector<StageGradients> all;
  for (Stage stage = 0; stage < placement().stages(); ++stage)
    if (is_here(stage))
      all.push_back({stage, gradients_of(stage), mlp_of(placement().rank(stage)).weights()});
  return all;
}

void TensorWork::enqueue_reset(cudaStream_t stream) {
  constexpr int kNanByte = 0xff;
  const auto set = [&](const auto& buffer, int byte) {
    BUBBLESCOPE_CHECK(
        cudaMemsetAsync(buffer.data(), byte, buffer.size() * sizeof(*buffer.data()), stream));
  };
  for (const auto& [rank, memory] : memory_) {
    set(memory.gradients, 0);
    set(memory.outputs, kNanByte);
    set(memory.losses, kNanByte);
  }
  // A step that was aborted may have left some.
  for (const auto& [gpu, arrived] : arrived_)
    set(arrived, 0);
}

double TensorWork::loss() const {
  double sum = 0;
  for (Stage stage = 0; stage < placement().stages(); ++stage) {
    if (!makes_loss(stage) || !is_here(stage))
      continue;
    const std::vector<float> parts = memory_of(placement().rank(stage)).losses.download();
    const int share = plan_.schedule().microbatches_per_pipe();
    const auto first =
        parts.begin() + std::ptrdiff_t{stage / placement().depth} * share * kLossParts;
    sum = std::accumulate(first, first + std::ptrdiff_t{share} * kLossParts, sum);
  }
  return sum;
}

/// Of W1 or W2 of one block, summed over the stages here that share these weights, or empty where
/// there are none; `first` is its place among the weights of a stage.
std::vector<float> TensorWork::summed_gradients(std::int32_t weights, std::size_t first) const {
  std::vector<float> sum;
  for (Stage stage = 0; stage < placement().stages(); ++stage) {
    const auto s = static_cast<std::size_t>(stage);
    if (placement().weights_of_stage[s] != weights || !is_here(stage))
      continue;
    const std::vector<float> part =
        download(gradients_of(stage) + first, mlp_of(placement().rank(stage)).weight_count());
    if (sum.empty())
      sum = part;
    else
      std::transform(sum.begin(), sum.end(), part.begin(), sum.begin(), std::plus<>());
  }
  return sum;
}

std::optional<Parity> TensorWork::parity() {
  const auto& [gpu, mlp] = *mlps_.begin();
  BUBBLESCOPE_CHECK(cudaSetDevice(gpu));
  Unpipelined reference(shape_, mlp, placement());
  Parity parity{.loss = loss(), .tolerance = kTolerance};
  for (int replica = 0; replica < layout_.replicas; ++replica)
    for (MicroBatch i = 0; i < plan_.schedule().microbatches; ++i)
      parity.reference_loss +=
          reference.run(among_all(i, replica), i / plan_.schedule().microbatches_per_pipe());
  parity.loss_error =
      std::abs(parity.loss - parity.reference_loss) / std::abs(parity.reference_loss);
  for (std::int32_t weights = 0; weights < placement().depth; ++weights)
    for (std::size_t i = 0; i < 2 * mlp.blocks(); ++i) {
      const std::size_t first = i * mlp.weight();
      const std::vector<float> found = summed_gradients(weights, first);
      if (found.empty())
        break;  // a stage of other processes
      const std::vector<float> expected = download(
          reference.gradients(static_cast<std::size_t>(weights)) + first, mlp.weight_count());
      const double error = relative_error(found, expected);
      if (!parity.worst_tensor.empty() && error <= parity.gradient_error)
        continue;
      parity.gradient_error = error;
      parity.worst_tensor = "stage " + std::to_string(weights) + ", block " +
                            std::to_string(i / 2) + ", W" + std::to_string(i % 2 + 1);
    }
  return parity;
}

}  // namespace

std::unique_ptr<Work> make_tensor_work(const Plan& plan, const TensorShape& shape,
                                       const Layout& layout) {
  return std::make_unique<TensorWork>(plan, shape, layout);
}

}  // namespace bubblescope::gpu
