#include "analysis/gpu_trace/trace_reader.h"

#include <algorithm>
#include <iterator>
#include <simdjson.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/gpu_trace/trace_collector.h"
#include "analysis/gpu_trace/trace_scanner.h"
#include "analysis/traces/unpacked_file.h"
#include "sim/base/error.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

namespace ondemand = simdjson::ondemand;

static_assert(TraceScanner::kPadding > simdjson::SIMDJSON_PADDING);

/// A string without its quotes, anything else as it is written.
std::string_view text_of(ondemand::value value) {
  std::string_view token = value.raw_json_token();
  token = token.substr(0, token.find_last_not_of(" \t\r\n") + 1);
  if (token.size() >= 2 && token.front() == '"')
    return token.substr(1, token.size() - 2);
  return token;
}

void read_args(ondemand::value value, EventFields& event) {
  ondemand::object args;
  if (value.get_object().get(args) != simdjson::SUCCESS)
    return;
  for (auto field : args) {
    const ondemand::raw_json_string key = field.key();
    ondemand::value each = field.value();
    if (each.raw_json_token().starts_with("null"))
      continue;  // as if absent
    if (key.unsafe_is_equal("stream"))
      event.args.stream = text_of(each);
    else if (key.unsafe_is_equal("device"))
      event.args.device = text_of(each);
    else if (key.unsafe_is_equal("correlation"))
      event.args.correlation = text_of(each);
    else if (key.unsafe_is_equal("name"))
      event.args.name = text_of(each);
  }
}

EventFields read_event(ondemand::object object) {
  struct Field {
    const char* key;
    std::string_view EventFields::*text;
  };
  static constexpr Field kFields[] = {
      {"ph", &EventFields::phase},     {"cat", &EventFields::category},
      {"name", &EventFields::name},    {"pid", &EventFields::process},
      {"tid", &EventFields::thread},   {"ts", &EventFields::start},
      {"dur", &EventFields::duration}, {"id", &EventFields::id}};
  EventFields event;
  for (auto field : object) {
    const ondemand::raw_json_string key = field.key();
    if (key.unsafe_is_equal("args")) {
      read_args(field.value(), event);
      continue;
    }
    const auto* found =
        std::find_if(std::begin(kFields), std::end(kFields),
                     [&](const Field& each) { return key.unsafe_is_equal(each.key); });
    if (found != std::end(kFields))
      event.*found->text = text_of(field.value());
  }
  return event;
}

/// One file; its parts come in any order.
class TraceReader {
 public:
  TraceReader(const std::string& path, KernelNames& names)
      : path_(path), scanner_(path, {"distributedInfo", "otherData"}), collector_(path_, names) {}

  FileTraces read() {
    for (TracePiece piece = scanner_.next(); piece.kind != TracePiece::Kind::End;
         piece = scanner_.next())
      if (piece.kind == TracePiece::Kind::Member)
        read_member(piece);
      else
        read_events(piece);
    collector_.set_header(header_);
    FileTraces traces = collector_.finish();
    if (scanner_.lacks_end())
      traces.notes.push_back(
          fmt::format("{}: the array of events has no end, as Chrome's format lets it", path_));
    return traces;
  }

 private:
  void read_member(const TracePiece& piece) {
    header_.is_kineto =
        header_.is_kineto || piece.key == "schemaVersion" || piece.key == "deviceProperties";
    if (piece.key == "distributedInfo")
      read_rank(piece);
    else if (piece.key == "otherData")
      header_.is_ours = piece.text.find("\"schedule\"") != piece.text.npos;
    collector_.set_header(header_);
  }

  void read_rank(const TracePiece& piece) {
    ondemand::document document;
    ondemand::object info;
    ondemand::value rank;
    std::int64_t number = 0;
    if (parser_.iterate(piece.text.data(), piece.text.size(), piece.capacity).get(document) ||
        document.get_object().get(info) || info.find_field_unordered("rank").get(rank))
      return;  // old traces do not tell it
    if (rank.get_int64().get(number) || number < 0)
      throw Error(fmt::format("{}: /distributedInfo/rank: expected a number from 0 on", path_));
    header_.rank = number;
  }

  void read_events(const TracePiece& piece) {
    std::size_t done = 0;
    try {
      ondemand::document document =
          parser_.iterate(piece.text.data(), piece.text.size(), piece.capacity);
      for (auto element : document.get_array()) {
        collector_.add(read_event(element.get_object()));
        ++done;
      }
    } catch (const simdjson::simdjson_error& error) {
      std::string_view what = error.what();
      throw Error(fmt::format("{}: /traceEvents/{}: {}", path_, events_ + done,
                              what.substr(0, what.find_first_of(".\n"))));
    }
    events_ += piece.events;
  }

  std::string path_;
  TraceScanner scanner_;
  TraceHeader header_ = {};
  TraceCollector collector_;
  ondemand::parser parser_;
  std::size_t events_ = 0;
};

/// Those that no file tells become the lowest that none has.
void number_unknown_ranks(std::vector<RankTrace>& ranks) {
  std::set<std::int64_t> known;
  for (const RankTrace& rank : ranks)
    known.insert(rank.rank);
  std::int64_t next = 0;
  for (RankTrace& rank : ranks) {
    if (rank.rank != RankTrace::kUnknownRank)
      continue;
    while (known.contains(next))
      ++next;
    rank.rank = next++;
  }
}

/// Ranks of one file lie beside each other.
struct FileRanks {
  std::string path;
  std::size_t first, count;
};

/// Says "a.json: has events of 2 GPUs, and each is a rank: device 0 is rank 0, …"
std::string several_note(const FileRanks& file, const std::vector<RankTrace>& ranks) {
  constexpr std::size_t kMost = 16;
  std::string list;
  for (std::size_t i = 0; i < std::min(file.count, kMost); ++i) {
    const RankTrace& rank = ranks[file.first + i];
    list += fmt::format("{}{} is rank {}", i == 0 ? "" : ", ",
                        printable_name(rank.place.substr(file.path.size() + 2)), rank.rank);
  }
  return fmt::format("{}: has events of {} GPUs, and each is a rank: {}{}", file.path, file.count,
                     list, file.count > kMost ? ", …" : "");
}

}  // namespace

TraceSet read_traces(const std::vector<std::string>& paths, KernelNames& names,
                     const std::set<std::string>& may_be_none) {
  refuse_twice(paths);
  TraceSet set;
  std::vector<NoTrace> none;
  std::vector<FileRanks> shared;
  for (const std::string& path : paths) {
    try {
      FileTraces file = TraceReader(path, names).read();
      std::move(file.notes.begin(), file.notes.end(), std::back_inserter(set.notes));
      if (file.ranks.front().shares_file)
        shared.push_back({path, set.ranks.size(), file.ranks.size()});
      std::move(file.ranks.begin(), file.ranks.end(), std::back_inserter(set.ranks));
    } catch (const NoTrace& error) {
      if (!may_be_none.contains(path))
        throw;
      none.push_back(error);
    }
  }
  if (set.ranks.empty() && !none.empty())
    throw Error(none.front().what());
  if (!none.empty())
    set.notes.push_back(fmt::format("leaves out {} files that are no traces, the first {}",
                                    none.size(), none.front().what()));
  set.has_one_clock = paths.size() - none.size() == 1;
  number_unknown_ranks(set.ranks);
  for (const FileRanks& file : shared)
    set.notes.push_back(several_note(file, set.ranks));
  std::stable_sort(set.ranks.begin(), set.ranks.end(),
                   [](const RankTrace& a, const RankTrace& b) { return a.rank < b.rank; });
  for (std::size_t i = 1; i < set.ranks.size(); ++i)
    if (set.ranks[i].rank == set.ranks[i - 1].rank)
      throw Error(fmt::format("{}: is of rank {}, as {}: one trace a rank is expected",
                              set.ranks[i].place, set.ranks[i].rank, set.ranks[i - 1].place));
  return set;
}

}  // namespace bubblescope
