// Traces as PyTorch's profiler writes them: read as a stream, to the nanosecond.
#include "analysis/traces/annotations.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <zlib.h>

#include "sim/base/error.h"
#include "tests/support/command.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

std::vector<Annotation> read(const TemporaryFolder& folder, const std::string& name = "t.json") {
  std::vector<Annotation> all;
  read_annotations((folder / name).string(), [](std::string_view event) { return event != "op"; },
                   [&](const Annotation& each) { all.push_back(each); });
  return all;
}

/// The reader's error about a file with `text`, behind the file's name.
std::string complaint(const std::string& text, const std::string& name = "t.json") {
  const TemporaryFolder folder;
  folder.write(name, text);
  try {
    read(folder, name);
  } catch (const Error& error) {
    const std::string what = error.what();
    const std::string prefix = (folder / name).string() + ": ";
    REQUIRE(what.starts_with(prefix));
    return what.substr(prefix.size());
  }
  return "";
}

std::string packed(const std::string& text) {
  const TemporaryFolder folder;
  gzFile file = gzopen((folder / "x.gz").c_str(), "wb");
  gzwrite(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  return contents(folder / "x.gz");
}

const std::string kEvent =
    R"({"ph": "X", "cat": "gpu_user_annotation", "name": "PP:0F3", "pid": 2, "tid": "stream 7",)"
    R"( "ts": 1724152123456789.123, "dur": 601.5, "args": {"name": "no", "ts": 1, "dur": [2]}})";

}  // namespace

TEST_CASE("digits of microseconds become nanoseconds without a double between") {
  struct Case {
    const char* digits;
    std::int64_t nanoseconds;
  };
  const Case cases[] = {{"1724152123456789.123", 1724152123456789123},
                        {"0", 0},
                        {"-0.0", 0},
                        {"1", 1000},
                        {"-1.5", -1500},
                        {"0.0004", 0},
                        {"0.0005", 1},
                        {"9.9996", 10000},
                        {"6.5e2", 650000},
                        {"6.5E+2", 650000},
                        {"12345e-4", 1235},
                        {"0.00001e8", 1000000},
                        {"1e-9", 0}};
  for (const Case& each : cases)
    CHECK_MESSAGE(time_from_us_digits(each.digits).count() == each.nanoseconds, each.digits);
  for (const char* wrong : {"", "-", "abc", "1.2.3", "1e", "1e99999", "5e15", "null", "0x1"})
    CHECK_THROWS_AS(time_from_us_digits(wrong), Error);
}

TEST_CASE("complete events are read from an object or an array, plain or packed") {
  for (const std::string& text :
       {R"({"schemaVersion": 1, "distributedInfo": {"rank": 3, "list": [{"ph": "X"}]},)"
        R"( "traceEvents": [{"ph": "M", "name": "process_name"}, )" +
            kEvent + R"(], "traceName": "x"})",
        "[" + kEvent + "]"}) {
    const TemporaryFolder folder;
    folder.write("t.json", text);
    folder.write("t.json.gz", packed(text));
    for (const char* name : {"t.json", "t.json.gz"}) {
      const auto all = read(folder, name);
      REQUIRE(all.size() == 1);
      CHECK(all[0].name == "PP:0F3");
      CHECK(all[0].category == "gpu_user_annotation");
      CHECK(all[0].process == "2");
      CHECK(all[0].thread == "stream 7");
      CHECK(all[0].span.start.count() == 1724152123456789123);
      CHECK(all[0].span.length().count() == 601500);
    }
  }
}

TEST_CASE("what is wrong in a trace is told with file and place") {
  CHECK(has(complaint("[" + kEvent), "parse error"));
  CHECK(has(complaint(R"({"traceEvents": [{"ph": "X", "ts": NaN}]})"), "line 1, column 36"));
  CHECK(complaint(R"({"a": [1]})") == "expected a trace: an array of events, or \"traceEvents\"");
  CHECK(complaint("3") == "expected a trace: an array of events, or \"traceEvents\"");
  CHECK(complaint(R"([{"ph": "M"}, {"ph": "X", "name": "a", "ts": 1}])") == "/1/dur: is missing");
  CHECK(complaint(R"({"traceEvents": [{"ph": "X", "name": "a", "dur": 1}]})") ==
        "/traceEvents/0/ts: is missing");
  CHECK(complaint(R"([{"ph": "X", "name": "a", "ts": 1, "dur": -1}])") ==
        "/0/dur: is below 0: time goes backwards");
  CHECK(complaint(R"([{"ph": "X", "name": "a", "ts": null, "dur": 1}])") ==
        "/0/ts: expected a time in µs, got 'null'");
  const std::string whole = packed("[" + kEvent + "]");
  CHECK(complaint(whole.substr(0, whole.size() / 2), "t.json.gz") == "the packed data end early");
  const auto all = [](std::string_view) { return true; };
  CHECK_THROWS_AS(read_annotations("/nowhere.json", all, [](const Annotation&) {}), Error);
}

TEST_CASE("an event that does not count may be as it is") {
  for (const char* odd :
       {R"("name": "op", "ts": 1, "dur": -1)", R"("name": "op", "ts": "soon", "dur": 1)",
        R"("name": "op", "ts": 1)", R"("ts": 1, "dur": 1)"}) {
    CAPTURE(odd);
    CHECK(complaint(std::string(R"([{"ph": "X", )") + odd + "}, " + kEvent + "]").empty());
  }
}

}  // namespace bubblescope
