#include "tools/options/picture_options.h"

#include <fmt/format.h>

#include "sim/base/error.h"
#include "tools/options/option.h"
#include "tools/output.h"

namespace bubblescope {
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

}  // namespace bubblescope
