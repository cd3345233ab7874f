#include "sim/engine/flows.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace bubblescope {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

}  // namespace

Flows::Flows(std::vector<double> capacities) : links_(capacities.size()) {
  for (std::size_t link = 0; link < capacities.size(); ++link)
    links_[link].capacity = capacities[link];
}

void Flows::begin(Time now, const Flow& flow) {
  Slot slot = static_cast<Slot>(flows_.size());
  if (free_.empty()) {
    flows_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  State& state = flows_[slot];
  state = {.message = flow.message, .links = flow.links, .since = now, .end = Time::max()};
  state.limit = flow.bytes_per_second;
  if (state.limit == 0)
    state.limit = kInfinite;
  state.alone = state.limit;
  for (std::size_t which = 0; which < state.crossed().size(); ++which) {
    SharedLink& link = links_[flow.links[which]];
    state.alone = std::min(state.alone, link.capacity);
    state.place_on_link[which] = static_cast<std::uint32_t>(link.flows.size());
    link.flows.push_back(slot);
    reach(flow.links[which]);
  }
  // The very operations of message_time(link, bytes), so that both round alike.
  state.left_ns = static_cast<double>(flow.bytes) / state.alone * 1e6 * 1e3;
  heap_.push_back(slot);
  state.place_in_heap = static_cast<std::uint32_t>(heap_.size() - 1);
  sift_up(heap_.size() - 1);
}

std::uint32_t Flows::end_next() {
  const Slot slot = heap_[0];
  const Slot last = heap_.back();
  heap_.pop_back();
  if (!heap_.empty()) {
    place_in_heap(0, last);
    sift_down(0);
  }
  for (std::size_t which = 0; which < flows_[slot].crossed().size(); ++which)
    take_off(slot, which);
  free_.push_back(slot);
  return flows_[slot].message;
}

void Flows::take_off(Slot slot, std::size_t which) {
  const LinkId id = flows_[slot].links[which];
  std::vector<Slot>& on_link = links_[id].flows;
  const std::uint32_t place = flows_[slot].place_on_link[which];
  on_link[place] = on_link.back();
  on_link.pop_back();
  if (place < on_link.size()) {
    State& other = flows_[on_link[place]];
    other.place_on_link[other.links[0] == id ? 0 : 1] = place;
  }
  reach(id);
}

void Flows::reach(LinkId link) {
  if (!std::exchange(links_[link].is_reached, true))
    reached_links_.push_back(link);
}

void Flows::settle(Time now) {
  if (reached_links_.empty())
    return;
  find_reached();
  divide();
  for (const Slot slot : reached_flows_) {
    flows_[slot].is_reached = false;
    set_speed(slot, now);
  }
  for (const LinkId link : reached_links_)
    links_[link].is_reached = false;
  reached_links_.clear();
  reached_flows_.clear();
}

/// From the links that changed to all that share flows with them, and to those flows.
void Flows::find_reached() {
  for (std::size_t i = 0; i < reached_links_.size(); ++i) {
    SharedLink& link = links_[reached_links_[i]];
    link.left = link.capacity;
    link.waiting = static_cast<std::uint32_t>(link.flows.size());
    for (const Slot slot : link.flows) {
      State& flow = flows_[slot];
      if (std::exchange(flow.is_reached, true))
        continue;
      flow.new_speed = -1;
      reached_flows_.push_back(slot);
      for (const LinkId other : flow.crossed())
        reach(other);
    }
  }
  std::sort(reached_links_.begin(), reached_links_.end());
  std::sort(reached_flows_.begin(), reached_flows_.end(), [&](Slot a, Slot b) {
    return std::pair(flows_[a].limit, flows_[a].message) <
           std::pair(flows_[b].limit, flows_[b].message);
  });
}

/// Fills all links at once: the one that is full first fixes what its flows have, or their own
/// limit does.
void Flows::divide() {
  std::size_t next_limited = 0;
  for (;;) {
    const LinkId full = narrowest();
    if (full == kNoLink)
      return;
    const double share = links_[full].left / links_[full].waiting;
    if (fix_limited(share, next_limited))
      continue;
    for (const Slot slot : links_[full].flows)
      if (flows_[slot].new_speed < 0)
        fix(flows_[slot], share);
  }
}

/// Fixes the flows that want no more than `share`, by limit from `next` on; whether there are any.
bool Flows::fix_limited(double share, std::size_t& next) {
  bool is_any = false;
  for (; next < reached_flows_.size(); ++next) {
    State& flow = flows_[reached_flows_[next]];
    if (flow.new_speed >= 0)
      continue;
    if (flow.limit > share)
      break;
    fix(flow, flow.limit);
    is_any = true;
  }
  return is_any;
}

/// The link that leaves least to each flow without a share; kNoLink where all have one.
LinkId Flows::narrowest() const {
  LinkId result = kNoLink;
  double least = kInfinite;
  for (const LinkId id : reached_links_) {
    const SharedLink& link = links_[id];
    if (link.waiting == 0)
      continue;
    const double share = link.left / link.waiting;
    if (result == kNoLink || share < least) {
      least = share;
      result = id;
    }
  }
  return result;
}

void Flows::fix(State& flow, double rate) {
  flow.new_speed = rate < flow.alone ? rate / flow.alone : 1;
  for (const LinkId id : flow.crossed()) {
    links_[id].left = std::max(links_[id].left - rate, 0.0);
    --links_[id].waiting;
  }
}

void Flows::set_speed(Slot slot, Time now) {
  State& flow = flows_[slot];
  if (flow.new_speed == flow.speed)
    return;
  const auto passed = static_cast<double>((now - flow.since).count());
  flow.left_ns = std::max(flow.left_ns - flow.speed * passed, 0.0);
  flow.speed = flow.new_speed;
  flow.since = now;
  flow.end = now + Time(std::llround(flow.left_ns / flow.speed));
  sift_up(flow.place_in_heap);
  sift_down(flow.place_in_heap);
}

bool Flows::is_before(Slot a, Slot b) const {
  return std::pair(flows_[a].end, flows_[a].message) < std::pair(flows_[b].end, flows_[b].message);
}

void Flows::place_in_heap(std::size_t place, Slot slot) {
  heap_[place] = slot;
  flows_[slot].place_in_heap = static_cast<std::uint32_t>(place);
}

void Flows::sift_up(std::size_t place) {
  const Slot slot = heap_[place];
  for (; place > 0 && is_before(slot, heap_[(place - 1) / 2]); place = (place - 1) / 2)
    place_in_heap(place, heap_[(place - 1) / 2]);
  place_in_heap(place, slot);
}

void Flows::sift_down(std::size_t place) {
  const Slot slot = heap_[place];
  for (std::size_t child = 2 * place + 1; child < heap_.size(); child = 2 * place + 1) {
    if (child + 1 < heap_.size() && is_before(heap_[child + 1], heap_[child]))
      ++child;
    if (!is_before(heap_[child], slot))
      break;
    place_in_heap(place, heap_[child]);
    place = child;
  }
  place_in_heap(place, slot);
}

}  // namespace bubblescope
