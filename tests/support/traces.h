// Small traces that tests write, and what the reader makes of them.
#pragma once

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "analysis/gpu_trace/trace_reader.h"
#include "sim/base/error.h"
#include "tests/support/command.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope::traces {

struct Read {
  TraceSet traces;
  KernelNames names;
  const RankTrace& rank(std::size_t i = 0) const { return traces.ranks.at(i); }
};

inline Read read(const std::vector<std::string>& texts, const std::string& name = "t.json") {
  const TemporaryFolder folder;
  std::vector<std::string> paths;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::string file = std::to_string(i) + name;
    folder.write(file, texts[i]);
    paths.push_back((folder / file).string());
  }
  Read result;
  result.traces = read_traces(paths, result.names);
  return result;
}

/// What the reader says of a file with `text`, behind the file's name.
inline std::string complaint(const std::string& text, const std::string& name = "t.json") {
  const TemporaryFolder folder;
  folder.write(name, text);
  KernelNames names;
  try {
    read_traces({(folder / name).string()}, names);
  } catch (const Error& error) {
    const std::string what = error.what();
    const std::string prefix = (folder / name).string() + ": ";
    REQUIRE_MESSAGE(what.starts_with(prefix), what);
    return what.substr(prefix.size());
  }
  return "";
}

struct Kernel {
  std::string name = "k";
  std::string start = "1", duration = "1";
  int stream = 7;
  int correlation = 1;
  std::string category = "kernel";
};

inline std::string event(const Kernel& kernel) {
  return fmt::format(
      R"({{"ph": "X", "cat": "{}", "name": "{}", "pid": 0, "tid": {}, "ts": {}, "dur": {}, )"
      R"("args": {{"grid": [1, 2], "stream": {}, "device": 0, "correlation": {}}}}})",
      kernel.category, kernel.name, kernel.stream, kernel.start, kernel.duration, kernel.stream,
      kernel.correlation);
}

inline std::string launch(int correlation, const std::string& start) {
  return fmt::format(
      R"({{"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 9, "tid": 9, )"
      R"("ts": {}, "dur": 1, "args": {{"correlation": {}}}}})",
      start, correlation);
}

/// A trace of PyTorch's profiler.
inline std::string kineto(const std::string& events, const std::string& info = R"({"rank": 3})") {
  return R"({"schemaVersion": 1, "deviceProperties": [{"id": 0, "name": "a ] } \" \\"}],)"
         R"( "distributedInfo": )" +
         info + R"(, "traceEvents": [)" + events + R"(], "traceName": "x"})";
}

inline bool has_note(const Read& read, const std::string& part) {
  for (const std::string& note : read.traces.notes)
    if (has(note, part))
      return true;
  return false;
}

}  // namespace bubblescope::traces
