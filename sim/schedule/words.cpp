#include "sim/schedule/words.h"

#include <iterator>
#include <string_view>

#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

template <typename... Parts>
std::string word(const Parts&... parts) {
  fmt::memory_buffer text;
  append_word(text, parts...);
  return fmt::to_string(text);
}

}  // namespace

void append_word(fmt::memory_buffer& text, const Op& op) {
  fmt::format_to(std::back_inserter(text), "{}{}{}", op.stage(), letter(op.kind()),
                 op.microbatch());
}

void append_word(fmt::memory_buffer& text, const Action& action) {
  if (!action.is_pair())
    return append_word(text, action.op());
  text.push_back('(');
  append_word(text, action.op());
  text.push_back(';');
  append_word(text, action.overlapped());
  text.append(std::string_view(")OVERLAP_F_B"));
}

void append_word(fmt::memory_buffer& text, const Transfer& transfer, const Placement& placement) {
  const Stage sender = transfer.output.stage();
  const Stage stage =
      transfer.is_send ? sender : reader_of_output(placement, transfer.output).value_or(sender);
  fmt::format_to(std::back_inserter(text), "{}{}_{}{}", stage, transfer.is_send ? "SEND" : "RECV",
                 transfer.output.kind() == OpKind::Forward ? 'F' : 'B',
                 transfer.output.microbatch());
}

void append_word(fmt::memory_buffer& text, const Collective& collective) {
  constexpr std::string_view kNames[] = {"UNSHARD", "RESHARD", "REDUCE_GRAD"};
  fmt::format_to(std::back_inserter(text), "{}{}", collective.stage,
                 kNames[static_cast<std::size_t>(collective.kind)]);
}

std::string to_string(const Op& op) {
  return word(op);
}
std::string to_string(const Action& action) {
  return word(action);
}
std::string to_string(const Transfer& transfer, const Placement& placement) {
  return word(transfer, placement);
}
std::string to_string(const Collective& collective) {
  return word(collective);
}

}  // namespace bubblescope
