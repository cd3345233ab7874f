// Makes the GPU's work of one or more ranks of a trace's events, which come one after another.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/gpu_trace/gpu_ranks.h"
#include "analysis/gpu_trace/gpu_trace.h"
#include "analysis/gpu_trace/kernel_names.h"
#include "analysis/gpu_trace/text_hash.h"
#include "analysis/gpu_trace/thread_slices.h"
#include "analysis/gpu_trace/trace_notes.h"
#include "sim/engine/timeline.h"

namespace bubblescope {

/// What counts of an event, as it is written, strings without their quotes; empty where absent.
struct EventFields {
  std::string_view phase = {}, category = {}, name = {}, process = {}, thread = {};
  std::string_view start = {}, duration = {}, id = {};
  struct {
    std::string_view stream = {}, device = {}, correlation = {}, name = {};
  } args = {};
};

/// What stands around the events.
struct TraceHeader {
  std::optional<std::int64_t> rank = {};  ///< distributedInfo.rank
  bool is_kineto = false;                 ///< Has schemaVersion or deviceProperties.
  bool is_ours = false;                   ///< Has otherData.schedule.
};

struct FileTraces {
  std::vector<RankTrace> ranks = {};    ///< Of kUnknownRank where the file does not tell.
  std::vector<std::string> notes = {};  ///< What was assumed, and what is odd.
};

/// Kernels, copies and fills are the GPU's, and slices with args.stream whose category is none of
/// the host's; ranks are as `gpu_ranks` has them. Where there are none, ranks are processes: in our
/// own traces their actions compute, and messages communicate; in others each slice of each thread
/// counts. An impossible event, with a time that is none or a duration below 0, is left out,
/// and a note tells the first; so are events at time 0 where that stands for none. Throws Error
/// where nothing is left, for durations that cannot be summed, and for more than `kMostRecords` of
/// anything.
class TraceCollector {
 public:
  static constexpr std::size_t kMostRecords = 100'000'000;
  static constexpr std::size_t kMostOfNames = std::size_t{256} << 20;  // bytes

  TraceCollector(const std::string& path, KernelNames& names) : path_(path), names_(names) {}

  void set_header(const TraceHeader& header) { header_ = header; }
  void add(const EventFields& event);
  FileTraces finish();

 private:
  [[noreturn]] void fail(std::string_view key, std::string_view what) const;
  void count_record();
  void count_name(std::string_view name);
  std::string text(const char* key, std::string_view raw) const;
  Time time(const char* key, std::string_view digits) const;
  Span span(const EventFields& event) const;
  Span checked(Span span, const char* key) const;
  KernelNames::Id name_id(const EventFields& event);
  std::uint32_t range_name_id(std::string_view raw);
  std::uint32_t stream_id(const EventFields& event, std::string_view stream);
  std::uint32_t thread_id(const EventFields& event);
  HostRecords& host(const EventFields& event);
  void add_by_phase(const EventFields& event);
  void add_complete(const EventFields& event);
  void forget_threads();
  void add_begin(const EventFields& event);
  void add_end(const EventFields& event);
  void add_range(const EventFields& event, bool is_gpu);
  void add_flow(const EventFields& event);

  void leave_out_zero_times();
  void note_overlaps(const std::vector<RankTrace>& ranks);
  std::vector<RankTrace> ranks_without_gpu();
  bool counts_threads() const { return !header_.is_kineto && gpu_.events.empty(); }

  const std::string& path_;
  KernelNames& names_;
  TraceHeader header_ = {};
  std::size_t events_ = 0;
  std::size_t records_ = 0;
  std::size_t names_bytes_ = 0;
  std::size_t bad_events_ = 0;
  std::string first_bad_ = {}, first_bad_of_gpu_ = {};
  std::vector<std::vector<ThreadSlices::Slice>> open_ = {};  // [thread] begun and not ended
  std::size_t lonely_ends_ = 0;
  GpuRecords gpu_ = {};
  ByText<std::uint32_t> stream_ids_ = {}, range_ids_ = {}, thread_ids_ = {}, host_ids_ = {};
  ByText<KernelNames::Id> name_ids_[kKernelClasses + 1] = {};  // by the text as it is written
  std::string key_ = {};
  FlowEnds flows_ = {};
  ThreadSlices threads_ = {};  // where there are no GPU events
  std::vector<std::string> notes_ = {};
};

}  // namespace bubblescope
