#include "sim/program/posted_program.h"

#include <cstddef>

namespace bubblescope {

std::span<const CommName> comm_names() {
  static constexpr CommName kNames[] = {{"ideal", Comm::Ideal},
                                        {"stream", Comm::Stream},
                                        {"batched", Comm::Batched},
                                        {"torch", Comm::Torch}};
  return kNames;
}

std::string_view to_string(Comm comm) {
  return comm_names()[static_cast<std::size_t>(comm)].name;
}

std::span<const std::string_view> channels_names() {
  static constexpr std::string_view kNames[] = {"rank", "pair", "direction"};
  return kNames;
}

std::string_view to_string(Channels channels) {
  return channels_names()[static_cast<std::size_t>(channels)];
}

Channels default_channels(Comm comm) {
  return comm == Comm::Torch ? Channels::PerPair : Channels::PerDirection;
}

}  // namespace bubblescope
