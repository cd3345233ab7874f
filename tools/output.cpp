#include "tools/output.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <random>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <zlib.h>

#include "sim/base/error.h"
#include "sim/base/printable.h"

namespace bubblescope {

/// A gzip stream that is being written.
struct OutputFile::Gzip {
  z_stream stream{};
  std::array<unsigned char, std::size_t{1} << 16> out{};

  ~Gzip() { deflateEnd(&stream); }
};

namespace {

/// Follows symbolic links, also to a file that does not exist yet.
std::filesystem::path followed(std::filesystem::path path) {
  constexpr int kMostLinks = 40;  // that Linux follows
  std::error_code error;
  for (int i = 0; i < kMostLinks; ++i) {
    const std::filesystem::path target = std::filesystem::read_symlink(path, error);
    if (error)
      break;
    path = path.parent_path() / target;
  }
  return path;
}

/// A name that nobody can foresee.
std::string hidden_name() {
  std::random_device system;
  return fmt::format(".bubblescope-{:08x}{:08x}", system(), system());
}

/// The path under /proc by which linkat can name a file that has no name.
std::string link_to(int file) {
  return fmt::format("/proc/self/fd/{}", file);
}

void print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error(fmt::format("cannot write to stdout: {}", std::strerror(errno)));
}

}  // namespace

OutputFile::OutputFile() = default;

// Delegates, so that the destructor cleans up if something below throws.
OutputFile::OutputFile(std::string path) : OutputFile() {
  path_ = std::move(path);
  struct stat former {};
  const bool exists = stat(path_.c_str(), &former) == 0;
  if (!exists && errno != ENOENT)
    fail();
  if (exists && !S_ISREG(former.st_mode)) {
    file_ = open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (file_ < 0)
      fail();
  } else {
    open_in_folder();
    if (exists)
      keep_permissions(former);
  }
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
  if (!hidden_.empty())
    unlinkat(folder_, hidden_.c_str(), 0);
  if (folder_ >= 0)
    close(folder_);
}

void OutputFile::fail(std::string_view what) const {
  throw Error(fmt::format("cannot write {}: {}", path_, what));
}

void OutputFile::fail() const {
  fail(std::strerror(errno));
}

void OutputFile::open_in_folder() {
  const std::filesystem::path target = followed(path_);
  name_ = target.filename().string();
  const std::string folder = target.has_parent_path() ? target.parent_path().string() : ".";
  folder_ = open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (folder_ < 0)
    fail();
  constexpr mode_t kMode = 0666;  // less the umask
  file_ = openat(folder_, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, kMode);
  if (file_ >= 0 && access(link_to(file_).c_str(), F_OK) == 0)
    return;
  if (file_ >= 0)
    close(std::exchange(file_, -1));
  const std::string hidden = hidden_name();
  file_ =
      openat(folder_, hidden.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, kMode);
  if (file_ < 0)
    fail();
  hidden_ = hidden;
}

void OutputFile::keep_permissions(const struct stat& former) {
  constexpr mode_t kRights = S_IRWXU | S_IRWXG | S_IRWXO;
  mode_t rights = former.st_mode & kRights;
  if (fchown(file_, former.st_uid, former.st_gid) != 0 &&
      fchown(file_, static_cast<uid_t>(-1), former.st_gid) != 0)
    rights &= ~static_cast<mode_t>(S_IRWXG);  // which were for another group
  if (fchmod(file_, rights) != 0)
    fail();
}

void OutputFile::write_bytes(const char* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t written = ::write(file_, bytes, count);
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      fail();
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
  if (folder_ >= 0)
    publish();
  if (close(std::exchange(file_, -1)) != 0 && errno != EINTR)
    fail();
}

void OutputFile::publish() {
  while (fsync(file_) != 0)
    if (errno != EINTR)
      fail();
  if (hidden_.empty()) {  // a link takes no other file's place: a rename has to follow
    const std::string hidden = hidden_name();
    if (linkat(AT_FDCWD, link_to(file_).c_str(), folder_, hidden.c_str(), AT_SYMLINK_FOLLOW) != 0)
      fail();
    hidden_ = hidden;
  }
  if (renameat(folder_, hidden_.c_str(), folder_, name_.c_str()) != 0)
    fail();
  hidden_.clear();
  const int folder = openat(folder_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {  // as far as it can be read; the file is whole in any case
    fsync(folder);
    close(folder);
  }
}

void require_writable(const std::string& path) {
  struct stat status {};
  const bool is_pipe = stat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) &&
                       !S_ISDIR(status.st_mode);  // whose reader would take it for the output
  if (!path.empty() && path != "-" && !is_pipe)
    OutputFile{path};
}

void write_output(const std::string& path, std::string_view text) {
  if (path.empty() || path == "-")
    return has_unprintable(text) ? print(on_terminal(text)) : print(text);
  OutputFile file(path);
  file.write(text);
  file.commit();
}

bool stdout_is_terminal() {
  return isatty(STDOUT_FILENO) != 0;
}

Color color_for_stdout(ColorWhen when) {
  const char* no_color = std::getenv("NO_COLOR");
  const bool forbidden = no_color != nullptr && *no_color != '\0';
  const bool on =
      when == ColorWhen::Always || (when == ColorWhen::Auto && !forbidden && stdout_is_terminal());
  return on ? Color::On : Color::Off;
}

}  // namespace bubblescope
