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

std::string nearest_input(const std::string& name, const std::vector<std::string>& names) {
  const auto nearest = nearest_name(name, names);
  if (nearest && digits(*nearest) != digits(name) && !digits(name).empty())
    return fmt::format("; the nearest is '{}', of another size or version", *nearest);
  return did_you_mean(name, names);
}

}  // namespace bubblescope
