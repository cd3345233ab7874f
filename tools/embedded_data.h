// The files of data/, built into the program so that it runs from anywhere.
#pragma once

#include <span>
#include <string_view>

namespace bubblescope {

struct EmbeddedFile {
  std::string_view name;  ///< Without folder and ".json".
  std::string_view text;
};

/// data/costs, by name.
std::span<const EmbeddedFile> embedded_costs();
/// data/models and data/hardware, by name.
std::span<const EmbeddedFile> embedded_models();
std::span<const EmbeddedFile> embedded_hardware();
/// data/kernels, by name.
std::span<const EmbeddedFile> embedded_kernels();
/// data/published, by name.
std::span<const EmbeddedFile> embedded_published();

}  // namespace bubblescope
