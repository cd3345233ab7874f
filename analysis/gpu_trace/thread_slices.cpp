#include "analysis/gpu_trace/thread_slices.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <string_view>
#include <tuple>

#include <fmt/format.h>

#include "analysis/gpu_trace/trace_text.h"

namespace bubblescope {
namespace {

/// What a thread of a trace means for its rank.
struct Role {
  bool counts = false;
  std::optional<KernelClass> kernel_class = {};
  std::string stream = {};
};

/// One rank a process of a thread that counts, with its slices by start.
std::vector<RankTrace> ranks_of(const std::string& path, const ThreadSlices& slices,
                                const std::vector<Role>& roles, KernelNames* names) {
  constexpr std::uint32_t kNone = ~std::uint32_t{0};
  const auto& threads = slices.threads;
  std::vector<std::uint32_t> order;
  for (std::uint32_t thread = 0; thread < threads.size(); ++thread)
    if (roles[thread].counts)
      order.push_back(thread);
  std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
    return std::tuple(order_of(threads[a].process), order_of(threads[a].id)) <
           std::tuple(order_of(threads[b].process), order_of(threads[b].id));
  });
  struct Place {
    std::uint32_t rank = kNone, stream = 0;
  };
  std::vector<Place> places(threads.size());
  std::vector<RankTrace> ranks;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const ThreadSlices::Thread& thread = threads[order[i]];
    if (i == 0 || thread.process != threads[order[i - 1]].process)
      ranks.push_back({.rank = order_of(thread.process).first,
                       .place = fmt::format("{}, process {}", path, thread.process)});
    places[order[i]] = {static_cast<std::uint32_t>(ranks.size() - 1),
                        static_cast<std::uint32_t>(ranks.back().streams.size())};
    ranks.back().streams.push_back(roles[order[i]].stream);
  }
  for (const ThreadSlices::Slice& slice : slices.slices) {
    const Place place = places[slice.thread];
    if (place.rank == kNone)
      continue;
    const auto known = roles[slice.thread].kernel_class;
    // Looked up by a copy: the table's own text may move when it grows.
    const KernelNames::Id name =
        known ? names->add(std::string(names->text(slice.name)), known) : slice.name;
    ranks[place.rank].events.push_back(
        {.start = slice.start, .end = slice.end, .name = name, .stream = place.stream});
  }
  std::erase_if(ranks, [](const RankTrace& rank) { return rank.events.empty(); });
  for (RankTrace& rank : ranks)
    std::stable_sort(rank.events.begin(), rank.events.end(),
                     [](const GpuEvent& a, const GpuEvent& b) { return a.start < b.start; });
  return ranks;
}

/// Messages stand at their receivers; here at their senders too, who are in the names of threads:
/// "activations from rank 3".
ThreadSlices with_senders(const ThreadSlices& received) {
  constexpr std::string_view kFrom = " from rank ";
  constexpr std::uint32_t kNone = ~std::uint32_t{0};
  ThreadSlices all = received;
  std::vector<std::uint32_t> sent(received.threads.size(), kNone);
  for (std::size_t i = 0; i < received.threads.size(); ++i) {
    const ThreadSlices::Thread& thread = received.threads[i];
    const std::size_t at = thread.name.find(kFrom);
    if (at == std::string::npos)
      continue;
    sent[i] = static_cast<std::uint32_t>(all.threads.size());
    all.threads.push_back(
        {.process = thread.name.substr(at + kFrom.size()),
         .id = fmt::format("{} to {}", thread.id, thread.process),
         .name = fmt::format("{} to rank {}", thread.name.substr(0, at), thread.process)});
  }
  for (ThreadSlices::Slice slice : received.slices)
    if (const std::uint32_t thread = sent[slice.thread]; thread != kNone) {
      slice.thread = thread;
      all.slices.push_back(slice);
    }
  return all;
}

}  // namespace

std::vector<RankTrace> ranks_of_ours(const std::string& path, const ThreadSlices& received,
                                     KernelNames& names) {
  const ThreadSlices slices = with_senders(received);
  const bool is_measured =
      std::any_of(slices.threads.begin(), slices.threads.end(),
                  [](const auto& thread) { return thread.name == "actions, measured"; });
  std::vector<Role> roles;
  for (const ThreadSlices::Thread& thread : slices.threads) {
    Role& role = roles.emplace_back();
    role.stream = thread.name;
    if (thread.name == (is_measured ? "actions, measured" : "actions"))
      role.kernel_class = KernelClass::Compute;
    else if (thread.name.starts_with("activations ") || thread.name.starts_with("gradients "))
      role.kernel_class = KernelClass::Communication;
    role.counts = role.kernel_class.has_value();
  }
  return ranks_of(path, slices, roles, &names);
}

std::vector<RankTrace> ranks_of_threads(const std::string& path, const ThreadSlices& slices) {
  std::vector<Role> roles(slices.threads.size());
  for (const ThreadSlices::Slice& slice : slices.slices)
    roles[slice.thread].counts = true;
  for (std::size_t i = 0; i < roles.size(); ++i)
    roles[i].stream = fmt::format("thread {}", slices.threads[i].id);
  std::vector<RankTrace> ranks = ranks_of(path, slices, roles, nullptr);
  const bool are_numbers = std::all_of(ranks.begin(), ranks.end(), [](const RankTrace& rank) {
    return rank.rank >= 0 && rank.rank < std::numeric_limits<std::int32_t>::max();
  });
  if (ranks.size() == 1 || !are_numbers)
    for (RankTrace& rank : ranks)
      rank.rank = RankTrace::kUnknownRank;
  return ranks;
}

}  // namespace bubblescope
