#include "tests/support/trace_checker.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <zlib.h>

namespace bubblescope {
namespace {

using nlohmann::json;
using Nanoseconds = std::int64_t;

/// Another name makes catapult refuse the whole file.
const std::set<std::string> kColours = {"thread_state_uninterruptible",
                                        "thread_state_iowait",
                                        "thread_state_running",
                                        "thread_state_runnable",
                                        "thread_state_sleeping",
                                        "thread_state_unknown",
                                        "background_memory_dump",
                                        "light_memory_dump",
                                        "detailed_memory_dump",
                                        "vsync_highlight_color",
                                        "generic_work",
                                        "good",
                                        "bad",
                                        "terrible",
                                        "black",
                                        "grey",
                                        "white",
                                        "yellow",
                                        "olive",
                                        "rail_response",
                                        "rail_animation",
                                        "rail_idle",
                                        "rail_load",
                                        "startup",
                                        "heap_dump_stack_frame",
                                        "heap_dump_object_type",
                                        "heap_dump_child_node_arrow",
                                        "cq_build_running",
                                        "cq_build_passed",
                                        "cq_build_failed",
                                        "cq_build_abandoned",
                                        "cq_build_attempt_runnig",
                                        "cq_build_attempt_passed",
                                        "cq_build_attempt_failed"};

struct Thread {
  int pid = 0;
  int tid = 0;  // 0: the process itself

  friend auto operator<=>(const Thread&, const Thread&) = default;
};

std::string words(Thread thread) {
  return fmt::format("pid {} tid {}", thread.pid, thread.tid);
}

struct Slice {
  Nanoseconds start;
  Nanoseconds end;

  friend auto operator<=>(const Slice&, const Slice&) = default;
};

struct FlowEnd {
  Thread thread;
  Nanoseconds time;
  std::string name;  // with its category
};

struct Flow {
  std::vector<FlowEnd> starts = {};
  std::vector<FlowEnd> ends = {};
};

struct Count {
  Nanoseconds time;
  std::int64_t live;
};

class TraceChecker {
 public:
  CheckedTrace run(std::string_view text) {
    check_decimals(text, "\"ts\":");
    check_decimals(text, "\"dur\":");
    try {
      const json trace = json::parse(text);
      for (const json& event : trace.at("traceEvents"))
        read(event);
    } catch (const json::exception& exception) {
      report("{}", exception.what());
    }
    if (first_ != 0)
      report("time stamps start at {} ns", first_.value_or(-1));
    for (auto& [thread, slices] : slices_)
      check_slices(thread, slices);
    for (const auto& [id, flow] : flows_)
      check_flow(id, flow);
    check_names();
    for (const int pid : pids_)
      check_counts(pid, counts_[pid]);
    out_.arrows = flows_.size();
    return std::move(out_);
  }

 private:
  template <typename... Args>
  void report(fmt::format_string<Args...> format, Args&&... args) {
    out_.violations.push_back(fmt::format(format, std::forward<Args>(args)...));
  }

  void check_decimals(std::string_view text, std::string_view key) {
    for (std::size_t at = text.find(key); at != text.npos; at = text.find(key, at + 1)) {
      const std::size_t begin = text.find_first_not_of(' ', at + key.size());
      const std::string_view number =
          text.substr(begin, text.find_first_of(",} \n", begin) - begin);
      const std::size_t point = std::min(number.find('.'), number.size());
      if (number.size() - point > 4 || number.find_first_not_of("0123456789.") != number.npos)
        report("{}{} is not in µs with up to three decimals", key, number);
    }
  }

  static Nanoseconds nanoseconds(const json& event, const char* key) {
    return std::llround(event.at(key).get<double>() * 1000);
  }

  /// `key` of an event, in nanoseconds; the step's first moment is remembered.
  Nanoseconds stamp(const json& event) {
    const Nanoseconds time = nanoseconds(event, "ts");
    first_ = std::min(first_.value_or(time), time);
    return time;
  }

  Thread thread(const json& event) {
    const Thread thread = {event.at("pid").get<int>(), event.at("tid").get<int>()};
    if (thread.tid < 1)
      report("{}: threads count from 1", words(thread));
    return thread;
  }

  void read(const json& event) {
    const auto phase = event.at("ph").get<std::string>();
    pids_.insert(event.at("pid").get<int>());
    if (phase == "M")
      read_name(event);
    else if (phase == "X")
      read_slice(event);
    else if (phase == "C")
      counts_[event.at("pid").get<int>()].push_back(
          {stamp(event), event.at("args").at("count").get<std::int64_t>()});
    else if (phase == "s" || phase == "f")
      read_flow_end(event, phase == "s");
    else
      report("an event of phase {}", phase);
  }

  void read_name(const json& event) {
    const auto name = event.at("name").get<std::string>();
    const Thread thread = {event.at("pid").get<int>(), event.value("tid", 0)};
    if (name.ends_with("_sort_index"))
      event.at("args").at("sort_index").get<int>();
    else if (event.at("args").at("name").get<std::string>().starts_with("bubbles"))
      bubbles_.insert(thread);
    else
      actions_.insert(thread);
    ++names_[{thread, name}];
  }

  void read_slice(const json& event) {
    const Nanoseconds start = stamp(event);
    slices_[thread(event)].push_back({start, start + nanoseconds(event, "dur")});
    if (event.at("name").get<std::string>().empty())
      report("a slice without a name at {} ns", start);
    if (const auto colour = event.value("cname", "grey"); !kColours.contains(colour))
      report("colour {} is not reserved", colour);
  }

  void read_flow_end(const json& event, bool is_start) {
    const json& id = event.at("id");
    if (!id.is_number_integer())
      return report("flow id {} is no integer", id.dump());
    if (!is_start && event.value("bp", "") != "e")
      report("flow {} does not bind to the slice around its end", id.dump());
    Flow& flow = flows_[id.get<std::int64_t>()];
    (is_start ? flow.starts : flow.ends)
        .push_back(
            {thread(event), stamp(event),
             event.at("name").get<std::string>() + "/" + event.at("cat").get<std::string>()});
  }

  /// Leaves them sorted by start.
  void check_slices(Thread thread, std::vector<Slice>& slices) {
    if (bubbles_.contains(thread))
      for (const Slice& slice : slices)
        out_.bubble_ns[thread.pid] += slice.end - slice.start;
    else if (actions_.contains(thread))
      out_.actions[thread.pid] = slices.size();
    std::map<Nanoseconds, Nanoseconds> shortest;  // [start]
    for (const Slice& slice : slices) {
      const auto [known, is_new] = shortest.try_emplace(slice.start, slice.end);
      if (slice.end > known->second)
        report("{}: the slice from {} to {} ns comes after a shorter one", words(thread),
               slice.start, slice.end);
      known->second = std::min(known->second, slice.end);
    }
    std::sort(slices.begin(), slices.end());
    Nanoseconds end = 0;
    for (const Slice& slice : slices) {
      if (slice.start < end)
        report("{}: a slice from {} ns overlaps one until {} ns", words(thread), slice.start, end);
      end = std::max(end, slice.end);
    }
  }

  bool is_inside_slice(const FlowEnd& end) {
    const std::vector<Slice>& slices = slices_[end.thread];
    const auto after = std::partition_point(
        slices.begin(), slices.end(), [&](const Slice& slice) { return slice.start < end.time; });
    return after != slices.begin() && end.time < std::prev(after)->end;
  }

  void check_flow(std::int64_t id, const Flow& flow) {
    if (flow.starts.size() != 1 || flow.ends.size() != 1)
      return report("flow {} has {} starts and {} ends", id, flow.starts.size(), flow.ends.size());
    const FlowEnd& start = flow.starts.front();
    const FlowEnd& end = flow.ends.front();
    if (start.name != end.name)
      report("flow {} starts as {} and ends as {}", id, start.name, end.name);
    if (start.time > end.time)
      report("flow {} ends before it starts", id);
    for (const FlowEnd& each : {start, end})
      if (!is_inside_slice(each))
        report("flow {}: {} at {} ns is not inside a slice", id, words(each.thread), each.time);
  }

  void check_name(Thread thread, const std::string& name) {
    if (const int count = names_[{thread, name}]; count != 1)
      report("{}: {} is given {} times", words(thread), name, count);
  }

  void check_names() {
    int rank = 0;
    for (const int pid : pids_) {
      if (pid != rank++)
        report("pid {} stands where rank {} is due", pid, rank - 1);
      check_name({pid, 0}, "process_name");
      check_name({pid, 0}, "process_sort_index");
    }
    for (const auto& [thread, slices] : slices_) {
      check_name(thread, "thread_name");
      check_name(thread, "thread_sort_index");
    }
  }

  void check_counts(int pid, const std::vector<Count>& counts) {
    for (std::size_t i = 0; i < counts.size(); ++i) {
      if (counts[i].live < 0)
        report("pid {}: {} live activations", pid, counts[i].live);
      if (i > 0 && counts[i].time < counts[i - 1].time)
        report("pid {}: live activations at {} ns come late", pid, counts[i].time);
    }
    if (counts.empty() || counts.back().live != 0)
      report("pid {}: live activations do not end at 0", pid);
  }

  CheckedTrace out_;
  std::optional<Nanoseconds> first_;
  std::set<int> pids_;
  std::set<Thread> bubbles_;
  std::set<Thread> actions_;
  std::map<std::pair<Thread, std::string>, int> names_;
  std::map<Thread, std::vector<Slice>> slices_;
  std::map<std::int64_t, Flow> flows_;
  std::map<int, std::vector<Count>> counts_;  // [pid]
};

}  // namespace

CheckedTrace check_trace(std::string_view text) {
  return TraceChecker().run(text);
}

std::string inflated(const std::filesystem::path& path) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), &gzclose);
  if (!file)
    throw std::runtime_error("cannot open " + path.string());
  std::string text;
  char buffer[1 << 14];
  int got = 0;
  while ((got = gzread(file.get(), buffer, sizeof buffer)) > 0)
    text.append(buffer, static_cast<std::size_t>(got));
  if (got < 0 || !gzeof(file.get()))
    throw std::runtime_error("cannot inflate " + path.string());
  return text;
}

}  // namespace bubblescope
