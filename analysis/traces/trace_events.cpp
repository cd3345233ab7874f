#include "analysis/traces/trace_events.h"

namespace bubblescope {

void TraceEvents::finish() {
  emit("\n]}}\n");
  flush();
}

void TraceEvents::flush() {
  sink_({buffer_.data(), buffer_.size()});
  buffer_.clear();
}

void TraceEvents::name_process(Rank rank) {
  event(R"("ph":"M","pid":{0},"name":"process_name","args":{{"name":"rank {0}"}})", rank);
  event(R"("ph":"M","pid":{0},"name":"process_sort_index","args":{{"sort_index":{0}}})", rank);
}

void TraceEvents::name_thread(Rank rank, int thread, std::string_view name) {
  event(R"("ph":"M","pid":{},"tid":{},"name":"thread_name","args":{{"name":"{}"}})", rank, thread,
        name);
  event(R"("ph":"M","pid":{0},"tid":{1},"name":"thread_sort_index","args":{{"sort_index":{1}}})",
        rank, thread);
}

std::string TraceEvents::label(const Action& action) {
  const auto op_label = [](const Op& op) {
    return fmt::format("{}{}", letter(op.kind()), op.microbatch());
  };
  return action.is_pair() ? op_label(action.op()) + "&" + op_label(action.overlapped())
                          : op_label(action.op());
}

std::string TraceEvents::label(const Op& output) {
  return fmt::format("{} {}", output.kind() == OpKind::Forward ? "act" : "grad",
                     output.microbatch());
}

const char* TraceEvents::colour(const Action& action) {
  static constexpr const char* kColours[] = {"rail_response", "thread_state_running", "yellow",
                                             "good"};
  return action.is_pair() ? "thread_state_iowait" : kColours[static_cast<int>(action.op().kind())];
}

std::string TraceEvents::microseconds(Time time) {
  return fmt::format("{}.{:03}", time.count() / 1000, time.count() % 1000);
}

}  // namespace bubblescope
