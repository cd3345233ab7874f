// Where results go: stdout, or a file that is complete or absent.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "analysis/format.h"

namespace bubblescope {

/// A file that appears under its name only when `commit` has written it whole: it is written
/// beside, synced and renamed. A name that ends in ".gz" is compressed. What is no regular file,
/// such as a pipe, is written in place. Everything throws Error with the file's name.
class OutputFile {
 public:
  explicit OutputFile(std::string path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::string_view text);
  void commit();

 private:
  OutputFile();
  [[noreturn]] void fail(std::string_view what) const;
  void write_bytes(const char* bytes, std::size_t count);
  void deflate_all(bool finish);

  struct Gzip;
  std::string path_;
  std::string beside_;  // where it is written; empty if in place
  int file_ = -1;
  std::unique_ptr<Gzip> gzip_;
};

/// Throws Error, before long work, where OutputFile would; leaves no trace. "" and "-" are stdout.
void require_writable(const std::string& path);

/// Writes a result to stdout, or to the file named, whole.
void write_output(const std::string& path, std::string_view text);

/// --color's word, NO_COLOR and whether stdout is a terminal decide.
Color color_for_stdout(std::string_view when);

}  // namespace bubblescope
