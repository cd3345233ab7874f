// The reader of a launch script: its words (shell_words.cpp) and its commands (shell.cpp).
#pragma once

#include <cstdint>

#include "tools/import/shell.h"

namespace bubblescope {

/// How many characters of a name `text` begins with.
std::size_t name_length(std::string_view text);
/// In one text, with blanks between them.
std::string joined(const Words& words);

/// Reads a script from its beginning to its end, command by command.
class ShellReader {
 public:
  ShellReader(std::string_view text, const std::string& file,
              const std::map<std::string, std::string>& fixed, Variables& variables);

  Script run();

 private:
  enum class Quotes : std::uint8_t { Outside, Inside, Kept };
  struct Block {
    std::size_t line;
    bool is_idle_outside;
    bool is_idle = is_idle_outside;  ///< In this branch.
    bool was_taken = false;          ///< One of its branches.
    bool is_condition = true;
  };

  [[noreturn]] void fail(std::size_t line, std::string_view what) const;
  bool ends() const { return at_ >= text_.size(); }
  bool at(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool at_any(std::string_view characters) const {
    return !ends() && characters.find(text_[at_]) != std::string_view::npos;
  }
  bool is_idle() const { return skips_next_ || (!blocks_.empty() && blocks_.back().is_idle); }

  void skip(std::size_t count);
  void skip_blanks();
  std::string_view read_line();
  std::string_view read_until(char open, char close);
  std::string quoted_to(char end);
  void read(Words& out, Quotes quotes = Quotes::Outside);
  std::string spelled_out(std::string_view text, Quotes quotes = Quotes::Inside);
  Words expand();
  Words expand_braces(std::string_view inside);
  Words value_of(const std::string& name);
  bool read_assignment();
  void command();
  bool take_keyword(const std::string& word);
  void branch(const std::string& word);
  void redirect(Words& words);
  void finish(Words words);
  void separate();
  void read_document();

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t line_ = 1;
  int depth_ = 0;          ///< Of ${…} inside each other.
  std::size_t spent_ = 0;  ///< Characters that variables were spelled out to.
  const std::string& file_;
  const std::map<std::string, std::string>& fixed_;
  Variables& variables_;
  Script script_ = {};
  std::vector<Block> blocks_ = {};
  std::string document_end_ = {};  ///< Of a document that begins behind this line.
  bool is_document_literal_ = false;
  bool status_ = true;  ///< Of the last command.
  bool skips_next_ = false;
};

}  // namespace bubblescope
