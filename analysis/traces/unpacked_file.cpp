#include "analysis/traces/unpacked_file.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <zlib.h>

#include "sim/base/error.h"
#include "sim/base/files.h"

namespace bubblescope {

struct UnpackedFile::Handle {
  gzFile file;
  explicit Handle(gzFile opened) : file(opened) {}
  ~Handle() { gzclose(file); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};

UnpackedFile::UnpackedFile(const std::string& path) : path_(path) {
  if (is_folder(path))
    throw Error(fmt::format("{}: is a directory", path));
  gzFile file = gzopen(path.c_str(), "rb");
  if (file == nullptr)
    throw Error(fmt::format("{}: {}", path, std::strerror(errno)));
  handle_ = std::make_unique<Handle>(file);
}

UnpackedFile::~UnpackedFile() = default;

UnpackedFile::int_type UnpackedFile::underflow() {
  const int got = gzread(handle_->file, buffer_.data(), static_cast<unsigned>(buffer_.size()));
  int code = Z_OK;
  const std::string what = gzerror(handle_->file, &code);
  if (got < 0 || code < 0) {
    if (code == Z_BUF_ERROR)
      throw Error(fmt::format("{}: the packed data end early", path_));
    throw Error(fmt::format("{}: {}", path_, code == Z_ERRNO ? std::strerror(errno) : what));
  }
  if (got == 0)
    return traits_type::eof();
  unpacked_ += got;
  // A trace packs to a tenth or a thirtieth; what packs to a thousandth is a bomb.
  constexpr std::int64_t kMostRatio = 250;
  constexpr std::int64_t kAlwaysRead = std::int64_t{64} << 20;
  if (unpacked_ > kAlwaysRead && gzdirect(handle_->file) == 0 &&
      unpacked_ > kMostRatio * gzoffset(handle_->file))
    throw Error(
        fmt::format("{}: unpacks to more than {} times its size: refused", path_, kMostRatio));
  setg(buffer_.data(), buffer_.data(), buffer_.data() + got);
  return traits_type::to_int_type(*gptr());
}

std::string first_bytes(const std::string& path, std::size_t most) {
  UnpackedFile file(path);
  constexpr std::size_t kBlock = 1 << 16;
  std::string text;
  while (text.size() < most) {
    const std::size_t begin = text.size();
    text.resize(std::min(most, begin + kBlock));
    const auto wanted = static_cast<std::streamsize>(text.size() - begin);
    const std::streamsize got = file.sgetn(text.data() + begin, wanted);
    text.resize(begin + static_cast<std::size_t>(got));
    if (got < wanted)
      break;
  }
  if (text.empty())
    throw Error(fmt::format("{}: is empty", path));
  return text;
}

std::string read_unpacked(const std::string& path, std::size_t most) {
  std::string text = first_bytes(path, most + 1);
  if (text.size() > most)
    throw Error(
        fmt::format("{}: is larger than the {} bytes that such a file may have", path, most));
  return text;
}

void refuse_twice(const std::vector<std::string>& paths) {
  std::set<std::filesystem::path> seen;
  for (const std::string& path : paths) {
    std::error_code error;  // reading it tells what is wrong
    const auto real = std::filesystem::canonical(path, error);
    if (!error && !seen.insert(real).second)
      throw Error(fmt::format("{}: is given twice", path));
  }
}

}  // namespace bubblescope
