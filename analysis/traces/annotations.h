// Ranges with names in traces of Chrome's format, as PyTorch's profiler (Kineto) writes them:
//
//     {"traceEvents": [{"ph": "X", "cat": "gpu_user_annotation", "name": "PP:0F3", "pid": 0,
//                       "tid": 7, "ts": 1724152123456789.123, "dur": 601.5, "args": {…}}, …], …}
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "sim/engine/timeline.h"

namespace bubblescope {

/// One complete event ("ph": "X").
struct Annotation {
  std::string name = {};
  std::string category = {};
  std::string process = {};  ///< "pid", a number or a word.
  std::string thread = {};   ///< "tid"
  Span span = {};
};

/// Calls `visit` for the complete events of a trace whose names count, plain or .gz, in the file's
/// order. The file is read as a stream: what is held at a time is one event. Times go from their
/// digits to nanoseconds, never through a double. Throws Error, with file and place, for what is no
/// such trace, is cut short, or has an event that counts without a time or duration, or with one
/// below 0.
void read_annotations(const std::string& path, const std::function<bool(std::string_view)>& counts,
                      const std::function<void(const Annotation&)>& visit);

/// A decimal number of µs, such as "1724152123456789.1235" or "6.5e2", in ns, rounded half away
/// from 0. Throws Error unless it is one that fits.
Time time_from_us_digits(std::string_view digits);

}  // namespace bubblescope
