// The part of a cost file that tells what the actions of a stage do inside.
#pragma once

#include "sim/json_input.h"
#include "sim/phases.h"

namespace bubblescope {

/// Reads "layers", "phases", "sms" and "measured_under_overlap" of a stage; empty where it has no
/// "phases". Throws Error, with the place, for what is wrong.
LayerPhases read_phases(ObjectReader& stage);

/// Adds to a stage what `read_phases` reads; nothing where there are no phases.
void write_phases(const LayerPhases& phases, nlohmann::ordered_json& stage);

}  // namespace bubblescope
