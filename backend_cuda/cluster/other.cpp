#include "backend_cuda/cluster/other.h"

#include <chrono>

#include "backend_cuda/cluster/clock_line.h"

namespace bubblescope {
namespace {

void require(Turn turn, Turn its, bool is_first) {
  if (turn != Turn::Lost && (turn != its || !is_first))
    throw BadFrame("out of turn");
}

}  // namespace

void Other::take(std::string_view message, const Plan& plan, Rank rank, Turn turn) {
  Unpacker payload(message);
  const Order order = order_of(payload);
  const auto read_its_times = [&] {
    const Time now = std::chrono::steady_clock::now().time_since_epoch();
    times = read_times(payload, order, plan, rank, now + ClockLine(readings).ahead_at(now));
  };
  switch (order) {
    case Order::Ready:
      require(turn, Turn::Launch, !is_ready);
      payload.end();
      is_ready = true;
      return;
    case Order::Progress: {
      const ProgressReport report = read_progress(payload, plan, rank);
      ended = static_cast<std::size_t>(report.ended);
      if (report.running)  // while it waits, it is where it ran last
        running = report.running;
      return;
    }
    case Order::Done:
      require(turn, Turn::Run, !is_done);
      read_its_times();
      is_done = true;
      running.reset();
      return;
    case Order::Partial:
      return read_its_times();
    case Order::Compared:
      require(turn, Turn::Compare, !parity);
      parity = read_parity(payload);
      return;
    default:
      throw BadFrame("no order to the leader");
  }
}

}  // namespace bubblescope
