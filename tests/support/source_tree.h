// The source files of this project as tests of its structure read them.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bubblescope {

struct Source {
  std::string path;  ///< "sim/schedule/op.h"
  std::string text;

  std::string folder() const { return path.substr(0, path.find('/')); }
  /// "schedule" for sim/schedule/op.h
  std::string room() const {
    const std::size_t begin = path.find('/') + 1;
    return path.substr(begin, path.find('/', begin) - begin);
  }
  /// "sim/schedule/op" for sim/schedule/op.h and its .cpp.
  std::string unit() const { return path.substr(0, path.rfind('.')); }
};

/// Files below `folder` with one of the extensions, sorted; hidden and build folders left out.
std::vector<Source> files(const std::string& folder, const std::set<std::string>& extensions);

/// All headers and C++ sources.
const std::vector<Source>& sources();

std::vector<std::string_view> lines(std::string_view text);

/// What stands in `#include` lines, with their first mark: "\"sim/schedule/op.h" or "<vector".
std::vector<std::string> includes(const Source& source);

/// The text with blanks for comments, literals and preprocessor lines; lines stay where they are.
std::string code_only(std::string_view text);

/// The lines of a function or a class, counted from 1.
struct Extent {
  std::size_t first_line;
  std::size_t last_line;
};
/// Outermost functions, from the first line of their heads. A function is what has a '(' between
/// the last ';', '{' or '}' and its '{', which takes a constructor for two functions if one of its
/// initializers has braces, and hides a body that follows them.
std::vector<Extent> functions(std::string_view text);
/// Classes and structs with all that they hold, those within others too.
std::vector<Extent> classes(std::string_view text);

bool has_word(std::string_view text, std::string_view word);

/// Columns that a line takes, where each character takes one.
std::size_t columns(std::string_view line);

/// "a → b → a", the first circle found in who includes whom; empty if there is none.
std::string find_circle(const std::map<std::string, std::set<std::string>>& includes);

}  // namespace bubblescope
