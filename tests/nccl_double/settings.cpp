#include "tests/nccl_double/settings.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <nccl.h>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace bubblescope::nccl_double {
namespace {

std::string text_of(const char* variable) {
  const char* const value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

template <class T>
T number_of(const char* variable, T otherwise) {
  const std::string text = text_of(variable);
  T number = otherwise;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (!text.empty() && (error != std::errc() || stop != end || number < 0))
    throw std::invalid_argument(variable + ("=" + text) + ": expected a number");
  return number;
}

/// "2,REST": the number, and what follows it; 0 and nothing where the variable is not set.
std::pair<int, std::string> numbered(const char* variable, const char* expected) {
  const std::string text = text_of(variable);
  if (text.empty())
    return {};
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || stop == end || *stop != ',' || number < 1)
    throw std::invalid_argument(variable + ("=" + text) + ": expected " + expected);
  return {number, std::string(stop + 1, end)};
}

void read_faults(Settings& settings) {
  constexpr const char* kInit = "BUBBLESCOPE_DOUBLE_INIT";
  constexpr const char* kStall = "BUBBLESCOPE_DOUBLE_STALL";
  const auto [made, how] = numbered(kInit, "N,hang or N,no-memory");
  if (made > 0 && how != "hang" && how != "no-memory")
    throw std::invalid_argument(kInit + (": '" + how) + "': expected hang or no-memory");
  using Fault = decltype(settings.init)::Fault;
  settings.init = {made, how == "hang" ? Fault::Hang : Fault::NoMemory};
  const auto [stalled, count] = numbered(kStall, "N,MESSAGES");
  settings.stall = {stalled, stalled > 0 ? std::stoull(count) : 0};
}

Settings read_settings() {
  const std::string address = text_of("BUBBLESCOPE_DOUBLE_ADDRESS");
  Settings settings = {
      .version = number_of("BUBBLESCOPE_DOUBLE_NCCL_VERSION", NCCL_VERSION(2, 28, 9)),
      .address = address.empty() ? "127.0.0.1" : address,
      .bandwidth = number_of("BUBBLESCOPE_DOUBLE_BANDWIDTH", 0.0),
      .latency = std::chrono::nanoseconds(number_of("BUBBLESCOPE_DOUBLE_LATENCY", 0L)),
      .notes = text_of("BUBBLESCOPE_DOUBLE_NOTES"),
      .init = {},
      .stall = {},
      .spoils = text_of("BUBBLESCOPE_DOUBLE_SPOILS")};
  read_faults(settings);
  return settings;
}

}  // namespace

std::chrono::nanoseconds Settings::duration_of(std::size_t bytes) const {
  if (bandwidth <= 0)
    return latency;
  constexpr double kNanoseconds = 1e9;
  return latency + std::chrono::nanoseconds(
                       std::llround(static_cast<double>(bytes) / bandwidth * kNanoseconds));
}

const Settings& settings() {
  static const Settings& only = *new Settings(read_settings());  // threads outlive what is static
  return only;
}

}  // namespace bubblescope::nccl_double
