#include "sim/program.h"

namespace bubblescope {

std::span<const CommName> comm_names() {
  static constexpr CommName kNames[] = {
      {"ideal", Comm::Ideal}, {"stream", Comm::Stream}, {"batched", Comm::Batched}};
  return kNames;
}

std::string_view to_string(Comm comm) {
  return comm_names()[static_cast<std::size_t>(comm)].name;
}

}  // namespace bubblescope
