// Starts a process, for those who wait for its end and those who do not.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

#include "tests/support/process_options.h"

namespace bubblescope {

/// Owns a file descriptor. Throws std::system_error where `number` is none.
class Descriptor {
 public:
  Descriptor(int number, const std::string& what);
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int number() const { return number_; }

 private:
  int number_;
};

/// A file in memory, for what a process writes.
int memory_file(const char* name);
/// What a file has from its beginning, or what a terminal has shown. What a child writes meanwhile
/// goes to its end all the same, if `memory_file` made it.
std::string all_of(const Descriptor& file);

struct ChildStreams {
  int out;
  int err;
};
/// Starts the program at `path`. Of `options`, what does not tell where stdout goes. The child is
/// killed when the thread that starts it ends. Throws std::system_error if it cannot be started.
pid_t start_child(const std::string& path, std::vector<std::string> arguments,
                  const ProcessOptions& options, const ChildStreams& streams);

/// Starts a fork of this process that runs bubblescope's command line, which is faster than the
/// program, above all under sanitizers. Neither destructors of static objects nor LeakSanitizer run
/// as the fork ends. Under sanitizers, beside other threads of this process, it is the program.
pid_t start_command(std::vector<std::string> arguments, const ProcessOptions& options,
                    const ChildStreams& streams);

/// 128 + the signal's number if a signal ended it, as a shell tells it.
int exit_code_of(int wait_status);

}  // namespace bubblescope
