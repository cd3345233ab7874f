// Schedules as one page that opens offline: drawn on canvases that zoom and pan together, told op
// by op under the pointer or the keyboard, and as tables. What it does lies in
// analysis/pictures/html.
//
//     <!DOCTYPE html> … <script type="application/json" id="data">{"schedules":[{"name":"1f1b",
//     "step":330000,"first":[0,16,…],"op":[0,0,…],"mb":[0,1,…],"gap":[0,…],"time":[10000,…],
//     "cause":[1,…],"length":[90000,…],"blocker":[17,…],…}],…}</script>
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/figures/analysis.h"

namespace bubblescope {

/// Of all schedules of a page; more are slow to open.
constexpr std::size_t kMostHtmlActions = 1'000'000;

/// A schedule as the page's script reads it: flat arrays, an entry an action in the order of the
/// schedule, or a bubble by rank and time. Times are nanoseconds. `blocker`, and `path` for the
/// critical path, name an action by its index and a message by −1 − its index in `messages`; where
/// several block together, `blocker` has an array of them.
std::string html_data(const Analysis& run);

/// The page of schedules as `html_data` gave them. Its content-security policy lets only its own
/// style and script in; names reach it inside a JSON block only, with every '<' escaped.
std::string html_view(const std::vector<std::string>& schedules);

/// The files of analysis/pictures/html, built in.
struct PageFiles {
  std::string_view html;
  std::string_view css;
  std::string_view css_sha256;  ///< In hexadecimal digits.
  std::string_view js;
  std::string_view js_sha256;
};
PageFiles page_files();

}  // namespace bubblescope
