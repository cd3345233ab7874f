// The one list of schedules: the command line's names, help and error messages come from it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sim/schedule/schedule.h"
#include "sim/schedule/shape.h"
#include "sim/schedule/transfers.h"

namespace bubblescope {

/// The peak live activations of the fullest rank.
struct Peak {
  std::string_view formula;  ///< For people.
  /// Of a shape that fits, v set; null where it is the limit asked for.
  std::int64_t (*of)(Shape);
};

/// A schedule without an order of its own is searched with these: sim/search/automatic.h.
struct Automatic {
  Placement (*placement)(int ranks);
  std::span<const char* const> seeds;  ///< Schedules of this placement to start from.
};

struct CatalogueEntry {
  std::string_view name;
  std::string_view family;
  std::string_view summary;
  std::string_view constraints;  ///< On p, m, v and group size g, for people.
  Peak peak;
  int weight_copies;
  std::string_view source;      ///< Paper, or repository and function.
  int chunks;                   ///< The v that the schedule has where none is asked for.
  bool any_chunks = false;      ///< Whether it takes another v.
  bool any_group_size = false;  ///< Whether it takes a group size.
  /// Megatron-Core has it to hide experts' messages: only for experts on several GPUs, and not
  /// where whole layers are recomputed (overlap_moe_expert_parallel_comm in transformer_config.py).
  bool is_for_experts = false;
  std::string_view aliases = {};     ///< What others call it, divided by blanks: "vpp".
  std::string_view frameworks = {};  ///< Which of them have it, divided by blanks: "megatron".
  /// None where p and m, both ≥ 1, fit; v is set.
  std::optional<Misfit> (*misfit)(Shape);
  /// Only called with a shape that fits, v set; null where `automatic` is not.
  Schedule (*generate)(Shape) = nullptr;
  const Automatic* automatic = nullptr;
  /// The batches of the authors' own code; null where `post_messages` makes them by its rule.
  Transfers (*batches)(Shape) = nullptr;
};

std::span<const CatalogueEntry> catalogue();

/// "a b" in its parts.
std::vector<std::string> words_in(std::string_view list);

/// By its name or an alias, whatever the case of its letters; null if there is none.
const CatalogueEntry* find_schedule(std::string_view name);
std::vector<std::string> schedule_names();

/// Why the schedule cannot have `shape`, whose p and m are ≥ 1; none where it can.
std::optional<Misfit> find_misfit(const CatalogueEntry& entry, Shape shape);

/// Throws Error, with the reason and the nearest valid shape, where there is a misfit.
void check_fits(const CatalogueEntry& entry, Shape shape);
/// Throws Error where there is a misfit, or where the schedule is automatic.
Schedule make_schedule(const CatalogueEntry& entry, Shape shape);

}  // namespace bubblescope
