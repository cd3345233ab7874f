#include "sim/base/files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "sim/base/error.h"

namespace bubblescope {
namespace {

namespace fs = std::filesystem;

fs::file_status status_of(const std::string& path) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::none)  // unlike not_found
    throw Error(fmt::format("{}: {}", path, error.message()));
  return status;
}

}  // namespace

bool exists(const std::string& path) {
  return fs::exists(status_of(path));
}

bool is_folder(const std::string& path) {
  return fs::is_directory(status_of(path));
}

std::vector<std::string> paths_in(const std::string& folder) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error))
    paths.push_back(entry->path().string());
  if (error)
    throw Error(fmt::format("{}: {}", folder, error.message()));
  std::sort(paths.begin(), paths.end());
  return paths;
}

}  // namespace bubblescope
