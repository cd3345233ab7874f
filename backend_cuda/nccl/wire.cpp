#include "backend_cuda/nccl/wire.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <future>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/process_name.h"
#include "backend_cuda/cuda/handles.h"
#include "backend_cuda/cuda/tensor_kernels.h"
#include "backend_cuda/nccl/communicator.h"
#include "backend_cuda/nccl/groups.h"

namespace bubblescope::gpu {
namespace {

using Byte = unsigned char;

constexpr std::chrono::seconds kAbortPatience{3};

/// How much goes to each, where so many processes send `bytes` to all others together.
std::size_t part_of(Bytes bytes, std::size_t processes) {
  return (static_cast<std::size_t>(bytes) + processes - 2) / (processes - 1);
}

class NcclWire : public Wire {
 public:
  NcclWire(std::shared_ptr<const Nccl> nccl, const Plan& plan, const Layout& layout,
           const Work& work, Control& control, const WireOptions& options)
      : library_(std::move(nccl)),
        nccl_(*library_),
        plan_(plan),
        work_(work),
        control_(control),
        options_(options),
        groups_(plan, options.place, !work.gradients().empty()) {
    const int gpu = layout.gpu_of_rank[static_cast<std::size_t>(options.place.rank)];
    BUBBLESCOPE_CHECK(cudaSetDevice(gpu));
    BUBBLESCOPE_CHECK(load_tensor_kernels());  // the stamps
    make_communicators();
    make_staging();
    make_room_for_experts();
    connect();
  }

  std::size_t channels() const override { return groups_.channels(); }
  std::size_t channel(const TransferEnd& transfer) const override {
    const PlanMessage& message = plan_.messages[transfer.message];
    return groups_.channel(message.from, message.to);
  }
  std::size_t operations(std::span<const TransferEnd> transfers) const override {
    return 1 + transfers.size();
  }
  void enqueue(std::span<const TransferEnd> transfers, cudaStream_t stream) override;
  bool has_all_to_all() const override { return groups_.group_of_experts() != Groups::kNone; }
  void enqueue_all_to_all(Bytes bytes, cudaStream_t stream) override;
  void enqueue_reduction(cudaStream_t stream) override;
  MachineFacts facts() const override;
  void check() override;
  void abort() noexcept override;

 private:
  int process() const { return options_.place.process_of(options_.place.rank); }
  Communicator& of_channel(std::size_t channel) const {
    return *communicators_[groups_.group_of_channel(channel)];
  }
  /// A process by its number in a group.
  int index_in(std::size_t group, int process) const {
    const std::vector<int>& all = groups_.all()[group].processes;
    return static_cast<int>(std::find(all.begin(), all.end(), process) - all.begin());
  }
  std::vector<ncclUniqueId> share_ids() const;
  void keep_waiting() const;
  void begin_to_connect(const Group& group);
  void make_communicators();
  void make_staging();
  void make_room_for_experts();
  void connect();
  void wait_for_hello(cudaEvent_t hello);
  void enqueue_hello(std::size_t group, float* scratch, cudaStream_t stream);
  Payload place_of(const TransferEnd& transfer, std::size_t position) const;

  const std::shared_ptr<const Nccl> library_;
  const Nccl& nccl_;
  const Plan& plan_;
  const Work& work_;
  Control& control_;
  WireOptions options_;
  Groups groups_;
  const Group* connecting_ = nullptr;  // until all are
  std::chrono::steady_clock::time_point connecting_since_ = {};
  std::vector<std::shared_ptr<Communicator>> communicators_;  // [group] that this process is in
  std::vector<std::vector<DeviceBuffer<Byte>>> staging_;      // [channel][place in a batch]
  std::optional<DeviceBuffer<Byte>> to_experts_;              // a part for each process
  std::optional<DeviceBuffer<Byte>> from_experts_;
};

/// The first process of a group makes its id; all learn all.
std::vector<ncclUniqueId> NcclWire::share_ids() const {
  std::string mine;
  for (const Group& group : groups_.all()) {
    if (group.processes.front() != process())
      continue;
    ncclUniqueId id;
    nccl_.check(nccl_.get_unique_id(&id), "ncclGetUniqueId");
    mine.append(id.internal, sizeof id.internal);
  }
  const std::vector<std::string> all = control_.all_gather(mine);
  std::vector<std::size_t> taken(all.size());
  std::vector<ncclUniqueId> ids;
  for (const Group& group : groups_.all()) {
    const auto maker = static_cast<std::size_t>(group.processes.front());
    ncclUniqueId id;
    if (all[maker].size() < taken[maker] + sizeof id.internal)
      throw DeviceError(fmt::format("rank {} has another plan than rank {}", maker, process()));
    std::memcpy(id.internal, all[maker].data() + taken[maker], sizeof id.internal);
    taken[maker] += sizeof id.internal;
    ids.push_back(id);
  }
  return ids;
}

void NcclWire::keep_waiting() const {
  if (const auto loss = control_.loss())
    throw PeerLost(*loss);
  if (connecting_ != nullptr &&
      std::chrono::steady_clock::now() - connecting_since_ >= control_.patience())
    throw DeviceError(
        fmt::format("NCCL: {}: not connected within {}, though all processes live: does a firewall "
                    "stand between them, does NCCL_SOCKET_IFNAME name another network? "
                    "NCCL_DEBUG=INFO says more",
                    connecting_->name, seconds_text(control_.patience())));
}

void NcclWire::begin_to_connect(const Group& group) {
  connecting_ = &group;
  connecting_since_ = std::chrono::steady_clock::now();
}

void NcclWire::make_communicators() {
  const std::vector<ncclUniqueId> ids = share_ids();
  communicators_.resize(ids.size());
  for (const std::size_t group : groups_.in_rounds()) {
    const Group& each = groups_.all()[group];
    if (!each.has(process()))
      continue;
    begin_to_connect(each);
    communicators_[group] = std::make_shared<Communicator>(
        nccl_,
        CommunicatorOptions{.name = each.name,
                            .id = ids[group],
                            .processes = static_cast<int>(each.processes.size()),
                            .index = index_in(group, process()),
                            .max_ctas = options_.max_ctas},
        [this] { keep_waiting(); });
  }
}

/// Where a message is longer than what it carries, it moves between such buffers.
void NcclWire::make_staging() {
  staging_.resize(channels());
  std::vector<std::vector<std::size_t>> bytes(channels());  // [channel][place in a batch]
  for (InstructionId id = 0; id < plan_.instructions.size(); ++id) {
    if (plan_.is_action(id) || plan_.rank_of(id) != options_.place.rank)
      continue;
    const auto transfers = plan_.transfers_of(id);
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      const std::size_t position = plan_.is_eager ? 0 : i;  // eager ones move each for itself
      std::vector<std::size_t>& places = bytes[channel(transfers[i])];
      places.resize(std::max(places.size(), position + 1));
      const auto wanted = static_cast<std::size_t>(plan_.messages[transfers[i].message].bytes);
      if (wanted > work_.payload(transfers[i]).bytes)
        places[position] = std::max(places[position], wanted);
    }
  }
  for (std::size_t i = 0; i < bytes.size(); ++i)
    for (const std::size_t each : bytes[i])
      staging_[i].emplace_back(std::max<std::size_t>(each, 1), "messages");
}

void NcclWire::make_room_for_experts() {
  if (!has_all_to_all())
    return;
  const std::size_t processes = groups_.all()[groups_.group_of_experts()].processes.size();
  const std::size_t room = processes * part_of(plan_.costs->most_sent_among_experts(), processes);
  to_experts_.emplace(room, "what experts send");
  from_experts_.emplace(room, "what experts receive");
  BUBBLESCOPE_CHECK(cudaMemset(to_experts_->data(), 0, room));
}

/// A byte to and from those with whom this rank has messages in the group, or an all-to-all: NCCL
/// connects by it.
void NcclWire::enqueue_hello(std::size_t group, float* scratch, cudaStream_t stream) {
  if (groups_.all()[group].use == Group::Use::Experts)
    return enqueue_all_to_all(plan_.costs->most_sent_among_experts(), stream);
  std::set<int> peers;
  for (const PlanMessage& message : plan_.messages)
    for (const auto& [here, there] :
         {std::pair(message.from, message.to), {message.to, message.from}})
      if (here == options_.place.rank &&
          groups_.group_of_channel(groups_.channel(message.from, message.to)) == group)
        peers.insert(index_in(group, options_.place.process_of(there)));
  communicators_[group]->group([&](ncclComm_t communicator) {
    for (const int peer : peers) {
      nccl_.check(nccl_.send(scratch, 1, ncclInt8, peer, communicator, stream), "ncclSend");
      nccl_.check(nccl_.receive(scratch + 1, 1, ncclInt8, peer, communicator, stream), "ncclRecv");
    }
  });
}

/// Each communicator is used as it will be, for the ways that NCCL takes depend on the use. Sums of
/// gradients come last; a step begins with gradients of zero.
void NcclWire::connect() {
  const DeviceBuffer<float> scratch(2, "a first message");
  const Stream stream = make_stream();
  try {
    std::vector<std::pair<const Group*, Event>> hellos;
    const auto note = [&] {
      hellos.emplace_back(connecting_, make_event());
      BUBBLESCOPE_CHECK(cudaEventRecord(hellos.back().second.get(), stream.get()));
    };
    for (const std::size_t group : groups_.in_rounds()) {
      if (!communicators_[group] || groups_.all()[group].use == Group::Use::Gradients)
        continue;
      begin_to_connect(groups_.all()[group]);
      enqueue_hello(group, scratch.data(), stream.get());
      note();
    }
    for (const StageGradients& each : work_.gradients())
      if (const std::size_t group = groups_.group_of_gradients(each.stage); group != Groups::kNone)
        begin_to_connect(groups_.all()[group]);
    enqueue_reduction(stream.get());
    if (connecting_ != nullptr)
      note();
    for (const auto& [group, hello] : hellos) {
      begin_to_connect(*group);
      wait_for_hello(hello.get());
    }
    connecting_ = nullptr;
  } catch (...) {
    abort();  // the stream is not destroyed before it is empty
    throw;
  }
}

void NcclWire::wait_for_hello(cudaEvent_t hello) {
  while (!BUBBLESCOPE_IS_DONE(cudaEventQuery(hello))) {
    check();
    keep_waiting();
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

/// What NCCL sends or receives; `position` is the transfer's in its batch.
Payload NcclWire::place_of(const TransferEnd& transfer, std::size_t position) const {
  const Payload payload = work_.payload(transfer);
  const auto bytes = static_cast<std::size_t>(plan_.messages[transfer.message].bytes);
  if (bytes <= payload.bytes)
    return payload;
  return {staging_[channel(transfer)][position].data(), bytes};
}

void NcclWire::enqueue(std::span<const TransferEnd> transfers, cudaStream_t stream) {
  const std::size_t channel_here = channel(transfers.front());
  const std::size_t group = groups_.group_of_channel(channel_here);
  const auto copy = [&](bool sends) {
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      const Payload payload = work_.payload(transfers[i]);
      const Payload place = place_of(transfers[i], i);
      if (transfers[i].is_send == sends && place.data != payload.data)
        BUBBLESCOPE_CHECK(cudaMemcpyAsync(sends ? place.data : payload.data,
                                          sends ? payload.data : place.data, payload.bytes,
                                          cudaMemcpyDeviceToDevice, stream));
    }
  };
  copy(true);
  of_channel(channel_here).group([&](ncclComm_t communicator) {
    for (std::size_t i = 0; i < transfers.size(); ++i) {
      const PlanMessage& message = plan_.messages[transfers[i].message];
      const Payload place = place_of(transfers[i], i);
      const Rank peer = transfers[i].is_send ? message.to : message.from;
      const int index = index_in(group, options_.place.process_of(peer));
      nccl_.check(
          transfers[i].is_send
              ? nccl_.send(place.data, place.bytes, ncclInt8, index, communicator, stream)
              : nccl_.receive(place.data, place.bytes, ncclInt8, index, communicator, stream),
          transfers[i].is_send ? "ncclSend" : "ncclRecv");
    }
  });
  copy(false);
}

void NcclWire::enqueue_all_to_all(Bytes bytes, cudaStream_t stream) {
  const std::size_t group = groups_.group_of_experts();
  const auto processes = static_cast<int>(groups_.all()[group].processes.size());
  const std::size_t part = part_of(bytes, static_cast<std::size_t>(processes));
  communicators_[group]->group([&](ncclComm_t communicator) {
    if (nccl_.all_to_all != nullptr)
      return nccl_.check(nccl_.all_to_all(to_experts_->data(), from_experts_->data(), part,
                                          ncclInt8, communicator, stream),
                         "ncclAlltoAll");
    for (int peer = 0; peer < processes; ++peer) {
      const std::size_t offset = static_cast<std::size_t>(peer) * part;
      nccl_.check(
          nccl_.send(to_experts_->data() + offset, part, ncclInt8, peer, communicator, stream),
          "ncclSend");
      nccl_.check(
          nccl_.receive(from_experts_->data() + offset, part, ncclInt8, peer, communicator, stream),
          "ncclRecv");
    }
  });
}

/// In the order of the weights, which two ranks that share some number alike, unlike their stages.
void NcclWire::enqueue_reduction(cudaStream_t stream) {
  const std::vector<std::int32_t>& weights = plan_.schedule().placement.weights_of_stage;
  std::vector<StageGradients> gradients = work_.gradients();
  std::stable_sort(gradients.begin(), gradients.end(), [&](const auto& a, const auto& b) {
    return weights[static_cast<std::size_t>(a.stage)] < weights[static_cast<std::size_t>(b.stage)];
  });
  for (const StageGradients& each : gradients) {
    const std::size_t group = groups_.group_of_gradients(each.stage);
    if (group == Groups::kNone)
      continue;
    communicators_[group]->group([&](ncclComm_t communicator) {
      nccl_.check(nccl_.all_reduce(each.values, each.values, each.count, ncclFloat32, ncclSum,
                                   communicator, stream),
                  "ncclAllReduce");
    });
  }
}

MachineFacts NcclWire::facts() const {
  const auto count = std::count_if(communicators_.begin(), communicators_.end(),
                                   [](const auto& each) { return each != nullptr; });
  return {
      {"NCCL", nccl_.version_text()},
      {"communicators",
       fmt::format("{} in rank {}, {}", count, options_.place.rank,
                   options_.max_ctas > 0 ? fmt::format("of at most {} CTAs each", options_.max_ctas)
                                         : std::string("of as many CTAs as NCCL chooses"))}};
}

void NcclWire::check() {
  for (const auto& communicator : communicators_)
    if (communicator)
      communicator->check();
}

/// All at once: ncclCommAbort waits for what its streams have begun, which may wait for another
/// communicator. One that does not return in time is left behind.
void NcclWire::abort() noexcept {
  const auto give_up = std::chrono::steady_clock::now() + kAbortPatience;
  std::vector<std::future<void>> ends;
  for (const auto& communicator : communicators_) {
    if (!communicator)
      continue;
    try {
      std::packaged_task<void()> task(
          [communicator, library = library_] { communicator->abort(); });
      ends.push_back(task.get_future());
      std::thread(std::move(task)).detach();
    } catch (const std::exception&) {  // no thread, or no memory for one
      communicator->abort();
    }
  }
  for (const std::future<void>& end : ends)
    end.wait_until(give_up);
}

}  // namespace

std::unique_ptr<Wire> make_nccl_wire(std::shared_ptr<const Nccl> nccl, const Plan& plan,
                                     const Layout& layout, const Work& work, Control& control,
                                     const WireOptions& options) {
  return std::make_unique<NcclWire>(std::move(nccl), plan, layout, work, control, options);
}

}  // namespace bubblescope::gpu
