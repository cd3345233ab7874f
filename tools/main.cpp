// bubblescope: what a process needs before its command line is run.
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include "tools/command_line.h"

namespace bubblescope {
namespace {

/// Arrays below 32 MiB are reused by the next one instead of going back to the kernel: filling
/// fresh pages costs more than simulating the ops in them.
void keep_freed_memory() {
  constexpr int kMostKept = 1 << 30;
  constexpr int kLargestBlock = 32 << 20;  // the most that malloc takes for this setting
  mallopt(M_TRIM_THRESHOLD, kMostKept);
  mallopt(M_MMAP_THRESHOLD, kLargestBlock);
}

/// Opens /dev/null for each standard stream that is closed, or the next file opened would get its
/// number and the messages meant for it. Read-only, so that writing a result to a closed stdout
/// still fails.
void hold_standard_streams() {
  int file = 0;
  while (file >= 0 && file <= STDERR_FILENO)
    file = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (file > STDERR_FILENO)
    close(file);
}

}  // namespace
}  // namespace bubblescope

int main(int argc, char** argv) {
  bubblescope::hold_standard_streams();
  bubblescope::keep_freed_memory();
  return bubblescope::run_command_line(argc, argv);
}
