// Whether a Chrome trace keeps the rules that make every viewer show it rightly.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bubblescope {

struct CheckedTrace {
  /// What breaks a rule, in words:
  /// - time stamps start at 0, ts and dur have at most three decimals and no exponent;
  /// - pid is a rank, 0 … p−1; tid is 1 or more;
  /// - slices of a thread do not overlap; of two that start together the longer comes first;
  /// - an arrow has a unique integer id, one start and one end of the same name and category, not
  ///   in reverse order, both strictly inside slices of their threads; its end binds to the slice
  ///   around it (bp: "e");
  /// - processes and threads in use are named and sorted once each;
  /// - live activations are counted in every process, in time order, never below 0, 0 at the end;
  /// - colours are of catapult's reserved names.
  std::vector<std::string> violations = {};

  std::map<int, std::int64_t> bubble_ns = {};  ///< [pid] length of its thread "bubbles"
  std::map<int, std::size_t> actions = {};     ///< [pid] slices of its thread "actions"
  std::size_t arrows = 0;
};

CheckedTrace check_trace(std::string_view text);

/// The whole of a file, inflated if it is a gzip file.
std::string inflated(const std::filesystem::path& path);

}  // namespace bubblescope
