#include "tests/support/golden.h"

#include <cstdlib>
#include <fstream>

#include <doctest/doctest.h>

#include "tests/support/reference.h"

namespace bubblescope {

void check_golden(const std::string& name, const std::string& text) {
  const auto path = source_file("tests/golden/" + name);
  if (std::getenv("BUBBLESCOPE_UPDATE_GOLDEN") != nullptr)
    std::ofstream(path, std::ios::binary) << text;
  CHECK(text == contents(path));
}

}  // namespace bubblescope
