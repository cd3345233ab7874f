#include "tools/options/picture_options.h"

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "tools/errors.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

/// However it is written.
std::filesystem::path place(const std::string& path) {
  std::error_code error;
  auto place = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  return error ? std::filesystem::path(path) : place;
}

}  // namespace

void PictureOption::add_to(CLI::App& app, const char* help) {
  add_option(app, {name, "FILE", help, "Output"}, path);
}

void PictureOption::check_size(std::size_t actions) const {
  if (is_given() && actions > most)
    throw Error(
        fmt::format("{}: the schedule has {} actions, but such a picture shows at most {}; "
                    "--trace has no such limit",
                    name, actions, most));
}

void PictureOption::write(std::string_view text) const {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

void require_own_files(const OutputOptions& output, const std::vector<NamedOutput>& files) {
  std::vector<NamedOutput> taken;
  if (!output.path.empty() && output.path != "-")
    taken.push_back({"--output", output.path});
  for (const NamedOutput& file : files) {
    if (file.path.empty())
      continue;
    if (file.path == "-")
      throw UsageError(fmt::format("{} needs a file of its own", file.option));
    for (const NamedOutput& other : taken)
      if (place(other.path) == place(file.path))
        throw UsageError(fmt::format("{} needs a file of its own: {} has {}", file.option,
                                     other.option, other.path));
    taken.push_back(file);
  }
}

}  // namespace bubblescope
