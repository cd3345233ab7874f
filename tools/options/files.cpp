#include "tools/options/files.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "tools/errors.h"

namespace bubblescope {
namespace {

using Path = std::filesystem::path;

/// A path as an option names it, and the file that it means.
struct NamedPath {
  const CLI::Option* option;
  std::string path;
  Path place;

  std::string name() const { return option->get_name(); }
};

Path place_of(const std::string& path) {
  std::error_code error;
  Path place = std::filesystem::weakly_canonical(std::filesystem::absolute(path, error), error);
  return error ? Path(path) : place;
}

bool is_output(const CLI::Option& option) {
  return option.get_group() == "Output" && option.get_type_name().starts_with("FILE");
}

void check_beside_input(const NamedPath& output, const NamedPath& input) {
  std::error_code error;  // what does not exist is no input
  if (std::filesystem::is_regular_file(input.path, error) && input.place == output.place)
    throw UsageError(fmt::format("{} is read as {}: take another file for {}", output.path,
                                 input.name(), output.name()),
                     {output.name()});
  if (std::filesystem::is_directory(input.path, error) &&
      output.place.parent_path() == input.place &&
      std::filesystem::is_regular_file(output.place, error))
    throw UsageError(fmt::format("{} lies in {}, whose files are read: take another file for {}",
                                 output.path, input.path, output.name()),
                     {output.name()});
}

void check_beside_output(const NamedPath& output, const NamedPath& other) {
  if (output.place == other.place)
    throw UsageError(fmt::format("{} and {} must be different files", other.name(), output.name()),
                     {other.name(), output.name()});
  if (output.option->check_lname("trace") && other.place.parent_path() == output.place)
    throw UsageError(fmt::format("{} lies in the folder of --trace, {}", other.path, output.path),
                     {other.name()});
}

}  // namespace

void check_files(const CLI::App& app, const CLI::App& root) {
  std::vector<NamedPath> outputs;
  std::vector<NamedPath> inputs;
  for (const CLI::App* each : {&app, &root})
    for (const CLI::Option* option : each->get_options()) {
      if (option->count() == 0 || option->get_type_size() == 0)
        continue;
      const bool is_stdout = option->results().front() == "-";
      if (is_output(*option) && is_stdout && !option->check_lname("output"))
        throw wrong_option(option->get_name(), "needs a file: stdout is for the figures");
      const bool is_name = option->get_name() == "NAME";  // of a schedule
      for (const std::string& path : option->results())
        if (!path.empty() && !is_stdout && !is_name)
          (is_output(*option) ? outputs : inputs).push_back({option, path, place_of(path)});
    }
  for (const NamedPath& output : outputs) {
    for (const NamedPath& input : inputs)
      check_beside_input(output, input);
    for (const NamedPath& other : outputs)
      if (&other != &output)
        check_beside_output(output, other);
  }
}

}  // namespace bubblescope
