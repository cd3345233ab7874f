#include "tools/trace_option.h"

#include "tools/errors.h"
#include "tools/output.h"

namespace bubblescope {

void TraceOption::add_to(CLI::App& app, const char* help) {
  add_option(app, {"--trace", "FILE[.gz]", help, "Output"}, path);
}

void TraceOption::check(const OutputOptions& output) const {
  if (path == "-" || (is_given() && path == output.path))
    throw UsageError("--trace needs a file of its own");
}

void TraceOption::write(const std::function<void(const Sink&)>& writer) const {
  OutputFile file(path);
  writer([&](std::string_view piece) { file.write(piece); });
  file.commit();
}

}  // namespace bubblescope
