// The one list of schedules: the command line's names, help and error messages come from it.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/schedule.h"
#include "sim/schedules/shape.h"

namespace bubblescope {

struct CatalogueEntry {
  std::string_view name;
  std::string_view family;
  std::string_view summary;
  std::string_view constraints;  ///< On p, m and v, for people.
  std::string_view peak;         ///< Peak live activations of the fullest rank, as a formula.
  int weight_copies;
  std::string_view source;  ///< Paper, or repository and function.
  int chunks;               ///< The v that the schedule fixes.
  /// None where p and m, both ≥ 1, fit.
  std::optional<Misfit> (*misfit)(Shape);
  /// Only called with a shape that fits.
  Schedule (*generate)(Shape);
};

std::span<const CatalogueEntry> catalogue();

/// Null if there is no schedule of this name.
const CatalogueEntry* find_schedule(std::string_view name);
std::vector<std::string> schedule_names();

/// Why the schedule cannot have `shape`, whose p and m are ≥ 1; none where it can.
std::optional<Misfit> find_misfit(const CatalogueEntry& entry, Shape shape);

/// Throws Error, with the reason and the nearest valid shape, where there is a misfit.
Schedule make_schedule(const CatalogueEntry& entry, Shape shape);

}  // namespace bubblescope
