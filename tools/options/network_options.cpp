#include "tools/options/network_options.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

#include "tools/errors.h"
#include "tools/options/option_words.h"
#include "tools/options/units.h"

namespace bubblescope {
namespace {

std::optional<int> parse_ranks(const std::string& text) {
  constexpr Range kCount = {1, std::numeric_limits<int>::max()};
  if (text.empty())
    return std::nullopt;
  return static_cast<int>(parse_count({"--ranks-per-node", text}, kCount));
}

/// Bytes a second; 0 where none are given.
double parse_shared(const char* option, const std::string& text) {
  return text.empty() ? 0 : parse_rate({option, text});
}

/// An option, in the order of the help.
struct NetworkOption {
  const char* name;
  const char* word;
  const char* help;
  std::string NetworkOptions::*value;
};

constexpr NetworkOption kNetworkOptions[] = {
    {"--ranks-per-node", "N",
     "nodes of N ranks: --p2p and --bandwidth are within one (default with --model: as many "
     "stages as a node has GPUs for)",
     &NetworkOptions::ranks_per_node},
    {"--inter-p2p", "TIME", "latency of a message between nodes (default: --p2p)",
     &NetworkOptions::inter_p2p},
    {"--inter-bandwidth", "RATE", "of a message between nodes (default: --bandwidth)",
     &NetworkOptions::inter_bandwidth},
    {"--nic", "RATE",
     "what the messages of a node to others divide, and those from others (default: unlimited)",
     &NetworkOptions::nic},
    {"--nvlink", "RATE", "what the messages within a node divide (default: unlimited)",
     &NetworkOptions::nvlink}};

}  // namespace

void NetworkOptions::add_to(CLI::App& app) {
  for (const NetworkOption& each : kNetworkOptions)
    add_option(app, {each.name, each.word, each.help, "Network"}, this->*each.value);
}

std::string NetworkOptions::first_given() const {
  for (const NetworkOption& each : kNetworkOptions)
    if (!(this->*each.value).empty())
      return each.name;
  return "";
}

std::optional<Network> NetworkOptions::by_hand(const Link& within) const {
  const std::optional<int> ranks = parse_ranks(ranks_per_node);
  if (!ranks && are_given())
    throw UsageError(
        fmt::format("{} needs --ranks-per-node: which ranks share a node", first_given()));
  if (!ranks)
    return std::nullopt;
  Network network{
      .ranks_per_node = *ranks,
      .intra_node = {.message = within,
                     .shared_bytes_per_second = parse_shared("--nvlink", nvlink)},
      .inter_node = {.message = within, .shared_bytes_per_second = parse_shared("--nic", nic)}};
  if (!inter_p2p.empty())
    network.inter_node.message.latency = parse_time({"--inter-p2p", inter_p2p});
  if (!inter_bandwidth.empty())
    network.inter_node.message.bytes_per_second =
        parse_rate({"--inter-bandwidth", inter_bandwidth});
  return network;
}

Nodes NetworkOptions::of_model() const {
  for (const auto& [option, value] :
       {std::pair("--inter-p2p", &inter_p2p), {"--inter-bandwidth", &inter_bandwidth}})
    if (!value->empty())
      throw UsageError(fmt::format(
          "{} does not go with --model: its hardware tells what a message takes", option));
  return {.ranks_per_node = parse_ranks(ranks_per_node),
          .nvlink = parse_shared("--nvlink", nvlink),
          .nic = parse_shared("--nic", nic)};
}

}  // namespace bubblescope
