#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "backend_cuda/cluster/seat.h"
#include "backend_cuda/replay/executor.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

/// More than any machine has, and few enough to hold.
constexpr std::size_t kMostHosts = 100'000;
constexpr std::size_t kMostDigits = 9;

bool is_digit(char c) {
  return '0' <= c && c <= '9';
}

bool is_of_name(char c) {
  return is_digit(c) || ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '-' || c == '.' ||
         c == '_';
}

/// Reads from the left, one host or one group of hosts after the other.
class HostList {
 public:
  explicit HostList(std::string_view text) : text_(text) {}

  std::vector<std::string> expand() {
    std::vector<std::string> hosts;
    do {
      for (std::string& host : group())
        hosts.push_back(std::move(host));
      if (hosts.size() > kMostHosts)
        fail(fmt::format("more than {} hosts", kMostHosts));
    } while (take(','));
    if (at_ < text_.size())
      fail("a letter that no host's name has");
    return hosts;
  }

 private:
  /// Up to a comma or the end: "gpu[01-03]", "rack[1,2]node[1-4]", "login".
  std::vector<std::string> group() {
    const std::size_t begin = at_;
    std::vector<std::string> hosts = {""};
    for (;;) {
      const std::size_t from = at_;
      while (at_ < text_.size() && is_of_name(text_[at_]))
        ++at_;
      for (std::string& host : hosts)
        host += text_.substr(from, at_ - from);
      if (!take('['))
        break;
      hosts = crossed(hosts, numbers());
    }
    if (at_ == begin)
      fail("no name");
    return hosts;
  }

  std::vector<std::string> crossed(const std::vector<std::string>& heads,
                                   const std::vector<std::string>& tails) const {
    if (heads.size() * tails.size() > kMostHosts)
      fail(fmt::format("more than {} hosts", kMostHosts));
    std::vector<std::string> hosts;
    hosts.reserve(heads.size() * tails.size());
    for (const std::string& head : heads)
      for (const std::string& tail : tails)
        hosts.push_back(head + tail);
    return hosts;
  }

  /// What stands in brackets, the first of which is taken: "01-03,7]".
  std::vector<std::string> numbers() {
    std::vector<std::string> all;
    do {
      const std::string_view first = digits();
      const std::string_view last = take('-') ? digits() : first;
      const std::uint64_t begin = value(first);
      const std::uint64_t end = value(last);
      if (end < begin)
        fail(fmt::format("{}-{} runs backward", first, last));
      if (all.size() + (end - begin) >= kMostHosts)
        fail(fmt::format("more than {} hosts", kMostHosts));
      for (std::uint64_t each = begin; each <= end; ++each)
        all.push_back(fmt::format("{:0{}}", each, first.size()));
    } while (take(','));
    if (!take(']'))
      fail("no ] or comma after a number");
    return all;
  }

  std::string_view digits() {
    const std::size_t begin = at_;
    while (at_ < text_.size() && is_digit(text_[at_]))
      ++at_;
    if (at_ == begin)
      fail("no number");
    if (at_ - begin > kMostDigits)
      fail(fmt::format("a number of more than {} digits", kMostDigits));
    return text_.substr(begin, at_ - begin);
  }

  static std::uint64_t value(std::string_view digits) {
    std::uint64_t sum = 0;
    for (const char c : digits)
      sum = sum * 10 + static_cast<std::uint64_t>(c - '0');
    return sum;
  }

  bool take(char c) {
    const bool there = at_ < text_.size() && text_[at_] == c;
    at_ += there ? 1 : 0;
    return there;
  }

  [[noreturn]] void fail(const std::string& what) const {
    throw DeviceError(
        fmt::format("the list of hosts '{}' has {} at letter {}: expected one such as "
                    "gpu[01-03,7],login",
                    printable_name(text_), what, at_ + 1));
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<std::string> expand_host_list(std::string_view list) {
  return HostList(list).expand();
}

}  // namespace bubblescope
