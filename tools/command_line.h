// The command line: it is read, dispatched, and what is thrown becomes a message and an exit code.
#pragma once

namespace bubblescope {

/// Runs the subcommand that the words name and returns the exit code. Nothing is thrown.
int run_command_line(int argc, char** argv);

}  // namespace bubblescope
