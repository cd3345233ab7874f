#include "sim/formats/program_file.h"

#include <utility>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/formats/program_json.h"
#include "sim/formats/tokens.h"
#include "sim/program/steps.h"

namespace bubblescope {
namespace {

constexpr std::size_t kMostBytes = std::size_t{4} << 30;

bool is_json(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  return first != text.npos && (text[first] == '{' || text[first] == '[');
}

}  // namespace

std::string ProgramFile::describe(const ProgramFault& fault) const {
  std::string place;
  if (is_json(text))
    place = fault.step ? fmt::format("/program/{}/{}", fault.rank, *fault.step)
                       : fmt::format("/program/{}", fault.rank);
  else
    place = torch_csv_place(text, fault.rank, fault.step, program.comm);
  const std::string word =
      fault.step ? quoted_word(step_words(program, fault.rank, *fault.step)) + ": " : "";
  return fmt::format("{}: {}: {}{}", path, place, word, fault.what);
}

ProgramFile read_program_file(const std::string& path, Dialect dialect) {
  ProgramFile file{.path = path, .text = read_file(path, kMostBytes), .program = {}};
  if (file.text.starts_with("\x1f\x8b"))
    throw Error(fmt::format("{}: is compressed: expected text (gunzip unpacks it)", path));
  if (constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
      file.text.starts_with(kByteOrderMark))
    file.text.erase(0, kByteOrderMark.size());
  if (!is_json(file.text)) {
    file.program = parse_torch_csv(file.text, path, dialect, file.notes);
    return file;
  }
  if (dialect != Dialect::Auto)
    throw Error(fmt::format("{}: is JSON, and only PyTorch's CSV has dialects", path));
  file.program = parse_program_json(file.text, path);
  return file;
}

void check_program(const ProgramFile& file) {
  if (const auto fault = find_fault(file.program))
    throw Error(file.describe(*fault));
}

}  // namespace bubblescope
