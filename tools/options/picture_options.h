// --svg FILE and --html FILE: pictures beside the figures.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <CLI/CLI.hpp>

namespace bubblescope {

/// An option that names the file of a picture.
struct PictureOption {
  const char* name;  ///< "--svg"
  std::size_t most;  ///< Actions that such a picture can show.
  std::string path = {};

  void add_to(CLI::App& app, const char* help);
  bool is_given() const { return !path.empty(); }
  /// Throws Error where it is given and cannot show so many actions.
  void check_size(std::size_t actions) const;
  /// Writes the file whole. Throws Error where that cannot be done.
  void write(std::string_view text) const;
};

}  // namespace bubblescope
