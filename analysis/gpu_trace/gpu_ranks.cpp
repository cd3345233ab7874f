#include "analysis/gpu_trace/gpu_ranks.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "analysis/gpu_trace/trace_text.h"
#include "sim/base/error.h"

namespace bubblescope {
namespace {

/// Where no device is told, it is the only one of the process, or else the process stands for it,
/// as in PyTorch's traces.
void complete_devices(std::vector<GpuStream>& streams) {
  std::map<std::string, std::set<std::string>> told;  // [process]
  for (const GpuStream& stream : streams)
    if (!stream.device.empty())
      told[stream.process].insert(stream.device);
  for (GpuStream& stream : streams)
    if (stream.device.empty()) {
      const auto& devices = told[stream.process];
      stream.device = devices.size() == 1 ? *devices.begin() : stream.process;
    }
}

/// Tells which GPU each stream that has events is of.
class Gpus {
 public:
  struct Gpu {
    std::string process, device;
    std::vector<std::string> streams;
  };
  struct Place {
    std::uint32_t gpu = 0, stream = 0;
  };

  explicit Gpus(GpuRecords& records) : places_(records.streams.size()) {
    complete_devices(records.streams);
    std::vector<bool> has_events(records.streams.size());
    for (const GpuEvent& event : records.events)
      has_events[event.stream] = true;
    using Key = std::pair<std::int64_t, std::string>;
    std::map<std::tuple<Key, Key, Key>, std::vector<std::uint32_t>> order;
    for (std::uint32_t i = 0; i < has_events.size(); ++i) {
      const auto& [process, device, name] = records.streams[i];
      order[{order_of(process), order_of(device), order_of(name)}].push_back(i);
    }
    for (const auto& [key, same] : order) {
      if (std::none_of(same.begin(), same.end(), [&](auto stream) { return has_events[stream]; }))
        continue;
      const auto& [process, device, name] = records.streams[same.front()];
      if (gpus_.empty() || gpus_.back().process != process || gpus_.back().device != device)
        gpus_.push_back({process, device, {}});
      gpus_.back().streams.push_back(name);
      for (const std::uint32_t stream : same)
        places_[stream] = Place{static_cast<std::uint32_t>(gpus_.size() - 1),
                                static_cast<std::uint32_t>(gpus_.back().streams.size() - 1)};
    }
  }

  const std::vector<Gpu>& all() const { return gpus_; }
  /// None for a stream without events.
  const std::optional<Place>& place(std::uint32_t stream) const { return places_[stream]; }
  /// Gives "device 1", with its process where others have the number too.
  std::string name(std::size_t gpu) const {
    const auto& [process, device, streams] = gpus_[gpu];
    const bool is_shared = std::count_if(gpus_.begin(), gpus_.end(), [&](const Gpu& other) {
                             return other.device == gpus_[gpu].device;
                           }) > 1;
    return is_shared ? fmt::format("process {}, device {}", process, device)
                     : fmt::format("device {}", device);
  }

 private:
  std::vector<Gpu> gpus_;
  std::vector<std::optional<Place>> places_;  // [stream]
};

/// Makes the ranks, without what hosts tell.
std::vector<RankTrace> split(GpuRecords& records, const Gpus& gpus) {
  std::vector<RankTrace> ranks(gpus.all().size());
  const auto names =
      std::make_shared<const std::vector<std::string>>(std::move(records.range_names));
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    ranks[i].device = gpus.all()[i].device;
    ranks[i].streams = gpus.all()[i].streams;
    ranks[i].range_names = names;
  }
  const bool is_one = ranks.size() == 1;
  for (GpuEvent& event : records.events) {
    const auto [gpu, stream] = *gpus.place(event.stream);
    event.stream = stream;
    if (!is_one)
      ranks[gpu].events.push_back(event);
  }
  if (is_one)
    ranks[0].events = std::move(records.events);
  records.events = {};
  for (TraceRange range : records.ranges)
    if (const auto& place = gpus.place(range.stream)) {
      range.stream = place->stream;
      ranks[place->gpu].ranges.push_back(range);
    }
  return ranks;
}

void add_host(RankTrace& rank, const HostRecords& host) {
  rank.ranges.insert(rank.ranges.end(), host.ranges.begin(), host.ranges.end());
  rank.steps.insert(rank.steps.end(), host.steps.begin(), host.steps.end());
}

/// Finds launches by correlation alone: one process made them, or one GPU ran what they launched.
void find_launches(std::vector<RankTrace>& ranks, std::vector<HostRecords>& hosts) {
  std::vector<HostRecords::Launch> launches;
  for (HostRecords& host : hosts) {
    if (launches.empty())
      launches = std::move(host.launches);
    else
      launches.insert(launches.end(), host.launches.begin(), host.launches.end());
    host.launches = {};
  }
  std::sort(launches.begin(), launches.end(), [](const auto& a, const auto& b) {
    return std::pair(a.correlation, a.start) < std::pair(b.correlation, b.start);
  });
  for (RankTrace& rank : ranks) {
    for (GpuEvent& event : rank.events) {
      if (event.launch == GpuEvent::kNoLaunch)
        continue;
      const auto found = std::lower_bound(
          launches.begin(), launches.end(), event.launch.count(),
          [](const auto& launch, std::int64_t wanted) { return launch.correlation < wanted; });
      const bool is_found = found != launches.end() && found->correlation == event.launch.count();
      event.launch = is_found ? found->start : GpuEvent::kNoLaunch;
    }
    for (const HostRecords& host : hosts)
      add_host(rank, host);
  }
}

/// "[TP00-PP01] " of "[TP00-PP01] 4037": mergers put a rank's name before its processes. Empty if
/// there is none.
std::string_view name_of(std::string_view process) {
  return process.substr(0, process.rfind(' ') + 1);
}

/// Holds what several hosts launched on several GPUs.
class HostLaunches {
 public:
  /// Sorts the hosts, so that those of one name lie together.
  explicit HostLaunches(std::vector<HostRecords>& hosts) : hosts_(hosts) {
    const auto key = [](const HostRecords& host) {
      return std::pair(name_of(host.process), std::string_view(host.process));
    };
    std::stable_sort(hosts.begin(), hosts.end(),
                     [&](const auto& a, const auto& b) { return key(a) < key(b); });
    for (std::uint32_t host = 0; host < hosts.size(); ++host)
      for (const auto& [correlation, start] : hosts[host].launches)
        all_.push_back({correlation, host, start});
    std::sort(all_.begin(), all_.end());
  }

  /// Gives the number of events that several hosts may have launched.
  std::size_t find(RankTrace& rank, const std::string& process) const {
    const Hosts own = hosts_of(process);
    const Hosts candidates = own.begin < own.end ? own : Hosts{0, count()};
    std::vector<bool> is_its(hosts_.size());
    std::fill(is_its.begin() + own.begin, is_its.begin() + own.end, true);
    std::size_t ambiguous = 0;
    for (GpuEvent& event : rank.events) {
      if (event.launch == GpuEvent::kNoLaunch)
        continue;
      const std::int64_t correlation = event.launch.count();
      event.launch = GpuEvent::kNoLaunch;
      const auto first = std::lower_bound(all_.begin(), all_.end(),
                                          Launch{correlation, candidates.begin, Time::min()});
      const auto end =
          std::lower_bound(first, all_.end(), Launch{correlation, candidates.end, Time::min()});
      if (first == end)
        continue;
      if (first->host != (end - 1)->host) {
        ++ambiguous;
        continue;
      }
      event.launch = first->start;
      is_its[first->host] = true;
    }
    for (std::uint32_t host = 0; host < hosts_.size(); ++host)
      if (is_its[host])
        add_host(rank, hosts_[host]);
    return ambiguous;
  }

 private:
  struct Launch {
    std::int64_t correlation;
    std::uint32_t host;
    Time start;
    bool operator<(const Launch& other) const {
      return std::tie(correlation, host, start) <
             std::tie(other.correlation, other.host, other.start);
    }
  };
  struct Hosts {
    std::uint32_t begin, end;
  };

  std::uint32_t count() const { return static_cast<std::uint32_t>(hosts_.size()); }
  template <typename IsOne>
  Hosts find_hosts(const IsOne& is_one) const {
    const auto first = std::find_if(hosts_.begin(), hosts_.end(), is_one);
    const auto end = std::find_if_not(first, hosts_.end(), is_one);
    return {static_cast<std::uint32_t>(first - hosts_.begin()),
            static_cast<std::uint32_t>(end - hosts_.begin())};
  }
  /// Finds the hosts with the process's id, or else those with its name.
  Hosts hosts_of(const std::string& process) const {
    const Hosts same = find_hosts([&](const auto& host) { return host.process == process; });
    const std::string_view name = name_of(process);
    return same.begin < same.end || name.empty()
               ? same
               : find_hosts([&](const auto& host) { return name_of(host.process) == name; });
  }

  const std::vector<HostRecords>& hosts_;
  std::vector<Launch> all_;
};

/// Keeps memory within bounds: hosts' ranges may be kept once a GPU.
void require_bounds(const std::string& path, const GpuRecords& records, std::size_t gpus) {
  constexpr std::size_t kMostGpus = 4096;
  constexpr std::size_t kMostCopies = 100'000'000;
  if (gpus > kMostGpus)
    throw Error(fmt::format("{}: has events of more than {} GPUs", path, kMostGpus));
  std::size_t copies = 0;
  for (const HostRecords& host : records.hosts)
    copies += host.ranges.size() + host.steps.size();
  if (copies > kMostCopies / gpus)
    throw Error(fmt::format("{}: {} GPUs times {} ranges are more than {}", path, gpus, copies,
                            kMostCopies));
}

/// Finds the GPU that has the rank that the file tells.
std::size_t gpu_of_rank(const std::vector<RankTrace>& ranks, std::int64_t told_rank) {
  const auto named = std::find_if(ranks.begin(), ranks.end(), [&](const RankTrace& rank) {
    return rank.device == std::to_string(told_rank);
  });
  if (named != ranks.end())
    return static_cast<std::size_t>(named - ranks.begin());
  const auto most = std::max_element(
      ranks.begin(), ranks.end(),
      [](const RankTrace& a, const RankTrace& b) { return a.events.size() < b.events.size(); });
  return static_cast<std::size_t>(most - ranks.begin());
}

}  // namespace

std::vector<RankTrace> gpu_ranks(const std::string& path, std::optional<std::int64_t> told_rank,
                                 GpuRecords records, std::vector<std::string>& notes) {
  const Gpus gpus(records);
  require_bounds(path, records, gpus.all().size());
  std::vector<RankTrace> ranks = split(records, gpus);
  if (ranks.size() == 1 || records.hosts.size() < 2) {
    find_launches(ranks, records.hosts);
  } else {
    const HostLaunches launches(records.hosts);
    std::size_t ambiguous = 0;
    for (std::size_t i = 0; i < ranks.size(); ++i)
      ambiguous += launches.find(ranks[i], gpus.all()[i].process);
    const auto launching = std::count_if(records.hosts.begin(), records.hosts.end(),
                                         [](const auto& host) { return !host.launches.empty(); });
    if (ambiguous > 0)
      notes.push_back(fmt::format(
          "{}: {} processes number their launches alike, so that those of {} events are unknown",
          path, launching, ambiguous));
  }
  const auto by_start = [](const auto& a, const auto& b) { return a.start < b.start; };
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    ranks[i].shares_file = ranks.size() > 1;
    ranks[i].place = ranks.size() > 1 ? fmt::format("{}, {}", path, gpus.name(i)) : path;
    std::stable_sort(ranks[i].events.begin(), ranks[i].events.end(), by_start);
    std::stable_sort(ranks[i].ranges.begin(), ranks[i].ranges.end(), by_start);
    std::stable_sort(ranks[i].steps.begin(), ranks[i].steps.end(), by_start);
  }
  if (told_rank)
    ranks[gpu_of_rank(ranks, *told_rank)].rank = *told_rank;
  return ranks;
}

}  // namespace bubblescope
