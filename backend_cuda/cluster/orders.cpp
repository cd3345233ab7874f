#include "backend_cuda/cluster/orders.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "backend_cuda/cluster/process_name.h"
#include "backend_cuda/replay/replay.h"

namespace bubblescope {
namespace {

constexpr Span kNothing{kNever, kNever};

/// Calls `visit(span of an instruction)` and `visit(span of an end of a message)` of a rank, in one
/// order on both sides.
template <class OfInstruction, class OfEnd>
void for_each_of(const Plan& plan, Rank rank, OfInstruction&& of_instruction, OfEnd&& of_end) {
  for (InstructionId id = 0; id < plan.instructions.size(); ++id)
    if (plan.instructions[id].rank == rank)
      of_instruction(id);
  for (MessageId id = 0; id < plan.messages.size(); ++id)
    if (plan.messages[id].from == rank || plan.messages[id].to == rank)
      of_end(id);
}

}  // namespace

Writer& Writer::add(std::int64_t value) {
  text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  return *this;
}

Writer& Writer::add(double value) {
  text_.append(reinterpret_cast<const char*>(&value), sizeof value);
  return *this;
}

Writer& Writer::add(const std::string& value) {
  add(static_cast<std::int64_t>(value.size()));
  text_ += value;
  return *this;
}

Order Reader::order() {
  char order = 0;
  take(&order, 1);
  return static_cast<Order>(order);
}

std::int64_t Reader::number() {
  std::int64_t value = 0;
  take(&value, sizeof value);
  return value;
}

double Reader::real() {
  double value = 0;
  take(&value, sizeof value);
  return value;
}

std::string Reader::string() {
  const auto size = static_cast<std::uint64_t>(number());
  require(size);
  std::string value(size, '\0');
  take(value.data(), value.size());
  return value;
}

void Reader::require(std::size_t bytes) const {
  if (bytes > text_.size() - next_)
    throw DeviceError("a message between processes is too short: they have different plans");
}

void Reader::take(void* to, std::size_t bytes) {
  require(bytes);
  std::memcpy(to, text_.data() + next_, bytes);
  next_ += bytes;
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
  return Writer(Order::Progress)
      .add(progress.ended)
      .add(progress.running ? std::int64_t{*progress.running} : std::int64_t{-1})
      .text();
}

ProgressReport read_progress(Reader& reader) {
  ProgressReport progress{.ended = reader.number()};
  if (const std::int64_t running = reader.number(); running >= 0)
    progress.running = static_cast<InstructionId>(running);
  return progress;
}

std::string write_times(Order order, const Plan& plan, Rank rank, const RankExecutor& executor) {
  const RunTimes times = executor.times();
  Writer writer(order);
  writer.add(std::int64_t{executor.clock_uncertainty().count()});
  const auto add = [&](const Span& span) {
    writer.add(std::int64_t{span.start.count()}).add(std::int64_t{span.end.count()});
  };
  for_each_of(
      plan, rank, [&](InstructionId id) { add(times.instructions[id]); },
      [&](MessageId id) { add(times.messages[id]); });
  return writer.text();
}

std::string write_all_times(const RunTimes& times) {
  Writer writer(Order::Times);
  for (const std::vector<Span>* spans : {&times.instructions, &times.messages})
    for (const Span& span : *spans)
      writer.add(std::int64_t{span.start.count()}).add(std::int64_t{span.end.count()});
  return writer.text();
}

RunTimes read_all_times(Reader& reader, const Plan& plan) {
  RunTimes times{.instructions = std::vector<Span>(plan.instructions.size()),
                 .messages = std::vector<Span>(plan.messages.size())};
  for (std::vector<Span>* spans : {&times.instructions, &times.messages})
    for (Span& span : *spans) {
      span.start = Time(reader.number());
      span.end = Time(reader.number());
    }
  return times;
}

std::string with_action(const std::string& what, const Plan& plan, const RankExecutor& executor) {
  constexpr std::string_view kWhile = "while rank ";
  const auto running = executor.running();
  if (!running || what.starts_with(kWhile))
    return what;
  const Instruction& instruction = plan.instructions[*running];
  return fmt::format("{}{} ran {}: {}", kWhile, instruction.rank,
                     to_string(plan.action(instruction)), what);
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

void TimesOfAll::add(const std::string& message, Rank rank, const ClockLine& clock) {
  Reader reader(message);
  reader.order();
  uncertainty_ = std::max(uncertainty_, Time(reader.number()) + clock.uncertainty());
  const auto moment = [&] {
    const Time theirs(reader.number());
    return theirs == kNever ? kNever : clock.ours(theirs);
  };
  const auto span = [&] {
    const Time start = moment();
    return Span{start, moment()};
  };
  for_each_of(
      plan_, rank, [&](InstructionId id) { instructions_[id] = span(); },
      [&](MessageId id) { (plan_.messages[id].from == rank ? sent_ : received_)[id] = span(); });
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
  return Writer(Order::Compared)
      .add(parity.loss)
      .add(parity.reference_loss)
      .add(parity.gradient_error)
      .add(parity.tolerance)
      .add(parity.worst_tensor)
      .text();
}

Parity read_parity(Reader& reader) {
  Parity parity;
  parity.loss = reader.real();
  parity.reference_loss = reader.real();
  parity.gradient_error = reader.real();
  parity.tolerance = reader.real();
  parity.worst_tensor = reader.string();
  return parity;
}

std::string write_facts(const MachineFacts& facts) {
  std::string text;
  for (const auto& [name, value] : facts)
    text.append(name).append("\n").append(value).append("\n");
  return text;
}

std::string value_of(const MachineFacts& facts, std::string_view name) {
  const auto found = std::find_if(facts.begin(), facts.end(),
                                  [&](const auto& each) { return each.first == name; });
  return found == facts.end() ? std::string() : found->second;
}

MachineFacts facts_of(const RankExecutor& executor, const Control& control) {
  MachineFacts facts = executor.machine();
  facts.emplace_back(kProcessFact, to_string(this_process(control.rank())));
  facts.emplace_back(kHostFact, host_identity());
  return facts;
}

MachineFacts read_facts(const std::string& text) {
  MachineFacts facts;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t middle = text.find('\n', at);
    const std::size_t end = text.find('\n', middle + 1);
    if (end == std::string::npos)
      break;
    facts.emplace_back(text.substr(at, middle - at), text.substr(middle + 1, end - middle - 1));
    at = end + 1;
  }
  return facts;
}

}  // namespace bubblescope
