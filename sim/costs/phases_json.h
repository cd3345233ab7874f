// The part of a cost file that tells what the actions of a stage do inside.
#pragma once

#include "sim/base/json_input.h"
#include "sim/costs/phases.h"

namespace bubblescope {

/// The most times of phases that a cost file may have: layers × phases, of all its stages.
constexpr std::size_t kMostPhaseTimes = 1'000'000;

/// Reads "layers", "phases", "sms" and "measured_under_overlap" of a stage; empty where it has no
/// "phases". Takes its times from `room`, those that the file may still have. Throws Error, with
/// the place, for what is wrong.
LayerPhases read_phases(ObjectReader& stage, std::size_t& room);

/// Adds to a stage what `read_phases` reads; nothing where there are no phases.
void write_phases(const LayerPhases& phases, nlohmann::ordered_json& stage);

}  // namespace bubblescope
