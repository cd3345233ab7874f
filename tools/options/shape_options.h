// Options of what is run, but for its costs: shape, communication, limits.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "sim/program/posting.h"
#include "sim/schedule/shape.h"
#include "sim/search/automatic.h"
#include "tools/options/option.h"

namespace bubblescope {

/// Ops that can be numbered.
constexpr std::int64_t kMostOps = std::int64_t{1} << 31;

struct ShapeOptions {
  std::optional<int> ranks, microbatches, group_size;
  std::vector<int> chunks;  ///< As many as -v lists.

  /// Whether -v takes one number, or a list.
  enum class Chunks : std::uint8_t { One, List };
  void add_to(CLI::App& app, Chunks how_many = Chunks::One);
  /// UsageError where the ops would be too many to be numbered, or p or m is missing and `present`
  /// has none either. It has the first of the chunks.
  Shape shape(const Shape& present = {}) const;
};

/// How messages travel, for what the command line asks of a program.
struct CommOptions {
  std::optional<Comm> comm = {};         ///< None: as the program says, else ideal.
  std::optional<Comm> interleaved = {};  ///< As --like says of schedules with several chunks.
  std::optional<Channels> channels = {};

  void add_to(CLI::App& app);
  Comm comm_or_ideal() const { return comm.value_or(Comm::Ideal); }
  CommWays ways() const { return {comm_or_ideal(), interleaved}; }
  /// Sets the channels asked for. Throws UsageError where the program has none.
  void set_channels(PostedProgram& program) const;
};

/// What schedules are held to, and automatic ones made for.
struct LimitOptions {
  AutomaticOptions automatic;
  OptionGroup search;  ///< What only a search takes notice of.
  OptionGroup memory_limit;

  /// The limit is live activations for a plain number, bytes for one with a unit. `make_scenario`
  /// refuses the former where costs come from a model.
  void add_to(CLI::App& app);
};

/// A schedule of the catalogue; UsageError, with the nearest name, if there is none.
const CatalogueEntry& require_schedule(std::string_view name);

}  // namespace bubblescope
