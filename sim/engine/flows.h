// Messages in flight that share links: who gets how much of them, and when each has arrived.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sim/base/types.h"
#include "sim/costs/network.h"

namespace bubblescope {

/// Divides links among flows by max-min fairness: no flow could have more without taking it from
/// one that has no more itself, and none has more than its own limit. What each has left is told
/// in nanoseconds that it would take alone, as a double, which becomes a Time once, when its end
/// is known; a flow that is never slowed down takes exactly what it takes alone.
class Flows {
 public:
  struct Flow {
    std::uint32_t message;        ///< What it is called by; ties go to the lower.
    Bytes bytes;                  ///< > 0
    double bytes_per_second;      ///< The most that it takes; 0: unlimited.
    std::array<LinkId, 2> links;  ///< As in `Route`: at least one.
  };

  /// [LinkId] bytes per second, > 0 where a flow crosses the link.
  explicit Flows(std::vector<double> capacities);

  /// Lets a flow begin. Its end is known once `settle` was called.
  void begin(Time now, const Flow& flow);
  /// When the next flow ends, as long as none begins; Time::max() where none will.
  Time next_end() const { return heap_.empty() ? Time::max() : flows_[heap_[0]].end; }
  /// Takes the flow with the next end out, and tells its message.
  std::uint32_t end_next();
  /// Divides anew the links of flows that began and ended by `now`: due before time goes on.
  void settle(Time now);

 private:
  using Slot = std::uint32_t;

  struct State {
    std::uint32_t message = 0;
    std::array<LinkId, 2> links{};
    std::array<std::uint32_t, 2> place_on_link{};  // in on_link_
    std::uint32_t place_in_heap = 0;
    double limit = 0;      // bytes per second; infinite: none
    double alone = 0;      // bytes per second where nothing contends
    double left_ns = 0;    // at `since`, of what it takes alone
    double speed = 0;      // of `alone`, from `since` on
    double new_speed = 0;  // < 0: to be found
    Time since{};
    Time end{};
    bool is_reached = false;

    std::span<const LinkId> crossed() const {
      return {links.data(), links[1] == kNoLink ? std::size_t{1} : std::size_t{2}};
    }
  };

  struct SharedLink {
    double capacity = 0;
    std::vector<Slot> flows = {};
    double left = 0;            // of the capacity, while it is divided
    std::uint32_t waiting = 0;  // flows that have no share yet
    bool is_reached = false;
  };

  void take_off(Slot slot, std::size_t which);
  void reach(LinkId link);
  void find_reached();
  void divide();
  bool fix_limited(double share, std::size_t& next);
  LinkId narrowest() const;
  void fix(State& flow, double rate);
  void set_speed(Slot slot, Time now);
  bool is_before(Slot a, Slot b) const;
  void place_in_heap(std::size_t place, Slot slot);
  void sift_up(std::size_t place);
  void sift_down(std::size_t place);

  std::vector<SharedLink> links_;           // [LinkId]
  std::vector<State> flows_ = {};           // [slot]
  std::vector<Slot> free_ = {};             // slots without a flow
  std::vector<Slot> heap_ = {};             // by end, then message
  std::vector<LinkId> reached_links_ = {};  // those that changed, and what shares flows with them
  std::vector<Slot> reached_flows_ = {};
};

}  // namespace bubblescope
