#include "tools/options/named_input.h"

#include <algorithm>
#include <cctype>
#include <iterator>

namespace bubblescope {
namespace {

std::string digits(const std::string& text) {
  std::string all;
  std::copy_if(text.begin(), text.end(), std::back_inserter(all),
               [](unsigned char c) { return std::isdigit(c) != 0; });
  return all;
}

}  // namespace

std::string meant_by(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kMeant[] = {
      {"a100", "a100-80g"},         {"a100-40g", "a100-40g-sxm"}, {"a100-40gb", "a100-40g-sxm"},
      {"a100-80g-sxm", "a100-80g"}, {"a100-80gb", "a100-80g"},    {"h100", "h100-sxm"},
      {"h100-80g", "h100-sxm"},     {"h100-80gb", "h100-sxm"}};
  const std::string small = lower(name);
  const auto* found = std::find_if(std::begin(kMeant), std::end(kMeant),
                                   [&](const auto& each) { return each.first == small; });
  return found == std::end(kMeant) ? small : std::string(found->second);
}

std::string nearest_input(const std::string& name, const std::vector<std::string>& names) {
  const auto nearest = nearest_name(name, names);
  if (nearest && digits(*nearest) != digits(name) && !digits(name).empty())
    return fmt::format("; the nearest is '{}', of another size or version", *nearest);
  return did_you_mean(name, names);
}

}  // namespace bubblescope
