#include "backend_cuda/cluster/alike.h"

#include <cstddef>

#include <fmt/format.h>

#include "backend_cuda/cluster/frame.h"
#include "backend_cuda/cluster/process_name.h"

namespace bubblescope {
namespace {

std::uint64_t bits(Time time) {
  return static_cast<std::uint64_t>(time.count());
}

std::uint64_t bits(Op op) {
  return (std::uint64_t{op.stage_and_kind()} << 32U) | static_cast<std::uint32_t>(op.microbatch());
}

Digest digest_of_orders(const Schedule& schedule) {
  Digest digest;
  const Placement& placement = schedule.placement;
  digest.add(static_cast<std::uint64_t>(placement.pipes));
  for (const Rank rank : placement.rank_of_stage)
    digest.add(static_cast<std::uint64_t>(rank));
  for (const auto weights : placement.weights_of_stage)
    digest.add(static_cast<std::uint64_t>(weights));
  for (const std::size_t first : schedule.first_action)
    digest.add(first);
  for (const Action& action : schedule.actions)
    digest.add(bits(action.op())).add(bits(action.overlapped()));
  return digest;
}

Digest digest_of_messages(const Plan& plan) {
  Digest digest;
  digest.add(plan.is_eager ? 1 : 0).add(static_cast<std::uint64_t>(plan.channels));
  for (const InstructionId first : plan.first_of_stream)
    digest.add(first);
  for (InstructionId id = 0; id < plan.instructions.size(); ++id) {
    digest.add(plan.is_action(id) ? 1 : 0).add(plan.instructions[id].first);
    digest.add(plan.waits_of(id).size());
    for (const Wait& each : plan.waits_of(id))
      digest.add(each.instruction).add(static_cast<std::uint64_t>(each.moment));
  }
  for (const TransferEnd& each : plan.transfers)
    digest.add(each.message).add(each.is_send ? 1 : 0);
  for (const PlanMessage& each : plan.messages)
    digest.add(bits(each.sent)).add(bits(each.expected)).add(each.send).add(each.receive);
  return digest;
}

Digest digest_of_costs(const Plan& plan) {
  Digest digest;
  for (const Action& action : plan.schedule().actions)
    digest.add(bits(plan.costs->duration(action)));
  for (const PlanMessage& each : plan.messages)
    digest.add(bits(each.duration)).add(static_cast<std::uint64_t>(each.bytes));
  for (Stage stage = 0; stage < plan.schedule().placement.stages(); ++stage)
    for (const OpKind kind :
         {OpKind::Forward, OpKind::BackwardInput, OpKind::BackwardWeight, OpKind::Backward})
      for (const PhaseSpan& span : plan.costs->phases(Op(kind, stage, 0)).spans)
        digest.add(bits(span.start)).add(bits(span.end)).add(static_cast<std::uint64_t>(span.sent));
  return digest;
}

struct Given {
  std::string name;
  std::vector<std::int64_t> digests;
};

/// Throws JobError, since all processes find it at once.
Given read_given(const std::vector<std::string>& all, std::size_t rank, std::size_t count) {
  try {
    Unpacker payload(all[rank]);
    Given given{.name = payload.words(), .digests = {}};
    while (given.digests.size() < count)
      given.digests.push_back(payload.integer());
    payload.end();
    return given;
  } catch (const BadFrame&) {
    throw JobError(fmt::format("rank {} {}", rank, kBrokeProtocol));
  }
}

}  // namespace

std::vector<Alike> digests_of(const Plan& plan) {
  return {{"the order of actions", digest_of_orders(plan.schedule())},
          {"the messages", digest_of_messages(plan)},
          {"the costs", digest_of_costs(plan)}};
}

void require_alike(Control& control, const std::vector<Alike>& mine) {
  Packer packer;
  packer.text(to_string(this_process(control.rank())));
  for (const Alike& each : mine)
    packer.integer(each.digest.value());
  const std::vector<std::string> all = control.all_gather(packer.take());
  const Given leader = read_given(all, 0, mine.size());
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    const Given other = read_given(all, rank, mine.size());
    for (std::size_t i = 0; i < mine.size(); ++i)
      if (leader.digests[i] != other.digests[i])
        throw JobError(
            fmt::format("{} and {} differ in {}: all processes need the same words, files and "
                        "BUBBLESCOPE_ variables",
                        leader.name, other.name, mine[i].what));
  }
}

}  // namespace bubblescope
