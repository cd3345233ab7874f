#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/replay/replay.h"
#include "sim/program/deadlock.h"

namespace bubblescope {
namespace {

/// Follows what keeps a stalled step from going on.
class Stall {
 public:
  Stall(const Plan& plan, const RunTimes& times) : plan_(plan), times_(times) {}

  std::string describe() const {
    std::vector<InstructionId> chain;
    for (StreamId stream = 0; stream < plan_.streams() && chain.empty(); ++stream)
      if (const auto head = head_of(stream))
        chain.push_back(*head);
    if (chain.empty())
      return "  nothing is left to be done";
    // Times that were told late may lead back to where the chain has been.
    for (auto next = blocker_of(chain.back());
         next && std::find(chain.begin(), chain.end(), *next) == chain.end();
         next = blocker_of(chain.back()))
      chain.push_back(*next);
    return "  " + words(chain.back()) +
           (has_begun(chain.back()) ? " has begun and not ended" : " could begin, and has not") +
           followers(chain);
  }

 private:
  bool has_begun(InstructionId id) const { return times_.instructions[id].start != kNever; }
  bool has_ended(InstructionId id) const { return times_.instructions[id].end != kNever; }

  /// The first instruction of a stream that has not ended.
  std::optional<InstructionId> head_of(StreamId stream) const {
    for (InstructionId id = plan_.first_of_stream[stream]; id < plan_.first_of_stream[stream + 1];
         ++id)
      if (!has_ended(id))
        return id;
    return std::nullopt;
  }
  InstructionId head_of_stream_with(InstructionId id) const {
    return *head_of(plan_.stream_of(id));
  }

  /// What is waited for by a head of a stream: an instruction that has not come so far.
  std::optional<InstructionId> missing(InstructionId head) const {
    for (const Wait& wait : plan_.waits_of(head))
      if (wait.moment == Wait::For::Start ? !has_begun(wait.instruction)
                                          : !has_ended(wait.instruction))
        return wait.instruction;
    if (plan_.is_action(head))
      return std::nullopt;
    for (const TransferEnd& transfer : plan_.transfers_of(head)) {
      const PlanMessage& message = plan_.messages[transfer.message];
      const InstructionId other = transfer.is_send ? message.receive : message.send;
      if (!has_begun(other))
        return other;
    }
    return std::nullopt;
  }

  /// The head of the stream in which that is.
  std::optional<InstructionId> blocker_of(InstructionId head) const {
    const auto what = missing(head);
    return what ? std::optional(head_of_stream_with(*what)) : std::nullopt;
  }

  /// "rank 0: 0F3", "rank 1: receive of 0F3 from rank 0"
  std::string words(InstructionId id) const {
    const Rank rank = plan_.rank_of(id);
    if (plan_.is_action(id))
      return fmt::format("rank {}: {}", rank, to_string(plan_.action(id)));
    std::string what;
    for (const TransferEnd& transfer : plan_.transfers_of(id)) {
      const PlanMessage& message = plan_.messages[transfer.message];
      what += what.empty() ? "" : ", ";
      what += transfer.is_send
                  ? fmt::format("send of {} to rank {}", to_string(message.sent), message.to)
                  : fmt::format("receive of {} from rank {}", to_string(message.expected),
                                message.from);
    }
    return fmt::format("rank {}: {}", rank, what);
  }

  /// "rank 0: 0F3 waits for rank 1: send of 1I2 to rank 0, which stands behind rank 1: 1F4"
  std::string wait_words(InstructionId head) const {
    const InstructionId what = *missing(head);
    std::string text = fmt::format("{} waits for {}", words(head), words(what));
    if (const InstructionId before = head_of_stream_with(what); before != what)
      text += fmt::format(", which stands behind {}", words(before));
    return text;
  }

  std::string followers(const std::vector<InstructionId>& chain) const {
    if (chain.size() == 1)
      return "";
    std::string text = "; behind it";
    for (std::size_t i = chain.size() - 1; i-- > 0;)
      text += "\n    " + wait_words(chain[i]);
    return text;
  }

  const Plan& plan_;
  const RunTimes& times_;
};

}  // namespace

std::string describe_stall(const Plan& plan, const RunTimes& times) {
  if (plan.can_run())
    return Stall(plan, times).describe();
  std::string circle = "  " + describe_deadlock(plan);
  for (std::size_t line = circle.find('\n'); line != circle.npos;
       line = circle.find('\n', line + 1))
    circle.insert(line + 1, "  ");
  return circle;
}

}  // namespace bubblescope
