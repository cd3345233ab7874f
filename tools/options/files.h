// The one rule for files that a command writes.
#pragma once

#include <CLI/CLI.hpp>

namespace bubblescope {

/// Each file that the given options of `app` and `root` write has a place of its own. Throws
/// UsageError where one would take the place of a file that is read, or of another output, lies in
/// a folder that is read or that --trace fills, or is stdout where that is the figures'.
void check_files(const CLI::App& app, const CLI::App& root);

}  // namespace bubblescope
