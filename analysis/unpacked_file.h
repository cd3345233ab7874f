// Files that are read as a stream, of a .gz what is packed in it.
#pragma once

#include <array>
#include <memory>
#include <streambuf>
#include <string>

namespace bubblescope {

/// Whether a file is packed is told by its first bytes. Everything throws Error with its name.
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
  std::array<char, 1 << 16> buffer_ = {};
};

/// The first `most` bytes, or all where there are fewer. Throws Error where there are none.
std::string first_bytes(const std::string& path, std::size_t most);

/// All of a file. Throws Error where it is empty or has more than `most` bytes.
std::string read_unpacked(const std::string& path, std::size_t most);

}  // namespace bubblescope
