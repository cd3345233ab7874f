// What goes over a line, and what a stranger may send instead.
#include "backend_cuda/cluster/frame.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <random>
#include <string>
#include <sys/resource.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "backend_cuda/cluster/hello.h"
#include "backend_cuda/cluster/token.h"
#include "tests/cluster/forked.h"
#include "tests/support/effort.h"

namespace bubblescope {
namespace {

const Seat kSeat = {.rank = 2,
                    .world = 8,
                    .local_rank = 0,
                    .leader = "gpu7",
                    .port = 4000,
                    .job = "Slurm 4711.0",
                    .told_by = "Slurm",
                    .secret = "s3cret"};

std::vector<Frame> frames_of(FrameReader& reader) {
  std::vector<Frame> frames;
  while (std::optional<Frame> frame = reader.next())
    frames.push_back(std::move(*frame));
  return frames;
}

/// The head of a frame, whose payload never comes.
std::string head(std::uint32_t length, int kind) {
  std::string bytes;
  for (int i = 0; i < 4; ++i)
    bytes += static_cast<char>(length >> (8 * i));
  return bytes + static_cast<char>(kind);
}

/// Bytes such as strangers send: noise, or a frame with some of its bytes changed.
std::string hostile_bytes(std::mt19937_64& random) {
  std::string bytes;
  if (random() % 2 == 0)
    bytes = *hello_frame(kSeat, {});
  else
    bytes.resize(random() % 300);
  const std::size_t changes = bytes.empty() ? 0 : 1 + random() % bytes.size();
  for (std::size_t i = 0; i < changes; ++i)
    bytes[random() % bytes.size()] = static_cast<char>(random());
  return bytes;
}

}  // namespace

TEST_CASE("frames come out of a stream as they went in, wherever it is cut") {
  const std::vector<Frame> sent = {{FrameKind::Mail, ""},
                                   {FrameKind::Gather, std::string("\0\xff\n", 3)},
                                   {FrameKind::Life, ""},
                                   {FrameKind::Mail, std::string(300, 'x')}};
  std::string stream;
  for (const Frame& each : sent)
    stream += *frame_bytes(each.kind, each.payload);
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    FrameReader reader(kLongestPayload);
    reader.feed(stream.substr(0, cut));
    std::vector<Frame> came = frames_of(reader);
    reader.feed(stream.substr(cut));
    for (Frame& each : frames_of(reader))
      came.push_back(std::move(each));
    REQUIRE(came.size() == sent.size());
    for (std::size_t i = 0; i < sent.size(); ++i) {
      CHECK(came[i].kind == sent[i].kind);
      CHECK(came[i].payload == sent[i].payload);
    }
  }
}

TEST_CASE("frames come out of a stream that comes byte by byte") {
  FrameReader reader(kLongestPayload);
  int frames = 0;
  for (int i = 0; i < 1'000; ++i) {
    const FrameBytes bytes = frame_bytes(FrameKind::Mail, std::to_string(i));
    for (const char byte : *bytes) {
      reader.feed({&byte, 1});
      while (const std::optional<Frame> frame = reader.next())
        CHECK(frame->payload == std::to_string(frames++));
    }
  }
  CHECK(frames == 1'000);
}

TEST_CASE("integers and texts survive, and too few bytes are told") {
  constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
  const std::string bytes = Packer().integer(kLeast).integer(-1).text("größer\0").text("").take();
  CHECK(bytes.substr(8, 8) == std::string(8, '\xff'));
  Unpacker all(bytes);
  CHECK(all.integer() == kLeast);
  CHECK(all.integer() == -1);
  CHECK(all.text() == "größer");
  CHECK(all.text().empty());
  CHECK_THROWS_AS(all.integer(), BadFrame);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Unpacker part(std::string_view(bytes).substr(0, size));
    CHECK_THROWS_AS((part.integer(), part.integer(), part.text(), part.text()), BadFrame);
  }
  for (const std::int64_t length :
       {std::int64_t{-1}, std::int64_t{2}, kLeast, std::numeric_limits<std::int64_t>::max()}) {
    const std::string text = Packer().integer(length).take() + "x";
    CHECK_THROWS_AS(Unpacker(text).text(), BadFrame);
  }
}

TEST_CASE("numbers are taken within bounds, texts that are shown without control characters") {
  const std::string number = Packer().integer(7).take();
  for (const auto& [least, most] : {std::pair(7, 7), {-1, 8}, {0, 7}, {7, 9}})
    CHECK(Unpacker(number).integer(least, most) == 7);
  for (const auto& [least, most] : {std::pair(8, 9), {0, 6}, {-9, -7}})
    CHECK_THROWS_AS(Unpacker(number).integer(least, most), BadFrame);
  CHECK_THROWS_AS(Unpacker(number).end(), BadFrame);
  CHECK_NOTHROW(Unpacker("").end());
  CHECK(Unpacker(Packer().real(-0.1).take()).real() == -0.1);
  const auto words = [](const std::string& text, std::size_t most) {
    return Unpacker(Packer().text(text).take()).words(most);
  };
  CHECK(words("größer\x1b[2J\xc2\x9b\x7f\xff\xed\xa0\x80", 99) == "größer?[2J??????");
  CHECK(words("größer", 3) == "grö…");
}

TEST_CASE("a hello tells who a process is, wherever it is cut") {
  const std::string bytes = *hello_frame(kSeat, {.version = "bubblescope 0.1.0"});
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    FrameReader reader(kLongestHello);
    reader.feed(bytes.substr(0, cut));
    std::optional<Frame> frame = reader.next();
    CHECK(frame.has_value() == (cut == bytes.size()));
    reader.feed(bytes.substr(cut));
    if (!frame)
      frame = reader.next();
    REQUIRE(frame);
    const Hello hello = read_hello(*frame);
    CHECK(hello.protocol == kProtocol);
    CHECK(hello.token == job_token("Slurm 4711.0", "s3cret"));
    CHECK(hello.world == 8);
    CHECK(hello.process.rank == 2);
    CHECK(hello.process.pid == ::getpid());
    CHECK(hello.process.host == this_process(0).host);
    CHECK(hello.version == "bubblescope 0.1.0");
  }
}

TEST_CASE("what is no hello is told: another kind, a magic word of others, numbers out of range") {
  const Frame good = [] {
    FrameReader reader(kLongestHello);
    reader.feed(*hello_frame(kSeat, {}));
    return *reader.next();
  }();
  CHECK_THROWS_AS(read_hello({FrameKind::Gather, good.payload}), BadFrame);
  for (std::size_t size = 0; size < good.payload.size(); ++size)
    CHECK_THROWS_AS(read_hello({FrameKind::Hello, good.payload.substr(0, size)}), BadFrame);
  constexpr std::size_t kRank = 3 * 8;
  constexpr std::size_t kWorld = 4 * 8;
  for (const std::size_t field : {std::size_t{0}, kRank, kWorld})
    for (const std::int64_t value : {std::int64_t{-1}, std::int64_t{1} << 31U}) {
      Frame bad = good;
      bad.payload.replace(field, 8, Packer().integer(value).take());
      CHECK_THROWS_AS(read_hello(bad), BadFrame);
    }
  CHECK_NOTHROW(read_hello({FrameKind::Hello, good.payload + "more, of later versions"}));
}

TEST_CASE("a frame is refused by its head where it is too long or of no known kind") {
  for (const std::string& bytes :
       {head(kLongestHello + 1, 1), head(0xffff'ffff, 1), head(0x4745'5420, 1), head(0, 0),
        head(0, 12), head(0, 0xff), std::string("GET / HTTP/1.1\r\n\r\n")}) {
    FrameReader reader(kLongestHello);
    reader.feed(bytes);
    CHECK_THROWS_AS(reader.next(), BadFrame);
  }
  FrameReader reader(kLongestHello);
  reader.feed(head(kLongestHello, 1));
  CHECK_FALSE(reader.next());
}

TEST_CASE(
    "hostile bytes end in a frame, in waiting for more or in a complaint, and take no memory") {
  constexpr std::uint64_t kSeed = 20'260'719;
  MESSAGE("seed ", kSeed);
  const int code = exit_code_of([] {
    if (!kSanitized) {  // whose shadow memory is larger than any limit
      const rlimit limit = {256U << 20U, 256U << 20U};
      if (::setrlimit(RLIMIT_AS, &limit) != 0)
        return 2;
    }
    std::mt19937_64 random(kSeed);
    const int tries = kSanitized ? 20'000 : 100'000;
    int complaints = 0;
    for (int i = 0; i < tries; ++i)
      try {
        FrameReader reader(i % 2 == 0 ? kLongestHello : kLongestPayload);
        reader.feed(hostile_bytes(random));
        while (const std::optional<Frame> frame = reader.next())
          read_hello(*frame);
      } catch (const BadFrame&) {
        ++complaints;
      }
    return complaints > tries / 2 ? 0 : 3;
  });
  CHECK(code == 0);
}

TEST_CASE("tokens differ by job and by secret, also where letters move between them") {
  CHECK(job_token("a", "b") == job_token("a", "b"));
  CHECK(job_token("a", "b") != job_token("ab", ""));
  CHECK(job_token("a", "b") != job_token("", "ab"));
  CHECK(job_token("a", "") != job_token("a", "b"));
  CHECK(same_token(7, 7));
  for (int bit = 0; bit < 64; ++bit)
    CHECK_FALSE(same_token(7, 7 ^ (std::uint64_t{1} << bit)));
}

}  // namespace bubblescope
