#include <fmt/format.h>

#include "backend_cuda/host/host_work.h"
#include "sim/schedule/outputs.h"

namespace bubblescope {
namespace {

class TokenWork final : public HostWork {
 public:
  explicit TokenWork(const Plan& plan)
      : plan_(plan),
        number_(plan.schedule().placement, plan.schedule().microbatches),
        made_(number_.size()),
        arrived_(number_.size()) {}

  void reset() override {
    std::fill(made_.begin(), made_.end(), std::nullopt);
    std::fill(arrived_.begin(), arrived_.end(), std::nullopt);
  }

  void execute(const Action& action) override {
    action.for_each_op([&](const Op& op) { take_input(op); });
    action.for_each_op([&](const Op& op) {
      if (reader_of_output(placement(), op))
        made_[number_[op]] = number_[op];
    });
  }

  void deliver(const PlanMessage& message) override {
    arrived_[number_[message.expected]] = made_[number_[message.sent]];
  }

  std::optional<Parity> parity() override { return std::nullopt; }

 private:
  const Placement& placement() const { return plan_.schedule().placement; }

  void take_input(const Op& op) const {
    const auto maker = maker_of_input(placement(), op);
    if (!maker)
      return;
    const std::size_t needed = number_[Op(op.kind(), *maker, op.microbatch())];
    const bool is_local = placement().rank(*maker) == placement().rank(op.stage());
    const std::optional<std::size_t>& found = (is_local ? made_ : arrived_)[needed];
    if (found != needed)
      throw DeviceError(fmt::format(
          "rank {}: {} needs the output of {} and finds {}", placement().rank(op.stage()),
          to_string(op), to_string(number_.output(needed)),
          found ? "that of " + to_string(number_.output(*found)) : "nothing"));
  }

  const Plan& plan_;
  OutputNumbers number_;
  std::vector<std::optional<std::size_t>> made_;     // [output] where it was made
  std::vector<std::optional<std::size_t>> arrived_;  // [output] where it is needed
};

}  // namespace

std::unique_ptr<HostWork> make_token_work(const Plan& plan) {
  return std::make_unique<TokenWork>(plan);
}

}  // namespace bubblescope
