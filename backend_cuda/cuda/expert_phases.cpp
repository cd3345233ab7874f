#include "backend_cuda/cuda/expert_phases.h"

#include <algorithm>

namespace bubblescope::gpu {
namespace {

bool sends(const PhaseRun& run) {
  return std::any_of(run.spans.begin(), run.spans.end(),
                     [](const PhaseSpan& span) { return span.sent > 0; });
}

}  // namespace

ExpertPhases::ExpertPhases(const Plan& plan, Rank rank, const Layout& layout, Wire& wire)
    : layout_(layout), wire_(wire), expert_(make_urgent_stream()) {
  std::size_t most = 0;
  for (const Action& action : plan.schedule().order(rank)) {
    if (has(action))
      continue;
    PhaseRun run = plan.costs->phases(action);
    if (!sends(run))
      continue;
    most = std::max(most, run.spans.size());
    runs_.emplace(key(action), std::move(run));
  }
  for (std::size_t i = 0; i <= most; ++i)
    events_.push_back(make_event());
}

ExpertPhases::Key ExpertPhases::key(const Action& action) {
  const auto of = [](const Op& op) { return static_cast<std::uint32_t>(op.stage_and_kind()) + 1; };
  return {of(action.op()), action.is_pair() ? of(action.overlapped()) : 0};
}

std::size_t ExpertPhases::operations(const Action& action) const {
  return 3 * runs_.at(key(action)).spans.size() + 4;
}

void ExpertPhases::enqueue(const Action& action, cudaStream_t stream) {
  const std::vector<PhaseSpan>& spans = runs_.at(key(action)).spans;
  const auto stream_of = [&](const PhaseSpan& span) {
    return span.stream == PhaseStream::Expert ? expert_.get() : stream;
  };
  const cudaEvent_t edge = events_.back().get();
  BUBBLESCOPE_CHECK(cudaEventRecord(edge, stream));
  BUBBLESCOPE_CHECK(cudaStreamWaitEvent(expert_.get(), edge));
  for (std::size_t i = 0; i < spans.size(); ++i) {
    const PhaseSpan& span = spans[i];
    if (span.after != PhaseSpan::kNone && stream_of(spans[span.after]) != stream_of(span))
      BUBBLESCOPE_CHECK(cudaStreamWaitEvent(stream_of(span), events_[span.after].get()));
    if (span.sent > 0)
      wire_.enqueue_all_to_all(span.sent, expert_.get());
    else
      BUBBLESCOPE_CHECK(launch_timed_action({.stamp = ignored_.data(),
                                             .nanoseconds = layout_.ticks_of(span.end - span.start),
                                             .stop = layout_.stop,
                                             .wrong = nullptr,
                                             .inputs = {},
                                             .outputs = {}},
                                            stream_of(span)));
    BUBBLESCOPE_CHECK(cudaEventRecord(events_[i].get(), stream_of(span)));
  }
  BUBBLESCOPE_CHECK(cudaEventRecord(edge, expert_.get()));
  BUBBLESCOPE_CHECK(cudaStreamWaitEvent(stream, edge));
}

}  // namespace bubblescope::gpu
