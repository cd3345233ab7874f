// The schedules of the catalogue that have an order of their own.
#pragma once

#include <vector>

#include "sim/schedule/catalogue.h"

namespace bubblescope {

/// All but the automatic ones.
inline std::vector<CatalogueEntry> generated_schedules() {
  std::vector<CatalogueEntry> entries;
  for (const CatalogueEntry& entry : catalogue())
    if (entry.automatic == nullptr)
      entries.push_back(entry);
  return entries;
}

}  // namespace bubblescope
