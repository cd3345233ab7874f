#include "tests/support/reference.h"

#include <fstream>
#include <iterator>

#include <doctest/doctest.h>

namespace bubblescope {

std::filesystem::path source_file(const std::string& path) {
  return std::filesystem::path(BUBBLESCOPE_SOURCE_DIR) / path;
}

std::filesystem::path reference(const std::string& path) {
  const std::filesystem::path file = std::filesystem::path(BUBBLESCOPE_REFERENCE_DIR) / path;
  if (std::string(BUBBLESCOPE_REFERENCE_DIR).empty() || !std::filesystem::exists(file)) {
    MESSAGE("skipped: BUBBLESCOPE_REFERENCE_DIR has no " << path);
    return {};
  }
  return file;
}

std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), "cannot read " << path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace bubblescope
