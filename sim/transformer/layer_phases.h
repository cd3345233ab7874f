// The phases of a model's layers: what they are called, where they belong, and in which order a
// pair launches them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sim/costs/phases.h"
#include "sim/transformer/layer_costs.h"
#include "sim/transformer/model_job.h"

namespace bubblescope {

/// A phase's name, "{}" for the mixer, and where it belongs.
struct PhaseText {
  const char* name;
  OpKind of;
  PhaseStream stream;
  std::optional<PhaseId> after = {};
};
const PhaseText& text_of(PhaseId id);

/// Seconds of the phases of that kind that compute.
double compute_seconds(const LayerCost& cost, OpKind kind);

/// A phase of the mixers of one word, or of all layers.
struct MixerPhase {
  PhaseId id;
  std::string word = {};

  bool is_of_mixer() const;
  std::string name() const;
};

/// All phases of the job's layers, in launch order.
std::vector<MixerPhase> phases_of(const ModelJob& job);

/// They are the phases that a stage's costs have.
std::vector<Phase> analytic_phases(const ModelJob& job);

/// One of a stage, with what its mixers are called.
struct StageLayer {
  LayerCost cost = {};
  std::string word = {};

  const PhaseCost& operator[](const MixerPhase& phase) const;
};

}  // namespace bubblescope
