// simgrid_1f1b: the non-interleaved 1F1B pipeline-parallel schedule as SimGrid S4U actors.
//
// A stand-alone yardstick: it simulates one training step of a pipeline of P ranks over M
// micro-batches with SimGrid and prints the simulated step time and the simulator's own speed.
// One actor is a rank, on a host of its own. Sends are detached, so a compute never waits for
// one; a receive blocks just before the compute that consumes it. A message takes P2P_US whatever
// else is under way.
//
// Build (Debian's libsimgrid-dev; tried with 3.32):
//   g++ -std=c++17 -O2 -o simgrid_1f1b simgrid_1f1b.cpp -lsimgrid
// Run:
//   ./simgrid_1f1b P M FORWARD_US BACKWARD_US P2P_US
//   ./simgrid_1f1b 64 4096 100 200 5
// Output, one line of JSON on stdout:
//   {"ranks":P,"microbatches":M,"nodes":N,"step_time_ns":T,"seconds":S,"nodes_per_s":R}
// N counts the computes and the messages, 2*P*M + 2*(P-1)*M; S is the wall time of engine set-up
// and run together.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
#include <xbt/log.h>

#include <simgrid/s4u.hpp>

namespace {

namespace s4u = simgrid::s4u;

struct Workload {
  int ranks = 0;
  int microbatches = 0;
  double forward_s = 0.0;
  double backward_s = 0.0;
  double hop_s = 0.0;
};

// The mailboxes one rank uses; null where it has no neighbour on that side.
struct Rank {
  s4u::Mailbox* forward_in = nullptr;
  s4u::Mailbox* forward_out = nullptr;
  s4u::Mailbox* backward_in = nullptr;
  s4u::Mailbox* backward_out = nullptr;
};

constexpr int kMaxCount = 1'000'000'000;
constexpr double kSecondsPerMicrosecond = 1e-6;
constexpr double kNanosecondsPerSecond = 1e9;
constexpr double kHostFlops = 1e9;  // Never read: computes are sleeps.
constexpr uint64_t kMessageBytes = 1'000'000;
constexpr double kInstantBandwidth = 1e12;  // For messages of no bytes, when P2P_US is 0.
// The share of a message's time that is the link's latency; its bandwidth takes the rest.
constexpr double kLatencyShare = 0.5;

// Every message carries the address of this token: no message owns memory, so a detached send has
// nothing to free.
int message_token = 0;

// Latency and bandwidth count as given: no TCP window, no cross traffic, no correction factors.
void configure_engine() {
  xbt_log_control_set("xbt_cfg.thres:warning");
  s4u::Engine::set_config("network/model:CM02");
  s4u::Engine::set_config("network/TCP-gamma:0");
  s4u::Engine::set_config("network/crosstraffic:no");
  // Events this close in time (seconds) are taken as one; the default is a whole nanosecond.
  s4u::Engine::set_config("surf/precision:1e-10");
  // The trace-integration CPU model: 9% faster here than the default, same step times.
  s4u::Engine::set_config("cpu/optim:TI");
}

// A chain of hosts. A fat pipe gives every message the full bandwidth, so that messages under way
// together do not slow each other (they would on a shared link once P2P_US exceeds a compute).
std::vector<s4u::Host*> build_platform(const Workload& work) {
  s4u::NetZone* zone = s4u::create_full_zone("pipeline");
  std::vector<s4u::Host*> hosts;
  for (int rank = 0; rank < work.ranks; ++rank) {
    hosts.push_back(zone->create_host("rank-" + std::to_string(rank), kHostFlops)->seal());
  }
  const double transfer_s = work.hop_s * (1.0 - kLatencyShare);
  const double bandwidth =
      transfer_s > 0.0 ? static_cast<double>(kMessageBytes) / transfer_s : kInstantBandwidth;
  for (size_t i = 0; i + 1 < hosts.size(); ++i) {
    const s4u::Link* link = zone->create_link("link-" + std::to_string(i), bandwidth)
                                ->set_latency(work.hop_s * kLatencyShare)
                                ->set_sharing_policy(s4u::Link::SharingPolicy::FATPIPE)
                                ->seal();
    zone->add_route(hosts[i]->get_netpoint(), hosts[i + 1]->get_netpoint(), nullptr, nullptr,
                    {s4u::LinkInRoute(link)});
  }
  zone->seal();
  return hosts;
}

// Receives, computes, sends. The compute is a sleep: nothing else runs on the host, so the time
// is the same as with this_actor::execute(), which was measured 1.5 times slower over a whole run.
void run_op(s4u::Mailbox* in, double compute_s, s4u::Mailbox* out, uint64_t bytes) {
  if (in != nullptr) {
    in->get<int>();
  }
  s4u::this_actor::sleep_for(compute_s);
  if (out != nullptr) {
    out->put_init(&message_token, bytes)->detach();
  }
}

void run_rank(const Workload& work, const Rank& rank, int warmup) {
  const uint64_t bytes = work.hop_s > 0.0 ? kMessageBytes : 0;
  const auto forward = [&] { run_op(rank.forward_in, work.forward_s, rank.forward_out, bytes); };
  const auto backward = [&] {
    run_op(rank.backward_in, work.backward_s, rank.backward_out, bytes);
  };
  for (int i = 0; i < warmup; ++i) {
    forward();
  }
  for (int i = warmup; i < work.microbatches; ++i) {
    forward();
    backward();
  }
  for (int i = 0; i < warmup; ++i) {
    backward();
  }
}

// Starts the ranks' actors. An actor is the permanent receiver of its mailboxes, so a message
// flows from the moment it is sent, not from the moment the receiver asks for it.
void deploy(const Workload& work, const std::vector<s4u::Host*>& hosts) {
  std::vector<Rank> ranks(hosts.size());
  for (size_t i = 0; i + 1 < ranks.size(); ++i) {
    s4u::Mailbox* down = s4u::Mailbox::by_name("forward-" + std::to_string(i));
    s4u::Mailbox* up = s4u::Mailbox::by_name("backward-" + std::to_string(i));
    ranks[i].forward_out = down;
    ranks[i + 1].forward_in = down;
    ranks[i + 1].backward_out = up;
    ranks[i].backward_in = up;
  }
  for (size_t i = 0; i < ranks.size(); ++i) {
    const Rank rank = ranks[i];
    const int warmup = std::min(work.ranks - static_cast<int>(i) - 1, work.microbatches);
    const s4u::ActorPtr actor = s4u::Actor::create(
        hosts[i]->get_name(), hosts[i], [&work, rank, warmup] { run_rank(work, rank, warmup); });
    for (s4u::Mailbox* inbox : {rank.forward_in, rank.backward_in}) {
      if (inbox != nullptr) {
        inbox->set_receiver(actor);
      }
    }
  }
}

bool parse_count(const char* text, int* value) {
  char* end = nullptr;
  const long parsed = std::strtol(text, &end, 10);
  if (end == text || *end != '\0' || parsed < 1 || parsed > kMaxCount) {
    return false;
  }
  *value = static_cast<int>(parsed);
  return true;
}

bool parse_microseconds(const char* text, double* seconds) {
  char* end = nullptr;
  const double parsed = std::strtod(text, &end);
  if (end == text || *end != '\0' || !std::isfinite(parsed) || parsed < 0.0) {
    return false;
  }
  *seconds = parsed * kSecondsPerMicrosecond;
  return true;
}

bool parse_workload(int argc, char** argv, Workload* work) {
  return argc == 6 && parse_count(argv[1], &work->ranks) &&
         parse_count(argv[2], &work->microbatches) &&
         parse_microseconds(argv[3], &work->forward_s) &&
         parse_microseconds(argv[4], &work->backward_s) &&
         parse_microseconds(argv[5], &work->hop_s);
}

void print_result(const Workload& work, double step_s, double wall_s) {
  const long long ranks = work.ranks;
  const long long nodes = (2 * ranks + 2 * (ranks - 1)) * work.microbatches;
  std::printf(
      "{\"ranks\":%d,\"microbatches\":%d,\"nodes\":%lld,\"step_time_ns\":%lld,"
      "\"seconds\":%.6f,\"nodes_per_s\":%.0f}\n",
      work.ranks, work.microbatches, nodes, std::llround(step_s * kNanosecondsPerSecond), wall_s,
      static_cast<double>(nodes) / wall_s);
}

}  // namespace

int main(int argc, char** argv) {
  Workload work;
  if (!parse_workload(argc, argv, &work)) {
    std::fprintf(stderr, "usage: simgrid_1f1b P M FORWARD_US BACKWARD_US P2P_US\n");
    return 2;
  }
  const auto begin = std::chrono::steady_clock::now();
  const s4u::Engine engine("simgrid_1f1b");
  configure_engine();
  deploy(work, build_platform(work));
  engine.run();
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - begin;
  print_result(work, s4u::Engine::get_clock(), wall.count());
  return 0;
}
