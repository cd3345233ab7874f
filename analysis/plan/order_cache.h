// Orders that many configurations share, compiled once.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>

#include "analysis/plan/compiled_order.h"
#include "analysis/plan/plan_question.h"
#include "sim/base/error.h"

namespace bubblescope {

/// Which orders are kept has no influence on any figure.
class OrderCache {
 public:
  explicit OrderCache(CommWays comm) : comm_(comm) {}

  /// Null where the ranks would wait for one another in a circle. For several threads at a time.
  std::shared_ptr<const CompiledOrder> get(const CatalogueEntry& entry, const PlanSplit& split) {
    const auto slot = [&] {
      const std::lock_guard lock(mutex_);
      auto& found = slots_[{&entry, split.ranks, split.microbatches, split.chunks}];
      if (!found)
        found = std::make_shared<Slot>();
      return found;
    }();
    std::call_once(slot->once, [&] {
      try {
        slot->order = std::make_shared<const CompiledOrder>(
            entry,
            Shape{.ranks = split.ranks, .microbatches = split.microbatches, .chunks = split.chunks},
            comm_.of(entry, split.chunks));
      } catch (const Error&) {
        slot->order = nullptr;
      }
      const std::lock_guard lock(mutex_);
      nodes_ += slot->order ? slot->order->nodes() : 0;
    });
    return slot->order;
  }

  /// Forgets all once they are too many. Not while another thread gets one.
  void trim() {
    constexpr std::size_t kMostNodes = 12'000'000;  // about 20 bytes each
    if (nodes_ <= kMostNodes)
      return;
    slots_.clear();
    nodes_ = 0;
  }

 private:
  struct Slot {
    std::once_flag once;
    std::shared_ptr<const CompiledOrder> order = nullptr;
  };

  CommWays comm_;
  std::mutex mutex_ = {};
  std::map<std::tuple<const CatalogueEntry*, int, int, int>, std::shared_ptr<Slot>> slots_ = {};
  std::size_t nodes_ = 0;
};

}  // namespace bubblescope
