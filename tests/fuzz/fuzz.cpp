// Feeds the readers of files and frames with what libFuzzer makes up:
//
//     bubblescope_fuzz READER [libFuzzer's options] [FOLDER of examples]
//
// A reader may refuse what it gets, but with the exception meant for that; what it accepts of
// costs, csv and program must read the same after it is written.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <nlohmann/json.hpp>

#include "analysis/gpu_trace/trace_reader.h"
#include "backend_cuda/cluster/frame.h"
#include "backend_cuda/cluster/hello.h"
#include "sim/base/error.h"
#include "sim/costs/cost_file.h"
#include "sim/formats/program_json.h"
#include "sim/formats/torch_csv.h"
#include "sim/program/deadlock.h"
#include "sim/program/lowering.h"
#include "sim/program/program_check.h"
#include "sim/transformer/hardware.h"
#include "sim/transformer/model_file.h"

namespace bubblescope {
namespace {

const std::string kName = "input";

void require(bool holds, const char* what) {
  if (holds)
    return;
  std::fprintf(stderr, "fuzz: %s\n", what);
  std::abort();
}

/// `text` was written by the project: it must be accepted, and written the same once more.
void check_written(const std::string& text, const std::function<std::string()>& write_again) {
  try {
    require(write_again() == text, "what was written differs after it is read");
  } catch (const Error& error) {
    require(false, error.what());
  }
}

void check_read(const PostedProgram& program) {
  const std::string text = to_program_json(program);
  check_written(text, [&] { return to_program_json(parse_program_json(text, kName)); });
  if (!find_fault(program) && !can_run(lower(program)))
    require(!describe_deadlock(lower(program)).empty(), "a deadlock has no words");
}

void read_csv(std::string_view text) {
  std::vector<std::string> notes;
  check_read(parse_torch_csv(text, kName, Dialect::Auto, notes));
}

void read_program(std::string_view text) {
  check_read(parse_program_json(text, kName));
}

std::string written_costs(std::string_view text) {
  return costs_text(parse_costs(text, kName), nlohmann::ordered_json::object());
}

void read_cost_table(std::string_view text) {
  const std::string written = written_costs(text);
  check_written(written, [&] { return written_costs(written); });
}

void read_config(std::string_view text) {
  parse_model(text, kName);
}

void read_gpu(std::string_view text) {
  parse_hardware(text, kName);
}

/// A file in memory, closed at the end.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view text) : descriptor_(memfd_create("fuzz", 0)) {
    require(::write(descriptor_, text.data(), text.size()) == static_cast<ssize_t>(text.size()),
            "no memory for a file");
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

void read_trace(std::string_view text) {
  const MemoryFile file(text);
  KernelNames names;
  read_traces({file.path()}, names);
}

/// The kinds and payloads of the frames in `bytes`, which arrive `at_once` or one at a time.
std::string frames(std::string_view bytes, bool at_once) {
  FrameReader reader(kLongestHello);
  std::string seen;
  const std::size_t step = at_once ? bytes.size() : 1;
  try {
    for (std::size_t i = 0; i < bytes.size(); i += step) {
      reader.feed(bytes.substr(i, step));
      while (const auto frame = reader.next()) {
        seen += std::to_string(static_cast<int>(frame->kind)) + frame->payload + '\n';
        if (frame->kind == FrameKind::Hello)
          seen += read_hello(*frame).version + '\n';
      }
    }
  } catch (const BadFrame& error) {
    seen += error.what();
  }
  return seen;
}

void read_frames(std::string_view bytes) {
  require(frames(bytes, true) == frames(bytes, false), "frames differ when they come in pieces");
}

using Reader = std::function<void(std::string_view)>;
const std::map<std::string, Reader> kReaders = {
    {"config", read_config}, {"costs", read_cost_table}, {"csv", read_csv},
    {"frames", read_frames}, {"hardware", read_gpu},     {"program", read_program},
    {"trace", read_trace},
};
Reader reader;

}  // namespace
}  // namespace bubblescope

/// Takes the reader's name away before libFuzzer reads its options.
extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  using bubblescope::kReaders;
  const auto found = *count > 1 ? kReaders.find((*arguments)[1]) : kReaders.end();
  if (found == kReaders.end()) {
    std::fputs("usage: bubblescope_fuzz READER [OPTION...] [FOLDER...]; READER is one of", stderr);
    for (const auto& [name, unused] : kReaders)
      std::fprintf(stderr, " %s", name.c_str());
    std::fputs("\n", stderr);
    std::exit(2);
  }
  bubblescope::reader = found->second;
  (*arguments)[1] = (*arguments)[0];
  ++*arguments;
  --*count;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    // The copy ends where its bytes do, so that a read past its end is seen.
    const std::vector<char> bytes(data, data + size);
    bubblescope::reader({bytes.data(), bytes.size()});
  } catch (const bubblescope::Error&) {
  }
  return 0;
}
