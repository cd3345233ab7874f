#include "tests/nccl_double/faulty_job.h"

#include <array>
#include <atomic>
#include <fstream>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tests/support/child.h"
#include "tests/support/command.h"

namespace bubblescope {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kStart{30'000};
const std::string kHow = "  how far it came stands in trace.json";

ClusterJobOptions job_options(const FaultyJobOptions& options,
                              const std::filesystem::path& folder) {
  return {.processes = options.processes,
          .line = fmt::format(
              "replay {} --forward 40ms --input-grad 40ms --weight-grad 40ms "
              "--backend nccl --timeout {}s --meet-timeout {}s {} {}",
              fmt::format(fmt::runtime(options.subject), fmt::arg("ranks", options.ranks)),
              kTimeout.count(), kMeetTimeout.count(), options.outputs, options.words),
          .environment = options.environment,
          .changes = options.changes,
          .folder = folder};
}

std::string words_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

FaultyJob::FaultyJob(const FaultyJobOptions& options)
    : job_(job_options(options, folder_.path())) {}

void FaultyJob::wait_for_step(milliseconds while_on) {
  const auto all_have_begun = [&] {
    for (int rank = 0; rank < job_.processes(); ++rank)
      if (!job_.has_begun_step(rank))
        return false;
    return true;
  };
  REQUIRE_MESSAGE(job_.wait_until(all_have_begun, kStart), told());
  std::this_thread::sleep_for(while_on);
}

void FaultyJob::wait_for_communicators() {
  const auto all_have_begun = [&] {
    for (int rank = 0; rank < job_.processes(); ++rank)
      if (job_.notes(rank).empty())
        return false;
    return true;
  };
  REQUIRE_MESSAGE(job_.wait_until(all_have_begun, kStart), told());
}

void FaultyJob::fault() {
  if (!fault_at_)
    fault_at_ = steady_clock::now();
}

void FaultyJob::signal(int rank, int number) {
  fault();
  job_.signal(rank, number);
}

void FaultyJob::check_end(const End& end) {
  fault();
  CHECK(job_.wait(std::chrono::ceil<milliseconds>(*fault_at_ + kLimit - steady_clock::now())));
  for (int rank = 0; rank < job_.processes(); ++rank) {
    CAPTURE(rank);
    const ProcessResult result = job_.result(rank);
    REQUIRE(job_.has_ended(rank));
    const auto code = end.codes.find(rank);
    CHECK(result.exit_code == (code == end.codes.end() ? end.code : code->second));
    CHECK(result.out == "");
    CHECK(!has(result.err, "NCCL double: "));
  }
  const std::string files = folder_.listing();
  CHECK((files == "trace.json" || (files.empty() && end.trace != Trace::Kept)));
  CHECK((files.empty() || end.trace != Trace::None));
  CHECK(has(told(), kHow) == (end.trace == Trace::Kept));
  if (!files.empty())
    CHECK(!nlohmann::json::parse(words_of(folder_ / "trace.json"))["traceEvents"].empty());
}

std::string FaultyJob::told() const {
  std::string all;
  for (int rank = 0; rank < job_.processes(); ++rank)
    all += job_.result(rank).err;
  return all;
}

std::string FaultyJob::told_once() const {
  std::vector<std::string> own;
  for (const std::string& line : lines(told()))
    if (line.starts_with("bubblescope: "))
      own.push_back(line);
  CHECK_MESSAGE(own.size() == 1, told());
  return own.empty() ? "" : own.front();
}

std::string name_of(ClusterJob& job, int rank) {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("rank {} (host {}, process {})", rank, host.data(), job.id(rank));
}

struct StallingLine::State {
  Descriptor listener = {::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"};
  sockaddr_in leader{};
  std::atomic<bool> is_stalled = false;
  std::atomic<bool> is_over = false;
  std::thread thread{};

  void serve() const;
};

/// One process, however often it comes.
void StallingLine::State::serve() const {
  std::array<int, 2> ends = {-1, -1};
  const auto close_both = [&] {
    for (int& end : ends)
      ::close(std::exchange(end, -1));
  };
  while (!is_over) {
    std::array<pollfd, 3> polled = {
        {{ends[0], POLLIN, 0}, {ends[1], POLLIN, 0}, {listener.number(), POLLIN, 0}}};
    ::poll(polled.data(), polled.size(), 10);
    for (std::size_t i = 0; i < ends.size(); ++i) {
      if (polled[i].revents == 0 || ends[i] < 0)
        continue;
      std::array<char, 65'536> bytes;
      const ssize_t count = ::read(ends[i], bytes.data(), bytes.size());
      if (count <= 0 && is_stalled)
        ::close(std::exchange(ends[i], -1));
      else if (count <= 0)
        close_both();
      else if (!is_stalled)
        static_cast<void>(
            ::send(ends[1 - i], bytes.data(), static_cast<std::size_t>(count), MSG_NOSIGNAL));
    }
    if (polled[2].revents == 0)
      continue;
    close_both();
    ends = {::accept(listener.number(), nullptr, nullptr),
            ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (::connect(ends[1], reinterpret_cast<const sockaddr*>(&leader), sizeof leader) != 0)
      close_both();
  }
  close_both();
}

StallingLine::StallingLine(int port) : state_(std::make_unique<State>()) {
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_port = htons(static_cast<std::uint16_t>(port));
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
  state_->leader = here;
  state_->leader.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(state_->listener.number(), reinterpret_cast<const sockaddr*>(&here), sizeof here) !=
          0 ||
      ::listen(state_->listener.number(), 1) != 0)
    throw std::system_error(errno, std::generic_category(), "127.0.0.2");
  state_->thread = std::thread([state = state_.get()] { state->serve(); });
}

StallingLine::~StallingLine() {
  state_->is_over = true;
  state_->thread.join();
}

void StallingLine::stall() {
  state_->is_stalled = true;
}

}  // namespace bubblescope
