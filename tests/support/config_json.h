// Small config.json files and what is read of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace bubblescope {

/// A Llama of 276 032 parameters: 4 layers of 12 288 + 24 576 + 128, twice 64 000, and 64.
nlohmann::json dense_config();
/// A model of 351 296 parameters: in three layers 49 152 of experts and 512 of a router for the
/// MLP's.
nlohmann::json expert_config();
nlohmann::json with(nlohmann::json config, const nlohmann::json& changes);

std::int64_t parameters(const nlohmann::json& config);
/// The word for what mixes tokens in each layer; "-" where it is an MLP alone.
std::string mixers(const nlohmann::json& config);
/// The Error that it is refused with; empty where it is read.
std::string complaint(const nlohmann::json& config, const std::vector<std::string>& ignored = {});

}  // namespace bubblescope
