#include "analysis/gpu_trace/trace_collector.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "analysis/gpu_trace/trace_text.h"
#include "analysis/gpu_trace/zero_times.h"
#include "analysis/traces/trace_events.h"
#include "sim/base/error.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

constexpr std::string_view kStep = "ProfilerStep#";
constexpr std::string_view kGpuRange = "gpu_user_annotation";
constexpr Time kMost{4'000'000'000'000'000'000};  // sums and differences of two fit
constexpr Time kNoTime = Time::min();

/// An impossible event: it is left out.
class BadEvent : public Error {
 public:
  using Error::Error;
};

/// Throws Error where the durations' sum is more than can be counted.
template <typename Events>
void require_countable(const std::string& path, const Events& events) {
  Time sum{};
  for (const auto& event : events) {
    if (event.end - event.start > kMost - sum)
      throw Error(fmt::format("{}: its durations sum to more than can be counted", path));
    sum += event.end - event.start;
  }
}

/// Profilers before 2021 wrote "Kernel" and "Memcpy".
std::string lower_case(std::string_view category) {
  std::string word(category);
  std::transform(word.begin(), word.end(), word.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  return word;
}

bool is_copy_or_fill(std::string_view word) {
  return word == "gpu_memcpy" || word == "gpu_memset" || word == "memcpy" || word == "memset";
}

/// Waits of the host for a stream or an event: written as the GPU's process, they launch nothing.
bool is_wait(std::string_view category) {
  return category == "cuda_sync" || category == "cuda_event";
}

/// Whether calls, waits and ranges of the host have this category, in lower case.
bool is_of_host(std::string_view word) {
  static constexpr std::string_view kHost[] = {"cpu_op",
                                               "operator",
                                               "runtime",
                                               "driver",
                                               "cuda_sync",
                                               "cuda_event",
                                               "python_function",
                                               "user_annotation",
                                               "overhead",
                                               "cpu_instant_event",
                                               "external_correlation"};
  return word.ends_with("_runtime") || word.ends_with("_driver") ||
         std::find(std::begin(kHost), std::end(kHost), word) != std::end(kHost);
}

bool is_range(const EventFields& event) {
  return event.category == kGpuRange || event.category == "user_annotation" ||
         event.name.starts_with(kStep);
}

bool has_stream(const EventFields& event) {
  return !event.args.stream.empty() && event.args.stream.front() != '-';
}

/// Whether a complete event is a kernel, a copy or a fill: what the host does may tell a stream
/// too.
bool is_gpu_work(const EventFields& event) {
  if (is_range(event))
    return false;
  const std::string word = lower_case(event.category);
  return word == "kernel" || is_copy_or_fill(word) || (has_stream(event) && !is_of_host(word));
}

std::uint64_t flow_key(const EventFields& event) {
  constexpr std::uint64_t kOdd = 0x9E3779B97F4A7C15;  // spreads what the other adds
  const std::hash<std::string_view> hash;
  return hash(event.category) * kOdd + hash(event.id);
}

}  // namespace

void TraceCollector::fail(std::string_view key, std::string_view what) const {
  throw BadEvent(fmt::format("/traceEvents/{}/{}: {}", events_ - 1, key, what));
}

void TraceCollector::count_record() {
  if (++records_ > kMostRecords)
    throw Error(fmt::format("{}: has more than {} events that count", path_, kMostRecords));
}

void TraceCollector::count_name(std::string_view name) {
  names_bytes_ += name.size();
  if (names_bytes_ > kMostOfNames)
    throw Error(fmt::format("{}: its names have more than {} MiB", path_, kMostOfNames >> 20));
}

std::string TraceCollector::text(const char* key, std::string_view raw) const {
  if (auto text = decoded(raw))
    return *std::move(text);
  fail(key, fmt::format("'{}' is no JSON string", printable_name(raw)));
}

Time TraceCollector::time(const char* key, std::string_view digits) const {
  if (digits.empty())
    fail(key, "is missing");
  try {
    return trace_time(digits);
  } catch (const Error& error) {
    fail(key, error.what());
  }
}

Span TraceCollector::span(const EventFields& event) const {
  const Time start = time("ts", event.start);
  return checked({start, start + time("dur", event.duration)}, "dur");
}

/// `key` is what is wrong if anything is.
Span TraceCollector::checked(Span span, const char* key) const {
  if (span.end < span.start)
    fail(key, "is below 0: time goes backwards");
  if (span.end > kMost || span.length() > kMost)
    fail(key, "leads past the end of time");
  return span;
}

KernelNames::Id TraceCollector::name_id(const EventFields& event) {
  std::optional<KernelClass> known;
  if (is_copy_or_fill(lower_case(event.category)))
    known = KernelClass::Memory;
  auto& ids = name_ids_[known ? static_cast<std::size_t>(*known) : kKernelClasses];
  if (const auto found = ids.find(event.name); found != ids.end())
    return found->second;
  count_name(event.name);
  const KernelNames::Id id = names_.add(text("name", event.name), known);
  ids.emplace(event.name, id);
  return id;
}

std::uint32_t TraceCollector::range_name_id(std::string_view raw) {
  if (const auto found = range_ids_.find(raw); found != range_ids_.end())
    return found->second;
  count_name(raw);
  gpu_.range_names.push_back(text("name", raw));
  const auto id = static_cast<std::uint32_t>(gpu_.range_names.size() - 1);
  range_ids_.emplace(raw, id);
  return id;
}

std::uint32_t TraceCollector::stream_id(const EventFields& event, std::string_view stream) {
  key_.assign(event.process).append("/").append(event.args.device).append("/").append(stream);
  if (const auto found = stream_ids_.find(key_); found != stream_ids_.end())
    return found->second;
  count_record();
  auto& streams = gpu_.streams;
  streams.push_back({.process = text("pid", event.process),
                     .device = text("args/device", event.args.device),
                     .name = text("args/stream", stream)});
  return stream_ids_.emplace(key_, static_cast<std::uint32_t>(streams.size() - 1)).first->second;
}

HostRecords& TraceCollector::host(const EventFields& event) {
  if (const auto found = host_ids_.find(event.process); found != host_ids_.end())
    return gpu_.hosts[found->second];
  count_record();
  gpu_.hosts.push_back({.process = text("pid", event.process)});
  host_ids_.emplace(event.process, static_cast<std::uint32_t>(gpu_.hosts.size() - 1));
  return gpu_.hosts.back();
}

std::uint32_t TraceCollector::thread_id(const EventFields& event) {
  key_.assign(event.process).append("/").append(event.thread);
  if (const auto found = thread_ids_.find(key_); found != thread_ids_.end())
    return found->second;
  count_record();
  auto& threads = threads_.threads;
  threads.push_back({.process = text("pid", event.process), .id = text("tid", event.thread)});
  return thread_ids_.emplace(key_, static_cast<std::uint32_t>(threads.size() - 1)).first->second;
}

void TraceCollector::add(const EventFields& event) {
  ++events_;
  try {
    if (event.phase.size() == 1)
      add_by_phase(event);
  } catch (const BadEvent& bad) {
    if (bad_events_++ == 0)
      first_bad_ = bad.what();
    if (first_bad_of_gpu_.empty() && event.phase == "X" && is_gpu_work(event))
      first_bad_of_gpu_ = bad.what();
  }
}

void TraceCollector::add_by_phase(const EventFields& event) {
  switch (event.phase.front()) {
    case 'X':
      return add_complete(event);
    case 's':
    case 'f':
      return add_flow(event);
    case 'B':
      return add_begin(event);
    case 'E':
      return add_end(event);
    case 'M':
      if (event.name == "thread_name" && !header_.is_kineto)
        threads_.threads[thread_id(event)].name = text("args/name", event.args.name);
      return;
    default:
      return;
  }
}

void TraceCollector::add_complete(const EventFields& event) {
  if (is_range(event))
    return add_range(event, event.category == kGpuRange);
  const auto correlation = whole_number(event.args.correlation);
  if (is_gpu_work(event)) {
    if (event.name.empty())
      fail("name", "is missing");
    count_record();
    const Span when = span(event);
    gpu_.events.push_back(
        {.start = when.start,
         .end = when.end,
         .launch = correlation ? Time(*correlation) : GpuEvent::kNoLaunch,
         .name = name_id(event),
         .stream = stream_id(event, has_stream(event) ? event.args.stream : event.thread)});
    if (!threads_.slices.empty())
      forget_threads();
    return;
  }
  if (correlation && !is_wait(event.category)) {
    count_record();
    const Time start = time("ts", event.start);
    host(event).launches.push_back({*correlation, start});
  }
  if (!counts_threads())
    return;
  count_record();
  const Span when = span(event);
  threads_.slices.push_back({when.start, when.end, name_id(event), thread_id(event)});
}

/// Where the GPU has events, those of threads do not count.
void TraceCollector::forget_threads() {
  threads_ = {};
  thread_ids_ = {};
  open_ = {};
}

void TraceCollector::add_begin(const EventFields& event) {
  if (!counts_threads())
    return;
  count_record();
  const std::uint32_t thread = thread_id(event);
  open_.resize(std::max<std::size_t>(open_.size(), thread + 1));
  open_[thread].push_back({kNoTime, kNoTime});  // an end is for it, though it may be left out
  const Time start = time("ts", event.start);
  open_[thread].back() = {start, start, name_id(event), thread};
}

/// Ends what began last on its thread.
void TraceCollector::add_end(const EventFields& event) {
  if (!counts_threads())
    return;
  const std::uint32_t thread = thread_id(event);
  if (thread >= open_.size() || open_[thread].empty()) {
    ++lonely_ends_;
    return;
  }
  ThreadSlices::Slice slice = open_[thread].back();
  open_[thread].pop_back();
  if (slice.start == kNoTime)
    return;
  slice.end = checked({slice.start, time("ts", event.start)}, "ts").end;
  threads_.slices.push_back(slice);
}

void TraceCollector::add_range(const EventFields& event, bool is_gpu) {
  count_record();
  const Span when = span(event);
  if (!is_gpu && event.name.starts_with(kStep))
    if (const auto number = whole_number(event.name.substr(kStep.size()))) {
      host(event).steps.push_back({*number, when.start, when.end});
      return;
    }
  const std::uint32_t name = range_name_id(event.name);
  if (!is_gpu)
    return host(event).ranges.push_back({when.start, when.end, name});
  const std::string_view stream = event.args.stream.empty() ? event.thread : event.args.stream;
  gpu_.ranges.push_back({when.start, when.end, name, stream_id(event, stream)});
}

void TraceCollector::add_flow(const EventFields& event) {
  count_record();
  (event.phase == "s" ? flows_.starts : flows_.ends).push_back({flow_key(event), events_ - 1});
}

void TraceCollector::note_overlaps(const std::vector<RankTrace>& ranks) {
  for (const RankTrace& rank : ranks)
    if (auto note = overlap_note(rank, names_))
      notes_.push_back(*std::move(note));
}

std::vector<RankTrace> TraceCollector::ranks_without_gpu() {
  if (header_.is_kineto)
    throw Error(fmt::format(
        "{}: has no events of a GPU (kernels, copies, fills): was the GPU profiled?", path_));
  std::vector<RankTrace> ranks;
  if (header_.is_ours)
    ranks = ranks_of_ours(path_, threads_, names_);
  if (!ranks.empty()) {
    note_overlaps(ranks);
    return ranks;
  }
  ranks = ranks_of_threads(path_, threads_);
  if (ranks.empty())
    throw Error(fmt::format("{}: {}", path_,
                            bad_events_ > 0
                                ? first_bad_
                                : "has no slices: events with \"ph\": \"X\" or \"B\" and \"E\""));
  notes_.push_back(fmt::format(
      "{}: has no events of a GPU (kernels, copies, fills): takes processes for ranks, threads "
      "for streams, and each slice of a thread for work",
      path_));
  std::size_t lonely = lonely_ends_;
  for (const auto& begun : open_)
    lonely += begun.size();
  if (lonely > 0)
    notes_.push_back(
        fmt::format("{}: leaves out {} \"B\" or \"E\" events without the other", path_, lonely));
  return ranks;
}

void TraceCollector::leave_out_zero_times() {
  auto& [events, ranges, streams, hosts, range_names] = gpu_;
  const bool has_gpu = !events.empty();
  if (!has_gpu && header_.is_ours)
    return;
  const ZeroTimes zero = has_gpu ? ZeroTimes(events) : ZeroTimes(threads_.slices);
  const auto is_missing = [&](const auto& each) {
    return zero.is_missing(each.start, each.end > each.start);
  };
  std::size_t count = std::erase_if(events, is_missing) +
                      std::erase_if(threads_.slices, is_missing) +
                      std::erase_if(ranges, is_missing);
  for (HostRecords& host : hosts) {
    count += std::erase_if(host.ranges, is_missing) + std::erase_if(host.steps, is_missing);
    count += std::erase_if(host.launches, [&](const HostRecords::Launch& launch) {
      return zero.is_missing(launch.start, true);
    });
  }
  if (count > 0)
    notes_.push_back(fmt::format(
        "{}: leaves out {} events at time 0, which stands for none: the others begin at {} µs",
        path_, count, TraceEvents::microseconds(zero.first_real_start())));
}

FileTraces TraceCollector::finish() {
  if (gpu_.events.empty() && !first_bad_of_gpu_.empty())
    throw Error(fmt::format("{}: {}", path_, first_bad_of_gpu_));
  if (bad_events_ > 0)
    notes_.push_back(fmt::format("{}: leaves out {} of {} events, the first {}", path_, bad_events_,
                                 events_, first_bad_));
  leave_out_zero_times();
  require_countable(path_, gpu_.events);
  require_countable(path_, threads_.slices);
  FileTraces traces;
  if (gpu_.events.empty()) {
    traces.ranks = ranks_without_gpu();
  } else {
    traces.ranks = gpu_ranks(path_, header_.rank, std::move(gpu_), notes_);
    note_overlaps(traces.ranks);
  }
  if (auto note = flow_note(path_, std::move(flows_)))
    notes_.push_back(*std::move(note));
  traces.notes = std::move(notes_);
  return traces;
}

}  // namespace bubblescope
