#include "tools/options/trace_option.h"

#include <charconv>
#include <filesystem>
#include <optional>

#include <fmt/format.h>

#include "analysis/traces/kineto_trace.h"
#include "analysis/traces/partial_trace.h"
#include "sim/base/error.h"
#include "sim/base/files.h"
#include "tools/options/option.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

void write_file(const std::string& path, const std::function<void(const Sink&)>& writer) {
  OutputFile file(path);
  writer([&](std::string_view piece) { file.write(piece); });
  file.commit();
}

std::string file_of_rank(const std::string& folder, Rank rank) {
  return fmt::format("{}/rank{}.json.gz", folder, rank);
}

void make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    throw Error(fmt::format("cannot write {}: {}", path, error.message()));
}

/// The rank of "rank12.json" or "rank12.json.gz".
std::optional<int> rank_of_file(std::string name) {
  constexpr std::string_view kStart = "rank";
  if (!name.starts_with(kStart))
    return std::nullopt;
  name.erase(0, kStart.size());
  int rank = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data(), end, rank);
  const std::string_view ending(rest, end);
  return error == std::errc() && (ending == ".json" || ending == ".json.gz") ? std::optional(rank)
                                                                             : std::nullopt;
}

/// Analyzers take all that is in a folder for one run.
void refuse_other_ranks(const std::string& folder, int ranks) {
  for (const std::filesystem::path path : paths_in(folder)) {
    const std::string name = path.filename().string();
    const auto rank = rank_of_file(name);
    if (rank && (*rank >= ranks || name.ends_with(".json")))
      throw Error(fmt::format("cannot write {}: it has {} of another run", folder, name));
  }
}

void write_kineto(const std::string& folder, const DependencyGraph& graph,
                  const Timeline& timeline) {
  make_folder(folder);
  const KinetoTraces traces(graph, timeline);
  refuse_other_ranks(folder, traces.ranks());
  for (Rank rank = 0; rank < traces.ranks(); ++rank)
    write_file(file_of_rank(folder, rank), [&](const Sink& sink) { traces.write(rank, sink); });
}

}  // namespace

void TraceOption::add_to(CLI::App& app, const char* help) {
  CLI::Option* trace = add_option(app, {"--trace", "FILE[.gz]", help, "Output"}, path);
  add_option(app,
             {"--trace-flavour", "perfetto|kineto",
              "kineto: as PyTorch's profiler, DIR/rank0.json.gz, … with --trace DIR", "Output"},
             flavour,
             one_of<Flavour>({{"perfetto", Flavour::Perfetto}, {"kineto", Flavour::Kineto}}))
      ->needs(trace);
}

std::string TraceOption::partial_path() const {
  return is_kineto() ? path + "/partial.json.gz" : path;
}

void TraceOption::check() const {
  if (is_kineto() && exists(path) && !is_folder(path))
    throw wrong_option("--trace",
                       fmt::format("kineto's flavour fills a folder, and {} is a file", path));
}

void TraceOption::require_writable() const {
  if (is_kineto())
    make_folder(path);
  bubblescope::require_writable(partial_path());
}

void TraceOption::write(const Analysis& run, const Timeline* predicted) const {
  if (is_kineto())
    return write_kineto(path, run.graph, run.timeline);
  write_file(path, [&](const Sink& sink) { write_chrome_trace(run, sink, predicted); });
}

std::string TraceOption::write_partial(const RunRecord& record) const {
  write_file(partial_path(), [&](const Sink& sink) { write_partial_trace(record, sink); });
  return partial_path();
}

}  // namespace bubblescope
