// Files that are read as a stream, of a .gz what is packed in it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <streambuf>
#include <string>
#include <vector>

namespace bubblescope {

/// Whether a file is packed is told by its first bytes. Everything throws Error with its name; so
/// does a file that unpacks to more than 250 times its size, beyond the first 64 MiB.
class UnpackedFile : public std::streambuf {
 public:
  explicit UnpackedFile(const std::string& path);
  ~UnpackedFile() override;

 protected:
  int_type underflow() override;

 private:
  struct Handle;
  std::string path_;
  std::unique_ptr<Handle> handle_;
  std::int64_t unpacked_ = 0;  // bytes
  std::array<char, 1 << 16> buffer_ = {};
};

/// The first `most` bytes, or all where there are fewer. Throws Error where there are none.
std::string first_bytes(const std::string& path, std::size_t most);

/// All of a file. Throws Error where it is empty or has more than `most` bytes.
std::string read_unpacked(const std::string& path, std::size_t most);

/// Throws Error where one file is given twice, however its path is written.
void refuse_twice(const std::vector<std::string>& paths);

}  // namespace bubblescope
