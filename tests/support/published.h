// The published tables and the cost tables of data/, as the program has them built in.
#pragma once

#include <string>

#include "analysis/published/tables.h"
#include "sim/costs/cost_file.h"
#include "tests/support/reference.h"

namespace bubblescope {

inline PublishedTable published_table(const std::string& path) {
  return parse_published(contents(source_file(path)), path);
}

inline CostSource cost_table(const std::string& name) {
  return read_costs(source_file("data/costs/" + name + ".json").string());
}

}  // namespace bubblescope
