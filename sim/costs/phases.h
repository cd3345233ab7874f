// What an action does inside: phases on the streams of its rank, and how those of a forward and a
// backward run beside one another in an F&B pair.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sim/base/types.h"
#include "sim/schedule/op.h"

namespace bubblescope {

/// Where a phase runs. Phases of one stream run one after another, as they are launched.
enum class PhaseStream : std::uint8_t {
  Compute,
  Tensor,  ///< A collective of tensor parallelism: in turn with Compute, which waits for it.
  Expert,  ///< All-to-all of expert parallelism, on a stream of its own.
};
/// "compute", "tensor", "expert", in the order of the enumerators.
std::span<const std::string_view> phase_stream_names();

/// How much longer a phase takes while communication beside it holds k of the machine's S SMs.
struct Slowdown {
  enum class Kind : std::uint8_t {
    None,
    Shared,  ///< S / (S − k): work is spread over the SMs that are left.
    Waves,  ///< ⌈G / (S − k)⌉ / ⌈G / S⌉ for G blocks, of which an SM takes one at a time.
    Factor,  ///< A measured factor, whatever k: bound by memory.
    Table,   ///< Measured factors by k, straight lines between them.
  };
  Kind kind = Kind::None;
  int blocks = 0;                                  ///< G
  double factor = 1;                               ///< ≥ 1
  std::vector<std::pair<int, double>> table = {};  ///< By rising k; (0, 1) goes without saying.

  /// ≥ 1. `held` < `sms`.
  double at(int held, int sms) const;
};

/// A phase that each layer of a stage has.
struct Phase {
  static constexpr int kNone = -1;

  std::string name;  ///< "attn(F)"
  OpKind of;         ///< Forward, BackwardInput or BackwardWeight.
  PhaseStream stream;
  int after = kNone;       ///< A W's: the phase of I that makes its input.
  int sms = 0;             ///< That it holds while it communicates.
  Bytes sent = 0;          ///< Among experts: by a rank to all others, in a layer; 0: not told.
  Slowdown slowdown = {};  ///< Of one that computes.
};

/// How long a phase takes in one layer, with nothing beside it. 0 where the layer does not have it.
struct PhaseTime {
  Time elapsed{};  ///< From its first kernel's start to its last one's end.
  Time busy{};     ///< Of that, when a kernel runs.
};

/// The layers of a stage. A forward walks them up, a backward down.
struct LayerPhases {
  std::vector<Phase> phases = {};       ///< Of a layer, in the order in which a pair launches them.
  std::vector<PhaseTime> times = {};    ///< [layer][phase]
  int sms = 0;                          ///< Of the machine; 0: nothing slows anything.
  bool measured_under_overlap = false;  ///< So that times hold what slowed them, waits included.

  bool empty() const { return phases.empty(); }
  std::size_t layers() const { return empty() ? 0 : times.size() / phases.size(); }
  const PhaseTime& time(std::size_t layer, std::size_t phase) const {
    return times[layer * phases.size() + phase];
  }
};

/// A phase as it runs in an action, from the action's start.
struct PhaseSpan {
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  std::uint32_t phase;  ///< In LayerPhases::phases.
  std::uint32_t layer;
  PhaseStream stream;
  std::uint32_t after;  ///< The one in PhaseRun::spans whose output it reads, or kNone.
  Time alone;           ///< What it takes with nothing beside it.
  Bytes sent;           ///< Phase::sent
  Time start;
  Time end;
};

/// How an action passes: when its phases run, and what hides what.
struct PhaseRun {
  std::vector<PhaseSpan> spans = {};  ///< As launched.
  Time length{};
  Time compute{};        ///< Time in which a kernel computes.
  Time communication{};  ///< Time in which one communicates.
  Time overlap{};        ///< Both.

  Time exposed() const { return communication - overlap; }
};

/// The phases of one op alone. A full backward launches I's and W's as a pair does. A W waits for
/// its input in a full backward only: elsewhere its I is long done.
PhaseRun run_phases(const LayerPhases& stage, OpKind kind);

/// Those of an F&B pair. Layer i up goes with layer i down, from the other end; launched in the
/// order of `phases`, which both have alike. A forward's phase waits for the one before it of the
/// forward, an I's for the one before it of the backward, a W's for what it is `after`.
PhaseRun run_pair(const LayerPhases& forward, const LayerPhases& backward);

}  // namespace bubblescope
