// The test double's streams, events and graphs.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "tests/cuda_double/cuda_double.h"

namespace bubblescope::cuda_double {
namespace {

/// Whether something in a stream has ended.
using Done = std::shared_ptr<std::atomic<bool>>;
Done make_done() {
  return std::make_shared<std::atomic<bool>>(false);
}

struct Operation {
  std::function<void()> body;  ///< May be empty.
  std::vector<Done> after;     ///< Beside what stands before it in its queue.
  Done done;
};

thread_local int captures = 0;  // that this thread has begun and not ended

/// A thread that works off a queue, in which there is no more room than in a GPU's.
class Worker {
 public:
  Worker() : thread_([this] { run(); }) {}
  ~Worker() {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void push(Operation operation, std::size_t room = 1024) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return queue_.size() < room; });
    queue_.push_back(std::move(operation));
    changed_.notify_all();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (true) {
      changed_.wait(lock, [&] { return !queue_.empty() || ends_; });
      if (queue_.empty())
        return;
      Operation& operation = queue_.front();  // a deque's elements stay where they are
      lock.unlock();
      for (const Done& done : operation.after)
        done->wait(false);
      if (operation.body && !is_broken())
        operation.body();
      *operation.done = true;
      operation.done->notify_all();
      lock.lock();
      queue_.pop_front();
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Operation> queue_;
  bool ends_ = false;
  std::thread thread_;
};

/// What was captured, in the order of the calls.
struct Node {
  CUstream_st* stream;
  std::function<void()> body;
  std::vector<std::size_t> after;
};
using Nodes = std::vector<Node>;

}  // namespace
}  // namespace bubblescope::cuda_double

namespace cd = bubblescope::cuda_double;

struct CUgraph_st {
  cd::Nodes nodes;
};

struct CUevent_st {
  int gpu;
  CUgreenCtx partition = nullptr;
  cd::Done done = nullptr;            // of its last record; none: nothing to wait for
  CUgraph_st* captured_by = nullptr;  // if that was captured
  std::size_t node = 0;
};

struct CUstream_st {
  int gpu;
  CUgreenCtx partition = nullptr;
  std::vector<cd::Done> after = {};  // of the next operation
  cd::Done last = nullptr;
  CUgraph_st* capture = nullptr;
  std::vector<std::size_t> capture_after = {};
  bool began_capture = false;
  cd::Worker worker = {};
};

struct CUgraphExec_st {
  cd::Nodes nodes;
  std::map<CUstream_st*, std::unique_ptr<cd::Worker>> workers = {};  // one a captured stream
};

namespace bubblescope::cuda_double {
namespace {

/// Adds to the stream, or to the graph that captures it.
void add(CUstream_st& stream, std::function<void()> body) {
  if (stream.capture != nullptr) {
    Nodes& nodes = stream.capture->nodes;
    nodes.push_back({&stream, std::move(body), std::move(stream.capture_after)});
    stream.capture_after = {nodes.size() - 1};
    return;
  }
  Operation operation{std::move(body), std::move(stream.after), make_done()};
  stream.after = {};
  stream.last = operation.done;
  stream.worker.push(std::move(operation));
}

/// Whether all nodes come before what the stream would do next, as the end of a capture asks.
bool are_joined(const CUstream_st& stream) {
  const Nodes& nodes = stream.capture->nodes;
  std::vector<bool> is_before(nodes.size());
  for (const std::size_t node : stream.capture_after)
    is_before[node] = true;
  for (std::size_t node = nodes.size(); node-- > 0;)
    if (is_before[node])
      for (const std::size_t before : nodes[node].after)
        is_before[before] = true;
  return std::all_of(is_before.begin(), is_before.end(), [](bool each) { return each; });
}

void replay(CUgraphExec_st& graph, CUstream_st& stream) {
  add(stream, {});
  std::vector<Done> done;
  for (const Node& node : graph.nodes) {
    std::vector<Done> after = {stream.last};
    for (const std::size_t before : node.after)
      after.push_back(done[before]);
    done.push_back(make_done());
    graph.workers.at(node.stream)
        ->push({node.body, std::move(after), done.back()}, ~std::size_t{0});
  }
  stream.after = std::move(done);
  add(stream, {});
}

template <class T>
cudaError_t destroy(T* thing) {
  delete thing;
  count_things(-1);
  return state();
}

}  // namespace

cudaError_t may_make() {
  return captures > 0 ? cudaErrorStreamCaptureUnsupported : state();
}

cudaStream_t make_stream(int gpu, CUgreenCtx partition) {
  count_things(1);
  return new CUstream_st{.gpu = gpu, .partition = partition};
}

std::uint64_t timer(cudaStream_t stream) {
  using std::chrono::nanoseconds;
  const nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
  const nanoseconds gained(std::llround(static_cast<double>(now.count()) * machine().clock_drift));
  return static_cast<std::uint64_t>(
      (now + gained + machine().clock_ahead + std::chrono::seconds(stream->gpu)).count());
}

cudaError_t launch(cudaStream_t stream, std::function<void()> kernel, const char* caller) {
  if (stream->gpu != current_gpu())
    return cudaErrorInvalidResourceHandle;
  if (stream->partition != nullptr)
    note_kernel(stream->partition, caller);
  if (const auto takes = machine().launch_takes; takes.count() > 0)
    std::this_thread::sleep_for(takes);
  add(*stream, std::move(kernel));
  return state();
}

}  // namespace bubblescope::cuda_double

using namespace bubblescope::cuda_double;

extern "C" {

cudaError_t cudaMemcpyPeerAsync(void* to, int /*to_gpu*/, const void* from, int /*from_gpu*/,
                                std::size_t bytes, cudaStream_t stream) {
  add(*stream, [=] { std::memcpy(to, from, bytes); });
  return state();
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind /*kind*/,
                            cudaStream_t stream) {
  add(*stream, [=] { std::memcpy(to, from, bytes); });
  return state();
}

cudaError_t cudaMemsetAsync(void* memory, int byte, std::size_t bytes, cudaStream_t stream) {
  add(*stream, [=] { std::memset(memory, byte, bytes); });
  return state();
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int /*flags*/) {
  if (const cudaError_t refused = may_make(); refused != cudaSuccess)
    return refused;
  *stream = make_stream(current_gpu(), nullptr);
  return state();
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return state();
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int flags,
                                         int /*priority*/) {
  return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  return destroy(stream);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (stream == cudaStreamLegacy)
    return state();
  if (stream->capture != nullptr)
    return cudaErrorStreamCaptureUnsupported;
  if (stream->last)
    stream->last->wait(false);
  return state();
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  if (stream->capture != nullptr)
    return cudaErrorStreamCaptureUnsupported;
  const auto is_over = [](const cd::Done& done) { return !done || *done; };
  if (state() != cudaSuccess ||
      (is_over(stream->last) && std::all_of(stream->after.begin(), stream->after.end(), is_over)))
    return state();
  return cudaErrorNotReady;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned int /*flags*/) {
  if (event->captured_by != nullptr) {
    stream->capture = event->captured_by;
    stream->capture_after.push_back(event->node);
  } else if (stream->capture != nullptr) {
    return cudaErrorStreamCaptureIsolation;
  } else if (event->done) {
    stream->after.push_back(event->done);
  }
  return state();
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  stream->capture = new CUgraph_st;
  stream->began_capture = true;
  ++captures;
  count_things(1);
  return state();
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (!stream->began_capture)
    return cudaErrorStreamCaptureUnmatched;
  --captures;
  const bool joined = are_joined(*stream);
  *graph = stream->capture;
  for (const Node& node : (*graph)->nodes) {
    node.stream->capture = nullptr;
    node.stream->capture_after.clear();
  }
  stream->capture = nullptr;
  stream->began_capture = false;
  return joined ? state() : cudaErrorStreamCaptureUnjoined;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  *status =
      stream->capture != nullptr ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return state();
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return destroy(graph);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* ready, cudaGraph_t graph,
                                 unsigned long long /*flags*/) {
  *ready = new CUgraphExec_st{.nodes = graph->nodes};
  for (const Node& node : graph->nodes)
    if (!(*ready)->workers.contains(node.stream))
      (*ready)->workers[node.stream] = std::make_unique<Worker>();
  count_things(1);
  return state();
}

cudaError_t cudaGraphUpload(cudaGraphExec_t /*graph*/, cudaStream_t /*stream*/) {
  return state();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  replay(*graph, *stream);
  return state();
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  return destroy(graph);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int /*flags*/) {
  if (const cudaError_t refused = may_make(); refused != cudaSuccess)
    return refused;
  *event = new CUevent_st{.gpu = current_gpu(), .partition = current_partition()};
  count_things(1);
  return state();
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return destroy(event);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (event->gpu != stream->gpu || event->partition != stream->partition)
    return cudaErrorInvalidResourceHandle;
  add(*stream, {});
  event->captured_by = stream->capture;
  if (stream->capture != nullptr)
    event->node = stream->capture->nodes.size() - 1;
  else
    event->done = stream->last;
  return state();
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  if (event->captured_by != nullptr)
    return cudaErrorCapturedEvent;
  if (state() != cudaSuccess || !event->done || *event->done)
    return state();
  return cudaErrorNotReady;
}

}  // extern "C"
