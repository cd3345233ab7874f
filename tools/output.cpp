#include "tools/output.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <zlib.h>

#include "sim/error.h"

namespace bubblescope {

/// A gzip stream that is being written.
struct OutputFile::Gzip {
  z_stream stream{};
  std::array<unsigned char, std::size_t{1} << 16> out{};

  ~Gzip() { deflateEnd(&stream); }
};

OutputFile::OutputFile() = default;

// Delegates, so that the destructor cleans up if something below throws.
OutputFile::OutputFile(std::string path) : OutputFile() {
  path_ = std::move(path);
  std::error_code error;  // a link to a pipe, such as /dev/stdout, leads to no path: it stays
  if (std::filesystem::is_symlink(path_, error))
    if (const auto target = std::filesystem::weakly_canonical(path_, error); !error)
      path_ = target.string();
  struct stat status {};
  const bool in_place = stat(path_.c_str(), &status) == 0 && !S_ISREG(status.st_mode);
  if (in_place) {
    file_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  } else {
    constexpr mode_t kMode = 0666;  // less the umask
    const std::string beside = fmt::format("{}.part-{}", path_, getpid());
    file_ = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode);
    if (file_ >= 0)
      beside_ = beside;
  }
  if (file_ < 0)
    fail(std::strerror(errno));
  if (path_.ends_with(".gz")) {
    constexpr int kGzipHeader = 16;
    gzip_ = std::make_unique<Gzip>();
    if (deflateInit2(&gzip_->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS + kGzipHeader,
                     MAX_MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
      fail("cannot compress");
  }
}

OutputFile::~OutputFile() {
  if (file_ >= 0)
    close(file_);
  if (!beside_.empty())
    unlink(beside_.c_str());
}

void OutputFile::fail(std::string_view what) const {
  throw Error(fmt::format("cannot write {}: {}", path_, what));
}

void OutputFile::write_bytes(const char* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t written = ::write(file_, bytes, count);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      fail(std::strerror(errno));
    bytes += written;
    count -= static_cast<std::size_t>(written);
  }
}

void OutputFile::deflate_all(bool finish) {
  int result = Z_OK;
  do {
    gzip_->stream.next_out = gzip_->out.data();
    gzip_->stream.avail_out = static_cast<uInt>(gzip_->out.size());
    result = deflate(&gzip_->stream, finish ? Z_FINISH : Z_NO_FLUSH);
    write_bytes(reinterpret_cast<const char*>(gzip_->out.data()),
                gzip_->out.size() - gzip_->stream.avail_out);
  } while (gzip_->stream.avail_out == 0 || (finish && result != Z_STREAM_END));
}

void OutputFile::write(std::string_view text) {
  if (!gzip_)
    return write_bytes(text.data(), text.size());
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  for (; !text.empty(); text.remove_prefix(std::min(kPiece, text.size()))) {
    gzip_->stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    gzip_->stream.avail_in = static_cast<uInt>(std::min(kPiece, text.size()));
    deflate_all(false);
  }
}

void OutputFile::commit() {
  if (gzip_)
    deflate_all(true);
  if (!beside_.empty() && fsync(file_) != 0)
    fail(std::strerror(errno));
  if (close(std::exchange(file_, -1)) != 0)
    fail(std::strerror(errno));
  if (!beside_.empty() && rename(beside_.c_str(), path_.c_str()) != 0)
    fail(std::strerror(errno));
  beside_.clear();
}

void require_writable(const std::string& path) {
  struct stat status {};
  const bool is_pipe = stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) &&
                       !S_ISDIR(status.st_mode);  // whose reader would take it for the output
  if (!path.empty() && path != "-" && !is_pipe)
    OutputFile{path};
}

void write_output(const std::string& path, std::string_view text) {
  if (path.empty() || path == "-") {
    if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
      throw Error(fmt::format("cannot write to stdout: {}", std::strerror(errno)));
    return;
  }
  OutputFile file(path);
  file.write(text);
  file.commit();
}

Color color_for_stdout(std::string_view when) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool forbidden = no_color != nullptr && *no_color != '\0';
  const bool on = when == "always" || (when == "auto" && !forbidden && isatty(STDOUT_FILENO) != 0);
  return on ? Color::On : Color::Off;
}

}  // namespace bubblescope
