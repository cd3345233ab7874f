// What a user names: a file, or one that is built in.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "sim/base/files.h"
#include "sim/base/nearest.h"
#include "tools/embedded_data.h"
#include "tools/errors.h"

namespace bubblescope {

struct NamedInput {
  std::string option;  ///< "--model"
  std::string folder;  ///< "data/models"
  std::span<const EmbeddedFile> files;
};

/// "; did you mean 'b'?", or where the numbers in it are others, that it is of another size.
std::string nearest_input(const std::string& name, const std::vector<std::string>& names);

/// The name that people mean, whatever the case of its letters: "H100", which begins several, is
/// "h100-sxm".
std::string meant_by(std::string_view name);

/// Parses JSON that stands for a file, or reads the file of that path, or parses the built-in one
/// of that name, or the only one whose name goes on with a '-', or the one that is meant where
/// there are several. Throws UsageError, with the nearest name and all names, where there is none.
template <typename Read, typename Parse>
auto find_input(const NamedInput& input, const std::string& asked, Read&& read, Parse&& parse) {
  if (asked.starts_with('{'))
    return parse(asked, input.option);
  if (asked.find('/') != std::string::npos || asked.ends_with(".json") ||
      asked.ends_with(".json.gz") || (exists(asked) && !is_folder(asked)))
    return read(asked);
  const std::string name = meant_by(asked);
  std::vector<std::string> names;
  std::vector<const EmbeddedFile*> meant;
  for (const EmbeddedFile& file : input.files) {
    names.emplace_back(file.name);
    if (file.name == name)
      meant = {&file};
    else if (file.name.starts_with(name + "-") && (meant.empty() || meant[0]->name != name))
      meant.push_back(&file);
  }
  if (meant.size() == 1)
    return parse(meant[0]->text, fmt::format("{}/{}.json", input.folder, meant[0]->name));
  if (exists(asked))
    return read(asked);  // which says that it is a folder
  throw wrong_option(
      input.option,
      fmt::format("there is no file and no such name: '{}'{}\n  names: {}", asked.substr(0, 40),
                  nearest_input(name, names), fmt::join(names, ", ")));
}

}  // namespace bubblescope
