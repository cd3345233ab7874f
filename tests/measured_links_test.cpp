// What messages between processes were measured to take, and costs that say so.
#include "backend_cuda/replay/measured_links.h"

#include <cmath>
#include <random>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "backend_cuda/host/host_executor.h"
#include "backend_cuda/replay/calibrate.h"
#include "sim/program/posting.h"
#include "sim/schedule/catalogue.h"
#include "tests/support/costs.h"

namespace bubblescope {
namespace {

constexpr Bytes kSizes[] = {1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26};

std::vector<MeasuredLink::Sample> samples_of(const Link& link) {
  std::vector<MeasuredLink::Sample> samples;
  for (const Bytes bytes : kSizes)
    samples.push_back({bytes, message_time(link, bytes)});
  return samples;
}

TEST_CASE("latency and bandwidth are found from messages that have them exactly") {
  std::mt19937_64 random(20'261'128);
  for (int trial = 0; trial < 200; ++trial) {
    const Link link = {Time(1000 + static_cast<std::int64_t>(random() % 1'000'000)),
                       1e8 * std::pow(10.0, static_cast<double>(random() % 400) / 100)};
    CAPTURE(link.latency.count());
    CAPTURE(link.bytes_per_second);
    const MeasuredLink found = fit_link(samples_of(link));
    CHECK(std::abs((found.link.latency - link.latency).count()) <= 2);
    CHECK(found.link.bytes_per_second == doctest::Approx(link.bytes_per_second).epsilon(1e-3));
    CHECK(found.error <= 1e-3);
  }
}

TEST_CASE("a fit has neither a negative latency nor a negative bandwidth, and tells its error") {
  const MeasuredLink no_latency = fit_link({{1000, Time(1000)}, {3000, Time(4000)}});
  CHECK(no_latency.link.latency == Time::zero());
  CHECK(no_latency.link.bytes_per_second > 0);
  CHECK(no_latency.error > 0.05);
  const MeasuredLink no_slope = fit_link({{1000, Time(2000)}, {3000, Time(1000)}});
  CHECK(no_slope.link.bytes_per_second == 0);  // unlimited
  CHECK(no_slope.link.latency >= Time(1000));
  CHECK(no_slope.link.latency <= Time(2000));
  CHECK_THROWS_AS(fit_link({{1000, Time(1)}, {1000, Time(2)}}), DeviceError);
}

TEST_CASE("a message takes what was measured of messages as long, and between two sizes a share") {
  // A protocol for short ones, and another from 64 KiB on: no line fits both.
  const MeasuredLink measured = fit_link({{4096, Time(9'000)},
                                          {16'384, Time(10'000)},
                                          {65'536, Time(30'000)},
                                          {1 << 20, Time(60'000)},
                                          {1 << 22, Time(240'000)}});
  CHECK(measured.error > 0.2);
  const auto time = [&](Bytes bytes) { return message_time(link_near(measured, bytes), bytes); };
  for (const MeasuredLink::Sample& each : measured.samples) {
    CAPTURE(each.bytes);
    CHECK(std::abs((time(each.bytes) - each.time).count()) <= 1);
  }
  CHECK(std::abs((time((4096 + 16'384) / 2) - Time(9'500)).count()) <= 1);
  CHECK(std::abs((time((16'384 + 65'536) / 2) - Time(20'000)).count()) <= 1);
  for (const Bytes least : {0, 1, 4095})
    CHECK(time(least) == Time(9'000));
  CHECK(std::abs((time(1 << 23) - Time(480'000)).count()) <= 1);  // as from 1 to 4 MiB
}

TEST_CASE("where stages send unlike amounts, one line has to do for all of them") {
  const MeasuredLink measured =
      fit_link({{4096, Time(9'000)}, {1 << 20, Time(60'000)}, {1 << 22, Time(240'000)}});
  const MeasuredLinks links{.node_of_rank = {0, 0}, .same_node = measured};
  CostSource costs{.name = "costs", .stage_by_stage = true, .stages = std::vector<StageCost>(2)};
  costs.stages[0].message = 1 << 22;
  costs.stages[1].message = 4096;
  lay_links(links, costs);
  CHECK(costs.network->intra_node.message.latency == measured.link.latency);
  CHECK(costs.network->intra_node.message.bytes_per_second == measured.link.bytes_per_second);
  costs.stages[1].message = 1 << 22;
  lay_links(links, costs);
  CHECK(std::abs(
            (message_time(costs.network->intra_node.message, 1 << 22) - Time(240'000)).count()) <=
        1);
}

TEST_CASE("a profile without samples has its line") {
  const MeasuredLink measured{.link = {Time(5'000), 2e10}};
  CHECK(link_near(measured, 1 << 20).latency == Time(5'000));
  CHECK(link_near({.samples = {{4096, Time(1)}}, .link = measured.link}, 1).latency == Time(5'000));
}

TEST_CASE("a longer message that was measured to be quicker bends nothing below zero") {
  const MeasuredLink measured =
      fit_link({{4096, Time(9'000)}, {16'384, Time(8'000)}, {65'536, Time(90'000)}});
  const auto time = [&](Bytes bytes) { return message_time(link_near(measured, bytes), bytes); };
  CHECK(time(4096) == Time(9'000));
  CHECK(time(10'000) == Time(9'000));
  CHECK(std::abs((time(16'384) - Time(8'000)).count()) <= 1);  // that line has no latency to give
  CHECK(std::abs((time(65'536) - Time(90'000)).count()) <= 1);
}

TEST_CASE(
    "messages take what was measured of their pair of ranks, and all-to-alls what theirs do") {
  const Link near = {Time(1000), 1e9};
  const Link far = {Time(5000), 1e8};
  const Link all_to_all = {Time(7000), 2e9};
  MeasuredLinks links{.node_of_rank = {0, 0, 1, 1},
                      .same_node = fit_link(samples_of(near)),
                      .across = fit_link(samples_of(far)),
                      .replicas = 2,
                      .all_to_all = fit_link(samples_of(all_to_all))};
  StageCost stage;
  stage.timed_by_phases = true;
  stage.message = 1'000'000;
  stage.phases = {.phases = {{.name = "attn(F)", .of = OpKind::Forward, .stream = {}},
                             {.name = "dispatch(F)",
                              .of = OpKind::Forward,
                              .stream = PhaseStream::Expert,
                              .sent = 4'000'000},
                             {.name = "combine(F)",
                              .of = OpKind::Forward,
                              .stream = PhaseStream::Expert,
                              .sent = 4'000'000}},
                  .times = {{Time(10), Time(10)}, {Time(20), Time(20)}, {}}};
  CostSource costs{.name = "costs", .stages = {stage}, .link = {Time(1), 0}};
  lay_links(links, costs);
  const CostModel model(costs, loop_placement({4, 1}), {});
  const auto is_about = [](Time time, Time expected) {
    return std::abs((time - expected).count()) <= 2;
  };
  CHECK(is_about(model.message_time({OpKind::Forward, 0, 0}), message_time(near, 1'000'000)));
  CHECK(is_about(model.message_time({OpKind::Forward, 1, 0}), message_time(far, 1'000'000)));
  CHECK(is_about(model.message_time({OpKind::BackwardInput, 2, 0}), message_time(far, 1'000'000)));
  // A layer without a combine has none after this either.
  CHECK(is_about(model.duration(Op(OpKind::Forward, 0, 0)),
                 Time(10) + message_time(all_to_all, 4'000'000)));
  links.across.reset();  // all ranks of a pipe on one node
  links.node_of_rank = {0, 0, 0, 0};
  lay_links(links, costs);
  const CostModel near_only(costs, loop_placement({4, 1}), {});
  CHECK(is_about(near_only.message_time({OpKind::Forward, 1, 0}), message_time(near, 1'000'000)));
}

TEST_CASE("links are calibrated to the nanosecond where the machine keeps to them") {
  const ExecutorMaker host = [](const Plan& plan, const ExecutorOptions& options) {
    return make_host_executor(plan, options);
  };
  const Link link = {Time(20'000), 5e9};
  const Profile profile = calibrate(
      host, {.ranks = 4, .link = link, .node_of_rank = {0, 0, 1, 1}, .replicas = 1, .repeats = 1});
  REQUIRE(profile.links);
  for (const auto& found : {profile.links->same_node, profile.links->across}) {
    REQUIRE(found);
    CHECK(std::abs((found->link.latency - link.latency).count()) <= 1);
    CHECK(found->link.bytes_per_second == doctest::Approx(5e9).epsilon(1e-4));
    CHECK(found->samples.size() == std::size(kSizes));
    for (const MeasuredLink::Sample& each : found->samples)
      CHECK(each.time == message_time(link, each.bytes));
  }
  CHECK_FALSE(profile.links->all_to_all);
  CHECK(profile.contention.empty());  // of timed work
  for (const LaunchGaps& gaps : profile.gaps)
    CHECK(gaps.message_overrun <= Time(1));  // nothing beside what the links say
  CHECK(profile_json(parse_profile(profile_json(profile), "p.json")) == profile_json(profile));
}

}  // namespace
}  // namespace bubblescope
