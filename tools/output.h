// Where results go: stdout, or a file that is complete or absent.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <sys/stat.h>

#include "analysis/figures/format.h"

namespace bubblescope {

/// A file that appears under its name only when `commit` has written it whole: until then it has no
/// name, or on a file system that knows no such files a hidden one in the same folder, which nobody
/// can foresee. Links are followed, and a file that is replaced leaves its permissions to the next.
/// A name that ends in ".gz" is compressed. What is no regular file, such as a pipe, is written in
/// place. Everything throws Error with the file's name.
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
  /// Throws Error as errno tells.
  [[noreturn]] void fail() const;
  void open_in_folder();
  void keep_permissions(const struct stat& former);
  void publish();
  void write_bytes(const char* bytes, std::size_t count);
  void deflate_all(bool finish);

  struct Gzip;
  std::string path_;
  int file_ = -1;
  int folder_ = -1;     // none: the file is written in place
  std::string name_;    // in the folder, when it is whole
  std::string hidden_;  // in the folder, until then; empty where it has none
  std::unique_ptr<Gzip> gzip_;
};

/// Throws Error, before long work, where OutputFile would; leaves no trace. "" and "-" are stdout.
void require_writable(const std::string& path);

/// Writes a result to stdout, or to the file named, whole.
void write_output(const std::string& path, std::string_view text);

enum class ColorWhen : std::uint8_t { Auto, Always, Never };

bool stdout_is_terminal();

/// With Auto, NO_COLOR and whether stdout is a terminal decide.
Color color_for_stdout(ColorWhen when);

}  // namespace bubblescope
