// A small plan for two ranks, and one of them that never comes to an end.
#pragma once

#include <chrono>
#include <optional>
#include <thread>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/replay/rank_executor.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"

namespace bubblescope {

struct PlanOfTwo {
  PostedProgram program =
      post_messages(*find_schedule("1f1b"), {.ranks = 2, .microbatches = 4}, Comm::Stream);
  CostModel costs{simple_costs({.forward = 1'000, .input_grad = 1'000, .weight_grad = 1'000}),
                  program.schedule.placement,
                  {}};
  Plan plan = make_plan(program, costs);

  PlanOfTwo() = default;
  PlanOfTwo(const PlanOfTwo&) = delete;
  PlanOfTwo& operator=(const PlanOfTwo&) = delete;
};

inline InstructionId first_action(const Plan& plan, Rank rank) {
  InstructionId id = 0;
  while (plan.rank_of(id) != rank || plan.instructions[id].kind != Instruction::Kind::Action)
    ++id;
  return id;
}

/// Its step is ready at once, and then goes on until it is aborted.
class Idle final : public RankExecutor {
 public:
  explicit Idle(const Plan& plan) : plan_(plan) {}

  MachineFacts machine() const override { return {{"device", "a test"}}; }
  void start() override {}
  bool wait(std::chrono::milliseconds patience) override {
    std::this_thread::sleep_for(patience);
    return false;
  }
  std::size_t ended() const override { return 0; }
  void abort() noexcept override {}
  RunTimes times() const override {
    constexpr Span kNothing{kNever, kNever};
    return {.instructions = std::vector<Span>(plan_.instructions.size(), kNothing),
            .messages = std::vector<Span>(plan_.messages.size(), kNothing)};
  }
  std::optional<Parity> parity() override { return std::nullopt; }
  bool is_ready() override { return true; }
  void open() override {}
  std::optional<InstructionId> running() const override { return std::nullopt; }

 private:
  const Plan& plan_;
};

}  // namespace bubblescope
