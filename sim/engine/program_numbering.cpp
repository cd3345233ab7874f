// The graph of a program: each instruction and message is numbered when all that it waits for is.
#include <utility>
#include <vector>

#include "sim/engine/graph_parts.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

/// Runs the first streams of all ranks as far as each can go, again and again; a rank posts what is
/// on its channels when the action has run that does. A rank that has to wait is woken by the
/// message it waits for, and the rank woken last goes on first.
class ProgramNumbering {
 public:
  ProgramNumbering(const Program& program, DependencyGraph::Parts& parts)
      : program_(program),
        schedule_(program.schedule()),
        transfers_(program.posted.transfers),
        costs_(parts.costs),
        has_batches_(program.streams() == program.first_stream.size() - 1),
        ranks_(static_cast<std::size_t>(schedule_.placement.ranks)),
        ends_(transfers_.size(), End{}),
        messages_(parts.messages),
        out_(parts, schedule_, nodes(program), most_edges(program, has_batches_),
             program.is_eager) {
    messages_.reserve(program.is_eager ? 0 : program.message_ends.size());
    for (const InstructionId first : program.first_of_stream)
      if (!has_batches_ && first < program.instructions.size() && !program.is_action(first))
        ends_[program.instructions[first].first].node = kIsTurn;
  }

  bool run() {
    for (std::size_t r = ranks_.size(); r-- > 0;) {
      ranks_[r].next = ranks_[r].after_last_action = program_.first_of_rank(static_cast<Rank>(r));
      ranks_[r].end = program_.end_of_actions(static_cast<Rank>(r));
      ready_.push_back(static_cast<Rank>(r));
    }
    while (!ready_.empty()) {
      const Rank rank = ready_.back();
      ready_.pop_back();
      run_rank(rank);
    }
    out_.finish();
    find_late_producers();
    return out_.nodes() == nodes(program_);
  }

 private:
  static constexpr std::uint32_t kNotYet = GraphWriter::kNotYet;
  static constexpr TransferId kNoTransfer = ~TransferId{0};
  static constexpr std::uint32_t kAtStart = ~std::uint32_t{0};  // posted by the step itself
  static constexpr std::uint32_t kIsTurn = ~std::uint32_t{0};

  struct RankState {
    InstructionId next = 0;  // on its first stream
    InstructionId end = 0;
    TransferId blocked_on = kNoTransfer;  // what this instruction lacks
    std::uint32_t last_action = kNotYet;  // its node
    InstructionId after_last_action = 0;  // behind it on the stream
    bool has_begun = false;
    bool has_posted = false;       // the batch that is next
    TransferId next_transfer = 0;  // of this batch, not known to have moved
  };

  /// How far one end of a message has come.
  struct End {
    std::uint32_t poster = kNotYet;  // the action that has posted it
    /// kIsTurn when what is before it on its stream has moved; then the message's own, or where
    /// that is eager, of the action that sends it.
    std::uint32_t node = kNotYet;

    bool may_start() const { return poster != kNotYet && node == kIsTurn; }
    bool has_moved() const { return node != kNotYet && node != kIsTurn; }
  };

  static std::size_t nodes(const Program& program) {
    return program.schedule().actions.size() + (program.is_eager ? 0 : program.message_ends.size());
  }

  /// An action has an edge to the one before it, one for each message that it waits for, at most
  /// two on channels, and those of the batches before it. A message has, for each of its ends, one
  /// to what is before it on its stream, and one to the action that posts it, or to all that this
  /// one waits for.
  static std::size_t most_edges(const Program& program, bool has_batches) {
    if (!has_batches)
      return 3 * program.schedule().actions.size() + 6 * program.message_ends.size();
    std::size_t edges = 0;
    std::size_t since_action = 0;  // transfers on the stream
    std::size_t before = 0;        // those of the batch before, if one is
    for (InstructionId id = 0; id < program.instructions.size(); ++id) {
      if (program.instructions[id].is_first_of_stream)
        since_action = before = 0;
      if (program.is_action(id)) {
        edges += 1 + std::exchange(since_action, 0);
        before = 0;
      } else {
        const std::size_t transfers = program.transfers_of(id).size();
        edges += transfers * (2 + before);
        since_action += transfers;
        before = transfers;
      }
    }
    return edges;
  }

  void run_rank(Rank rank) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    if (!std::exchange(state.has_begun, true) && !has_batches_)
      post_slot(rank, schedule_.first_action[static_cast<std::size_t>(rank)], Wait(), nullptr,
                kAtStart);
    for (; state.next < state.end; ++state.next)
      if (!(program_.is_action(state.next) ? run_action(rank, state) : run_batch(state)))
        return;
  }

  /// Posts a batch where that is not done yet; false if the rank has to wait for it.
  bool run_batch(RankState& state) {
    const TransferId end = program_.end_of_transfers(state.next);
    if (!std::exchange(state.has_posted, true)) {
      state.next_transfer = program_.instructions[state.next].first;
      for (TransferId i = state.next_transfer; i < end; ++i) {
        note_late(i, nullptr);
        if (!program_.is_eager)
          ends_[i].node = kIsTurn;
        post(i, state.last_action == kNotYet ? kAtStart : state.last_action);
      }
    }
    for (; state.next_transfer < end; ++state.next_transfer)
      if (!ends_[state.next_transfer].has_moved()) {
        state.blocked_on = state.next_transfer;
        return false;
      }
    state.has_posted = false;
    return true;
  }

  /// Makes the next action a node; false if the rank has to wait for a message.
  bool run_action(Rank rank, RankState& state) {
    const InstructionId id = state.next;
    const std::size_t index = program_.instructions[id].first;
    const Action& action = schedule_.actions[index];
    const EdgeId first_edge = out_.edges();
    if (state.last_action != kNotYet)
      add_edge(state.last_action, Time::zero());
    for (const Wait& wait : program_.waits_of(id))
      if (!wait_for(wait, state)) {
        out_.drop_edges(first_edge);
        return false;
      }
    for (InstructionId batch = state.after_last_action; batch < id; ++batch)
      add_edges_to(batch);
    state.last_action = out_.add_node(first_edge, costs_.duration(action), rank, index) + 1;
    state.after_last_action = id + 1;
    if (!has_batches_) {
      post_slot(rank, index, Wait(id, Wait::For::Start), &action, state.last_action);
      post_slot(rank, index + 1, Wait(id, Wait::For::End), &action, state.last_action);
    }
    return true;
  }

  void add_edge(std::uint32_t node, Time lag) {
    program_.is_eager ? out_.add_edge(node - 1, lag) : out_.add_edge(node - 1);
  }

  /// To all messages of an instruction; where they are eager, to those that are received.
  void add_edges_to(InstructionId transfers) {
    const TransferId first = program_.instructions[transfers].first;
    const TransferId end = has_batches_ ? program_.end_of_transfers(transfers) : first + 1;
    for (TransferId i = first; i < end; ++i)
      if (!program_.is_eager || !transfers_[i].is_send)
        add_edge(ends_[i].node, costs_.message_time(transfers_[i].output));
  }

  /// False where the rank has to wait: for a message, or for ever for an action behind it.
  bool wait_for(const Wait& wait, RankState& state) {
    const Instruction& awaited = program_.instructions[wait.instruction];
    if (awaited.kind == Instruction::Kind::Action)
      return wait.instruction < state.next;
    const End& end = ends_[awaited.first];
    if (!end.has_moved()) {
      state.blocked_on = awaited.first;
      return false;
    }
    add_edge(end.node, Time::zero());
    return true;
  }

  /// Posts the transfers of the slot before an action that wait for `wait` alone; `poster` is what
  /// has run last, if anything has.
  void post_slot(Rank rank, std::size_t action, const Wait& wait, const Action* poster,
                 std::uint32_t node) {
    const std::size_t slot = slot_before(rank, action);
    for (std::size_t i = transfers_.first_of(slot); i < transfers_.first_of(slot + 1); ++i)
      if (ends_[i].poster == kNotYet &&
          program_.instructions[program_.instruction_of_transfer[i]].wait[0] == wait) {
        note_late(i, poster);
        post(static_cast<TransferId>(i), node);
      }
  }

  /// Notes whether another action has made what is sent than the one that posts it.
  void note_late(std::size_t transfer, const Action* poster) {
    const auto makes = [&](const Op& op) {
      const Op& output = transfers_[transfer].output;
      return op.stage() == output.stage() && op.microbatch() == output.microbatch() &&
             (op.kind() == output.kind() ||
              (op.kind() == OpKind::Backward && output.kind() == OpKind::BackwardInput));
    };
    if (transfers_[transfer].is_send &&
        (poster == nullptr || !(makes(poster->op()) || makes(poster->overlapped()))))
      has_late_sends_ = true;
  }

  void post(TransferId transfer, std::uint32_t poster) {
    ends_[transfer].poster = poster;
    if (program_.is_eager) {
      if (transfers_[transfer].is_send) {
        const TransferId receive = program_.other_end(transfer);
        ends_[transfer].node = ends_[receive].node = poster;
        wake(transfers_[transfer].peer, receive);
      }
      return;
    }
    due_.push_back(transfer);
    while (!due_.empty()) {
      const TransferId next = due_.back();
      due_.pop_back();
      start_if_possible(next);
    }
  }

  /// A message becomes a node once both ends are posted and it is their turn on their streams.
  void start_if_possible(TransferId transfer) {
    if (!ends_[transfer].may_start())
      return;
    const MessageEnds& ends = program_.message_ends[program_.transfers[transfer].message];
    if (!ends_[ends.send].may_start() || !ends_[ends.receive].may_start())
      return;
    const InstructionId send = program_.instruction_of_transfer[ends.send];
    const InstructionId receive = program_.instruction_of_transfer[ends.receive];
    add_message(ends, send, receive);
    if (has_batches_)
      return;
    for (const InstructionId end : {send, receive})
      if (const InstructionId after = end + 1; after < program_.instructions.size() &&
                                               !program_.instructions[after].is_first_of_stream) {
        ends_[program_.instructions[after].first].node = kIsTurn;
        due_.push_back(program_.instructions[after].first);
      }
  }

  bool follows_transfers(InstructionId id) const {
    return !program_.instructions[id].is_first_of_stream && !program_.is_action(id - 1);
  }

  /// Adds edges to what comes before an end on its stream; the message where that is a channel.
  NodeId wait_for_turn(InstructionId id) {
    if (!follows_transfers(id))
      return MessageNode::kNone;
    add_edges_to(id - 1);
    return has_batches_ ? MessageNode::kNone : out_.newest_producer();
  }

  void add_message(const MessageEnds& ends, InstructionId send, InstructionId receive) {
    const Op& output = transfers_[ends.send].output;
    const auto node_of = [](std::uint32_t poster) {
      return poster == kAtStart ? MessageNode::kNone : poster - 1;
    };
    MessageNode message = {.output = output,
                           .from = transfers_[ends.receive].peer,
                           .to = transfers_[ends.send].peer,
                           .producer = node_of(ends_[ends.send].poster),
                           .sender = node_of(ends_[ends.send].poster),
                           .receiver = node_of(ends_[ends.receive].poster)};
    const EdgeId first_edge = out_.edges();
    if (message.sender != MessageNode::kNone)
      out_.add_edge(message.sender);
    message.before_at_sender = wait_for_turn(send);
    message.before_at_receiver = wait_for_turn(receive);
    if (message.before_at_sender == message.before_at_receiver &&
        message.before_at_sender != MessageNode::kNone)
      out_.drop_edges(out_.edges() - 1);  // once is enough
    if (message.receiver != MessageNode::kNone) {
      if (program_.instructions[receive].wait[0].moment == Wait::For::Start)
        out_.copy_edges(message.receiver, first_edge);
      else
        out_.add_edge(message.receiver);
    }
    const NodeId node = out_.add_node(first_edge, costs_.message_time(output), message.to,
                                      schedule_.actions.size() + messages_.size());
    ends_[ends.send].node = ends_[ends.receive].node = node + 1;
    messages_.push_back(message);
    wake(message.to, ends.receive);
    wake(message.from, ends.send);
  }

  void wake(Rank rank, TransferId transfer) {
    RankState& state = ranks_[static_cast<std::size_t>(rank)];
    if (state.blocked_on != transfer)
      return;
    state.blocked_on = kNoTransfer;
    ready_.push_back(rank);
  }

  /// Messages that are posted later than they are made.
  void find_late_producers() {
    if (!has_late_sends_)
      return;
    const OutputNumbers number(schedule_.placement, schedule_.microbatches);
    std::vector<NodeId> maker(number.size(), MessageNode::kNone);
    for (NodeId node = 0; node < out_.nodes(); ++node)
      if (const std::size_t action = out_.action(node); action < schedule_.actions.size())
        schedule_.actions[action].for_each_op([&](const Op& op) {
          if (op.kind() != OpKind::BackwardWeight)
            maker[number[op]] = node;
        });
    for (MessageNode& message : messages_)
      message.producer = maker[number[message.output]];
  }

  const Program& program_;
  const Schedule& schedule_;
  const Transfers& transfers_;
  const CostModel& costs_;
  bool has_batches_;                  // on the first streams, and no channels
  std::vector<RankState> ranks_;      // [rank]
  std::vector<Rank> ready_ = {};      // a stack of ranks that can go on
  FlatArray<End> ends_;               // [TransferId]
  std::vector<TransferId> due_ = {};  // a stack of those whose messages may be possible
  bool has_late_sends_ = false;
  FlatArray<MessageNode>& messages_;
  GraphWriter out_;
};

}  // namespace

bool number_program(const Program& program, DependencyGraph::Parts& parts) {
  return ProgramNumbering(program, parts).run();
}

}  // namespace bubblescope
