#include "analysis/traces/kineto_trace.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>

#include <nlohmann/json.hpp>

#include "analysis/traces/trace_events.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

constexpr int kComputeStream = 7;  // PyTorch's default stream, as its profiler numbers it
constexpr int kFirstCommStream = 20;
constexpr int kFirstHostProcess = 1000;

const char* kernel_name(const Action& action) {
  static constexpr const char* kNames[] = {"pipeline_forward", "pipeline_backward_input",
                                           "pipeline_backward_weight", "pipeline_backward"};
  return action.is_pair() ? "pipeline_forward_backward"
                          : kNames[static_cast<int>(action.op().kind())];
}

/// One rank's events.
class RankWriter {
 public:
  struct Subject {
    const DependencyGraph& graph;
    const Timeline& timeline;
    Span step;
    Rank rank;
  };
  RankWriter(const Subject& subject, const Sink& sink) : subject_(subject), events_(sink) {}

  void begin() {
    const Schedule& schedule = subject_.graph.schedule();
    const Rank rank = subject_.rank;
    // HolisticTraceAnalysis knows the rank by a pattern that has a blank before it.
    events_.emit(R"({{"schemaVersion": 1, "deviceProperties": [{{"id":{},"name":{}}}],)"
                 R"("distributedInfo": {{"backend": "nccl", "rank": {}, "world_size": {}}},)"
                 R"("displayTimeUnit":"ms","traceName":{},)"
                 "\n\"traceEvents\":[",
                 rank, dump_json(nlohmann::json(subject_.timeline.source)), rank,
                 schedule.placement.ranks, dump_json(nlohmann::json(schedule.name)));
    events_.event(R"("ph":"M","pid":{},"tid":0,"ts":0.000,"name":"process_name",)"
                  R"("args":{{"name":"rank {}, host"}})",
                  host(), rank);
    events_.event(R"("ph":"M","pid":{},"tid":0,"ts":0.000,"name":"process_name",)"
                  R"("args":{{"name":"rank {}, GPU"}})",
                  rank, rank);
    events_.event(R"("ph":"X","cat":"user_annotation","name":"ProfilerStep#0","pid":{0},"tid":{0},)"
                  R"("ts":0.000,"dur":{1},"args":{{}})",
                  host(), microseconds(subject_.step.length()));
  }

  void write_action(NodeId node) {
    const Action& action = subject_.graph.action(node);
    const Span& span = subject_.timeline.spans[node];
    const std::string word = to_string(action);
    events_.event(R"("ph":"X","cat":"gpu_user_annotation","name":"PP:{}","pid":{},"tid":{},)"
                  R"("ts":{},"dur":{},"args":{{}})",
                  word, subject_.rank, kComputeStream, stamp(span.start),
                  microseconds(span.length()));
    write_kernel(kernel_name(action), span, kComputeStream, fmt::format(R"("action":"{}")", word));
  }

  void write_message(NodeId node) {
    const MessageNode& message = subject_.graph.message(node);
    const bool is_sent = message.from == subject_.rank;
    const Rank peer = is_sent ? message.to : message.from;
    const Span& span = subject_.timeline.spans[node];
    write_kernel("ncclDevKernel_SendRecv", span,
                 stream_of({is_sent, peer, message.output.kind()}, span),
                 fmt::format(R"("output":"{}","{}":{})", to_string(message.output),
                             is_sent ? "to" : "from", peer));
  }

  void end() { events_.finish(); }

 private:
  using Link = std::tuple<bool, Rank, OpKind>;  // sent, peer, kind of output
  struct Lane {
    int stream;
    Time end;
  };

  int host() const { return kFirstHostProcess + subject_.rank; }
  static std::string microseconds(Time time) { return TraceEvents::microseconds(time); }
  std::string stamp(Time time) const { return microseconds(time - subject_.step.start); }

  /// A stream of the link on which nothing runs then. Those of one link seldom overlap.
  int stream_of(const Link& link, const Span& span) {
    std::vector<Lane>& lanes = lanes_[link];
    auto lane = std::find_if(lanes.begin(), lanes.end(),
                             [&](const Lane& each) { return each.end <= span.start; });
    if (lane == lanes.end())
      lane = lanes.insert(lane, {next_stream_++, Time{}});
    lane->end = span.end;
    return lane->stream;
  }

  /// With its launch.
  void write_kernel(std::string_view name, const Span& span, int stream, std::string_view args) {
    ++correlation_;
    const auto [launch, is_first] = last_start_.try_emplace(stream, subject_.step.start);
    events_.event(R"("ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","pid":{0},"tid":{0},)"
                  R"("ts":{1},"dur":0.000,"args":{{"cbid":211,"correlation":{2}}})",
                  host(), stamp(launch->second), correlation_);
    launch->second = span.start;
    events_.event(R"("ph":"X","cat":"kernel","name":"{}","pid":{},"tid":{},"ts":{},"dur":{},)"
                  R"("args":{{"device":{},"context":1,"stream":{},"correlation":{},{}}})",
                  name, subject_.rank, stream, stamp(span.start), microseconds(span.length()),
                  subject_.rank, stream, correlation_, args);
  }

  Subject subject_;
  TraceEvents events_;
  std::map<Link, std::vector<Lane>> lanes_;
  std::map<int, Time> last_start_;  // [stream]
  int next_stream_ = kFirstCommStream;
  std::uint32_t correlation_ = 0;
};

}  // namespace

KinetoTraces::KinetoTraces(const DependencyGraph& graph, const Timeline& timeline)
    : graph_(graph), timeline_(timeline), step_(kNoSpan) {
  actions_.resize(static_cast<std::size_t>(ranks()));
  messages_.resize(static_cast<std::size_t>(ranks()));
  for (NodeId node = 0; node < graph.size(); ++node) {
    const Span& span = timeline.spans[node];
    step_.include(span);
    if (!graph.is_message(node)) {
      actions_[static_cast<std::size_t>(graph.rank()[node])].push_back(node);
      continue;
    }
    messages_[static_cast<std::size_t>(graph.message(node).from)].push_back(node);
    messages_[static_cast<std::size_t>(graph.message(node).to)].push_back(node);
  }
  for (auto* lists : {&actions_, &messages_})
    for (std::vector<NodeId>& nodes : *lists)
      std::stable_sort(nodes.begin(), nodes.end(), [&](NodeId a, NodeId b) {
        return timeline.spans[a].start < timeline.spans[b].start;
      });
}

void KinetoTraces::write(Rank rank, const Sink& sink) const {
  RankWriter writer({graph_, timeline_, step_, rank}, sink);
  writer.begin();
  for (const NodeId node : actions_[static_cast<std::size_t>(rank)])
    writer.write_action(node);
  for (const NodeId node : messages_[static_cast<std::size_t>(rank)])
    writer.write_message(node);
  writer.end();
}

}  // namespace bubblescope
