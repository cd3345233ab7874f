#include "sim/program.h"

#include <utility>

#include "sim/order_check.h"

namespace bubblescope {

std::span<const CommName> comm_names() {
  static constexpr CommName kNames[] = {{"ideal", Comm::Ideal}};
  return kNames;
}

std::string_view to_string(Comm comm) {
  return comm_names()[static_cast<std::size_t>(comm)].name;
}

Program lower(Schedule schedule, Comm comm) {
  check_orders(schedule);
  return {std::move(schedule), comm};
}

}  // namespace bubblescope
