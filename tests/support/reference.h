// Files of the original authors and publishers, read where the build was told to look for them
// (BUBBLESCOPE_REFERENCE_DIR), and files of this project.
#pragma once

#include <filesystem>
#include <string>

namespace bubblescope {

/// A file of this repository.
std::filesystem::path source_file(const std::string& path);

/// A file or folder of the reference material; an empty path, and a line that ctest shows as
/// "skipped", where there is none.
std::filesystem::path reference(const std::string& path);

/// The whole file.
std::string contents(const std::filesystem::path& path);

}  // namespace bubblescope
