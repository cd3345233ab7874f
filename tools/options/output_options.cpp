#include "tools/options/output_options.h"

#include <fmt/format.h>

#include "tools/message.h"
#include "tools/options/option.h"

namespace bubblescope {

void GlobalOptions::add_to(CLI::App& app) {
  add_option(
      app, {"--color", "WHEN", "auto, always or never (default: auto)", "General"}, color,
      one_of<ColorWhen>(
          {{"auto", ColorWhen::Auto}, {"always", ColorWhen::Always}, {"never", ColorWhen::Never}}));
  add_flag(app, {"-q,--quiet", "", "no notes and no progress on stderr", "General"}, quiet);
}

void GlobalOptions::note(std::string_view text) const {
  if (!quiet)
    say(fmt::format("note: {}", text));
}

void add_format(CLI::App& app, std::optional<Format>& format) {
  add_option(app, {"--format", "F", "table, json, csv or md (default: table)", "Output"}, format,
             one_of<Format>({{"table", Format::Table},
                             {"json", Format::Json},
                             {"csv", Format::Csv},
                             {"md", Format::Markdown}}));
}

void OutputOptions::add_to(CLI::App& app) {
  add_format(app, format);
  add_output(app, path);
  add_list(
      app,
      {"--columns", "NAME,...",
       "these columns of tables, or all (default: those that say something; a wrong name lists "
       "them)",
       "Output"},
      columns);
}

Style OutputOptions::style(const GlobalOptions& global) const {
  const Format chosen = format.value_or(Format::Table);
  if (!columns.empty() && (chosen == Format::Json || chosen == Format::Csv))
    throw UsageError("--columns goes with --format table or md: the others have all of them",
                     {"--columns", "--format"});
  if (!path.empty() && path != "-")
    return {.format = chosen, .columns = columns};
  return {.format = chosen,
          .color = color_for_stdout(global.color),
          .is_terminal = stdout_is_terminal(),
          .columns = columns};
}

void add_output(CLI::App& app, std::string& path) {
  add_option(app, {"-o,--output", "FILE", "instead of stdout; .gz compresses", "Output"}, path);
}

}  // namespace bubblescope
