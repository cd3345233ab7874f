#include "backend_cuda/cluster/orders.h"

#include <algorithm>
#include <chrono>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "backend_cuda/cluster/process_name.h"
#include "backend_cuda/replay/replay.h"

namespace bubblescope {
namespace {

constexpr Span kNothing{kNever, kNever};
constexpr std::int64_t kNone = -1;
constexpr std::int64_t kMostFacts = 100;
/// No moment of a step lies farther from its end, so that sums over all ranks stay exact.
constexpr std::chrono::days kFarthest{30};

void add_spans(Packer& message, const std::vector<Span>& spans) {
  for (const Span& span : spans)
    message.integer(span.start.count()).integer(span.end.count());
}

/// kNever, or not far from `now`.
Time read_moment(Unpacker& message, Time now) {
  const Time moment(message.integer());
  if (moment != kNever && (moment < now - kFarthest || moment > now + kFarthest))
    throw BadFrame("no moment of a step");
  return moment;
}

/// A clock may turn back by a tick, and a GPU may stamp both while they are read.
Span read_span(Unpacker& message, Time now) {
  const Time start = read_moment(message, now);
  const Time end = read_moment(message, now);
  if (start == kNever)
    return kNothing;
  return {start, end == kNever ? kNever : std::max(start, end)};
}

/// Calls `visit(span of an instruction)` and `visit(span of an end of a message)` of a rank, in one
/// order on both sides.
template <class OfInstruction, class OfEnd>
void for_each_of(const Plan& plan, Rank rank, OfInstruction&& of_instruction, OfEnd&& of_end) {
  for (InstructionId id = 0; id < plan.instructions.size(); ++id)
    if (plan.rank_of(id) == rank)
      of_instruction(id);
  for (MessageId id = 0; id < plan.messages.size(); ++id)
    if (plan.messages[id].from == rank || plan.messages[id].to == rank)
      of_end(id);
}

}  // namespace

Packer begin(Order order) {
  return Packer().byte(static_cast<char>(order));
}

Order order_of(Unpacker& message) {
  return static_cast<Order>(message.byte());
}

std::chrono::microseconds between_reports(const Plan& plan, const Control& control) {
  using std::chrono::microseconds;
  constexpr microseconds kLeast{10'000};
  constexpr microseconds kForEachProcess{200};
  constexpr std::size_t kInstructionsInOne = 10;  // µs
  return std::max({kLeast, control.world() * kForEachProcess,
                   microseconds(plan.instructions.size() / kInstructionsInOne)});
}

std::string write_progress(const ProgressReport& progress) {
  return begin(Order::Progress)
      .integer(progress.ended)
      .integer(progress.running ? std::int64_t{*progress.running} : kNone)
      .take();
}

ProgressReport read_progress(Unpacker& message, const Plan& plan, Rank rank) {
  const auto count = static_cast<std::int64_t>(plan.instructions.size());
  ProgressReport progress{.ended = message.integer(0, count)};
  const std::int64_t running = message.integer(kNone, count - 1);
  message.end();
  if (running == kNone)
    return progress;
  const auto id = static_cast<InstructionId>(running);
  if (!plan.is_action(id) || plan.rank_of(id) != rank)
    throw BadFrame("no action of this rank");
  progress.running = id;
  return progress;
}

RankTimes times_of(const Plan& plan, Rank rank, const RankExecutor& executor) {
  const RunTimes all = executor.times();
  RankTimes own{.uncertainty = executor.clock_uncertainty()};
  for_each_of(
      plan, rank, [&](InstructionId id) { own.instructions.push_back(all.instructions[id]); },
      [&](MessageId id) { own.messages.push_back(all.messages[id]); });
  return own;
}

std::string write_times(Order order, const RankTimes& times) {
  Packer message = begin(order);
  message.integer(times.uncertainty.count());
  add_spans(message, times.instructions);
  add_spans(message, times.messages);
  return message.take();
}

RankTimes read_times(Unpacker& message, Order order, const Plan& plan, Rank rank, Time now) {
  RankTimes times{.uncertainty = Time(message.integer(0, Time(kFarthest).count()))};
  for_each_of(
      plan, rank,
      [&](InstructionId) {
        times.instructions.push_back(read_span(message, now));
        if (order == Order::Done && times.instructions.back().end == kNever)
          throw BadFrame("what has ended has no end");
      },
      [&](MessageId) { times.messages.push_back(read_span(message, now)); });
  message.end();
  return times;
}

std::string write_all_times(const RunTimes& times) {
  Packer message = begin(Order::Times);
  add_spans(message, times.instructions);
  add_spans(message, times.messages);
  return message.take();
}

RunTimes read_all_times(Unpacker& message, const Plan& plan) {
  RunTimes times{.instructions = std::vector<Span>(plan.instructions.size()),
                 .messages = std::vector<Span>(plan.messages.size())};
  for (std::vector<Span>* spans : {&times.instructions, &times.messages})
    for (Span& span : *spans)
      span = read_span(message, Time(0));
  message.end();
  return times;
}

std::string with_action(const std::string& what, const Plan& plan, const RankExecutor& executor) {
  constexpr std::string_view kWhile = "while rank ";
  const auto running = executor.running();
  if (!running || what.starts_with(kWhile))
    return what;
  return fmt::format("{}{} ran {}: {}", kWhile, plan.rank_of(*running),
                     to_string(plan.action(*running)), what);
}

void wait_until(Time moment_of_steady_clock) {
  while (std::chrono::steady_clock::now().time_since_epoch() < moment_of_steady_clock) {
  }
}

TimesOfAll::TimesOfAll(const Plan& plan)
    : plan_(plan),
      instructions_(plan.instructions.size(), kNothing),
      sent_(plan.messages.size(), kNothing),
      received_(plan.messages.size(), kNothing) {}

void TimesOfAll::add(const RankTimes& times, Rank rank, const ClockLine& clock) {
  uncertainty_ = std::max(uncertainty_, times.uncertainty + clock.uncertainty());
  const auto moment = [&](Time theirs) { return theirs == kNever ? kNever : clock.ours(theirs); };
  const auto span = [&](const Span& theirs) {
    return Span{moment(theirs.start), moment(theirs.end)};
  };
  auto instruction = times.instructions.begin();
  auto message = times.messages.begin();
  for_each_of(
      plan_, rank, [&](InstructionId id) { instructions_[id] = span(*instruction++); },
      [&](MessageId id) {
        (plan_.messages[id].from == rank ? sent_ : received_)[id] = span(*message++);
      });
}

RunTimes TimesOfAll::merged() const {
  RunTimes times{.instructions = instructions_, .messages = {}};
  for (MessageId id = 0; id < plan_.messages.size(); ++id) {
    const Span& sent = sent_[id];
    const Span& received = received_[id];
    Span span = kNothing;
    if (sent.start != kNever && received.start != kNever) {
      span = {plan_.is_eager ? sent.start : std::max(sent.start, received.start), received.end};
      if (span.end != kNever)  // by clocks of two hosts a short one might end before it starts
        span.end = std::max(span.end, span.start);
    }
    times.messages.push_back(span);
  }
  if (const Time origin = origin_of(plan_, times); origin != Time::max())
    times.count_from(origin);
  return times;
}

std::string write_parity(const Parity& parity) {
  return begin(Order::Compared)
      .real(parity.loss)
      .real(parity.reference_loss)
      .real(parity.gradient_error)
      .real(parity.tolerance)
      .text(parity.worst_tensor)
      .take();
}

Parity read_parity(Unpacker& message) {
  Parity parity;
  parity.loss = message.real();
  parity.reference_loss = message.real();
  parity.gradient_error = message.real();
  parity.tolerance = message.real();
  parity.worst_tensor = message.words();
  message.end();
  if (!(parity.gradient_error >= 0))  // nor is it NaN, which would hide the others'
    throw BadFrame("no error");
  return parity;
}

std::string write_facts(const MachineFacts& facts) {
  Packer message;
  message.integer(static_cast<std::int64_t>(facts.size()));
  for (const auto& [name, value] : facts)
    message.text(name).text(value);
  return message.take();
}

MachineFacts read_facts(std::string_view payload) {
  Unpacker message(payload);
  MachineFacts facts;
  for (std::int64_t left = message.integer(1, kMostFacts); left > 0; --left) {
    std::string name = message.words();
    facts.emplace_back(std::move(name), message.words());
  }
  message.end();
  return facts;
}

std::string value_of(const MachineFacts& facts, std::string_view name) {
  const auto found = std::find_if(facts.begin(), facts.end(),
                                  [&](const auto& each) { return each.first == name; });
  return found == facts.end() ? std::string() : found->second;
}

MachineFacts facts_of(const RankExecutor& executor) {
  MachineFacts facts = executor.machine();
  facts.emplace_back(kHostFact, host_identity());
  return facts;
}

}  // namespace bubblescope
