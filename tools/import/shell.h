// A launch script as bash would read it, of which nothing is run: its commands with variables,
// arrays and arithmetic spelled out. Commands are taken to succeed; a test of texts or numbers is
// decided. A condition that only a run could decide is refused, and so are loops and functions. A
// value that only a run could tell stays as it is written: $(hostname), or $NAME where nothing sets
// it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bubblescope {

/// A word of a command and the line of the script that it stands on.
struct Word {
  std::string text;
  std::size_t line = 0;
};
using Words = std::vector<Word>;
using Variables = std::map<std::string, Words>;

struct Script {
  std::vector<Words> commands = {};  ///< In order; "#SBATCH …" is one with the name sbatch.
  Words documents = {};              ///< Texts between <<END and END, with their first lines.
};

/// Reads variables of files before this one and leaves them to the next; `fixed` stand above what a
/// script sets. Throws Error with file and line for what is not understood, and for texts that grow
/// beyond what a launch can have.
Script read_script(std::string_view text, const std::string& file,
                   const std::map<std::string, std::string>& fixed, Variables& variables);

/// An expression such as "8*(2+1)"; "" where a part is no number, or where it divides by 0 or
/// leaves 64 bits.
std::string arithmetic(std::string_view text);

}  // namespace bubblescope
