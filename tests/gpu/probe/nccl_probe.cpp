// What NCCL does with one rank, all that one GPU can show of it: a communicator is made, sends to
// itself, is aborted while work waits.
//
//     bubblescope_nccl_probe [-o FILE]
//
//     "self_messages": {…, "rows": [{"call": "ncclSend, ncclRecv", "bytes": 4096, "us": 21.5,
//                                    "right": true}, …]}
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/cuda/spin_kernels.h"
#include "backend_cuda/nccl/communicator.h"
#include "backend_cuda/replay/executor.h"
#include "tests/gpu/probe/report.h"

namespace bubblescope::gpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Byte = unsigned char;
using Milliseconds = std::chrono::duration<double, std::milli>;

constexpr std::size_t kSizes[] = {4096, 65'536, 1 << 20, 1 << 23, 1 << 26};
constexpr int kRepeats = 20;
/// NCCL, or a test double of it, has hung.
constexpr std::chrono::seconds kPatience{120};

/// One rank that is all there is.
std::unique_ptr<Communicator> make_communicator(const Nccl& nccl) {
  ncclUniqueId id;
  nccl.check(nccl.get_unique_id(&id), "ncclGetUniqueId");
  const auto give_up = steady_clock::now() + kPatience;
  return std::make_unique<Communicator>(
      nccl,
      CommunicatorOptions{.name = "one rank", .id = id, .processes = 1, .index = 0, .max_ctas = 0},
      [give_up] {
        if (steady_clock::now() > give_up)
          throw DeviceError("NCCL has not come to an end within " +
                            std::to_string(kPatience.count()) + " s");
      });
}

struct Buffers {
  DeviceBuffer<Byte> from{kSizes[4], "what is sent"};
  DeviceBuffer<Byte> to{kSizes[4], "what is received"};
};

/// A call that puts so many bytes from one buffer into the other.
struct Call {
  const char* name;
  std::function<void(std::size_t bytes, ncclComm_t communicator, cudaStream_t stream)> enqueue;
};

/// The library and the buffers have to outlive the calls.
std::vector<Call> calls(const Nccl& nccl, const Buffers& buffers) {
  Byte* const from = buffers.from.data();
  Byte* const to = buffers.to.data();
  std::vector<Call> all = {
      {"ncclSend, ncclRecv",
       [=, &nccl](auto bytes, auto communicator, auto stream) {
         nccl.check(nccl.send(from, bytes, ncclInt8, 0, communicator, stream), "ncclSend");
         nccl.check(nccl.receive(to, bytes, ncclInt8, 0, communicator, stream), "ncclRecv");
       }},
      {"ncclAllReduce", [=, &nccl](auto bytes, auto communicator, auto stream) {
         nccl.check(nccl.all_reduce(from, to, bytes / sizeof(float), ncclFloat32, ncclSum,
                                    communicator, stream),
                    "ncclAllReduce");
       }}};
  if (nccl.all_to_all != nullptr)
    all.push_back({"ncclAlltoAll", [=, &nccl](auto bytes, auto communicator, auto stream) {
                     nccl.check(nccl.all_to_all(from, to, bytes, ncclInt8, communicator, stream),
                                "ncclAlltoAll");
                   }});
  return all;
}

/// Whether all bytes have arrived, and none behind them was touched.
bool has_arrived(const Buffers& buffers, std::size_t bytes) {
  const std::vector<Byte> sent = buffers.from.download();
  const std::vector<Byte> received = buffers.to.download();
  const auto untouched = [](Byte byte) { return byte == 0; };
  return std::equal(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(bytes),
                    received.begin()) &&
         std::all_of(received.begin() + static_cast<std::ptrdiff_t>(bytes), received.end(),
                     untouched);
}

Table measure_messages(const Nccl& nccl, Communicator& communicator) {
  Table table{.name = "self_messages",
              .title = "messages to itself, by the host's clock over 20 in one stream"};
  Buffers buffers;
  buffers.from.fill(1);  // as a float not 0
  const Stream stream = make_stream();
  for (const Call& call : calls(nccl, buffers))
    for (const std::size_t bytes : kSizes) {
      buffers.to.fill(0);
      const auto run = [&] {
        communicator.group([&](ncclComm_t handle) { call.enqueue(bytes, handle, stream.get()); });
      };
      run();  // connects
      BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
      const auto begin = steady_clock::now();
      for (int i = 0; i < kRepeats; ++i)
        run();
      BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
      const Milliseconds took = steady_clock::now() - begin;
      table.rows.push_back({{"call", call.name},
                            {"bytes", bytes},
                            {"us", rounded(took.count() * 1e3 / kRepeats)},
                            {"right", has_arrived(buffers, bytes)}});
    }
  return table;
}

/// A message waits behind a kernel that does not end by itself.
Table measure_abort(const Nccl& nccl) {
  Table table{.name = "abort",
              .title = "ncclCommAbort while a message waits behind a kernel, ended after 1 s"};
  const Buffers buffers;
  const SharedBuffer<unsigned int> stop(1);
  const DeviceBuffer<Stamp> stamp(1);
  const Stream stream = make_stream();
  const auto communicator = make_communicator(nccl);
  BUBBLESCOPE_CHECK(launch_hang(stamp.data(), stop.on_device(), stream.get()));
  communicator->group([&](ncclComm_t handle) {
    calls(nccl, buffers).front().enqueue(kSizes[0], handle, stream.get());
  });
  const auto begin = steady_clock::now();
  const auto since_begin = [&] { return Milliseconds(steady_clock::now() - begin).count(); };
  std::future<double> aborted = std::async(std::launch::async, [&] {
    communicator->abort();
    return since_begin();
  });
  const bool at_once = aborted.wait_for(milliseconds(1000)) == std::future_status::ready;
  std::atomic_ref(stop[0]).store(1);
  table.rows.push_back({{"what", "the call has returned"}, {"ms", rounded(aborted.get())}});
  BUBBLESCOPE_CHECK(cudaStreamSynchronize(stream.get()));
  table.rows.push_back({{"what", "the stream is empty"}, {"ms", rounded(since_begin())}});
  table.notes = {at_once ? "the call does not wait for the kernel"
                         : "the call waits for the kernel"};
  return table;
}

void measure(Report& report) {
  cudaDeviceProp properties{};
  BUBBLESCOPE_CHECK(cudaGetDeviceProperties(&properties, 0));
  BUBBLESCOPE_CHECK(load_spin_kernels());
  const Nccl nccl;
  const auto begin = steady_clock::now();
  const auto communicator = make_communicator(nccl);
  const Milliseconds took = steady_clock::now() - begin;
  report.facts = {{"device", properties.name},
                  {"NCCL", nccl.version_text()},
                  {"communicator_made_in_ms", rounded(took.count())}};
  report.tables = {measure_messages(nccl, *communicator), measure_abort(nccl)};
  for (const ordered_json& row : report.tables.front().rows)
    report.is_good = report.is_good && row["right"];
}

}  // namespace
}  // namespace bubblescope::gpu

int main(int argc, char** argv) {
  return bubblescope::gpu::run_probe(argc, argv, bubblescope::gpu::measure);
}
