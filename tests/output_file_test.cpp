// Where results are written: through links, with the rights of the file before, and never through
// what others have planted.
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <doctest/doctest.h>

#include "tests/support/command.h"
#include "tests/support/command_line.h"
#include "tests/support/process.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

namespace fs = std::filesystem;

unsigned rights(const fs::path& file) {
  return static_cast<unsigned>(fs::status(file).permissions());
}

/// Whether the folder's file system knows files without a name.
bool has_nameless_files(const fs::path& folder) {
  const int file = open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600);
  if (file >= 0)
    close(file);
  return file >= 0;
}

}  // namespace

TEST_CASE("A link planted where the output may be written first leads nowhere") {
  const TemporaryFolder folder;
  folder.write("victim", "precious");
  const ProcessResult result = run_shell(
      "ln -s \"$PWD/victim\" out.part-$$; ln -s \"$PWD/victim\" out.$$; "
      "exec bubblescope " +
          kGood + " -o out",
      {.folder = folder.path()});
  CHECK_MESSAGE(result.exit_code == 0, result.err);
  CHECK(contents(folder / "victim") == "precious");
  CHECK(contents(folder / "out") == output(kGood));
}

TEST_CASE("A file that is replaced keeps its rights, and a new one has those of the umask") {
  const TemporaryFolder folder;
  folder.write("secret", "old");
  REQUIRE(chmod((folder / "secret").c_str(), 0600) == 0);
  folder.write("shared", "old");
  REQUIRE(chmod((folder / "shared").c_str(), 0664) == 0);
  for (const std::string name : {"secret", "shared", "new"})
    CHECK(run_shell("umask 027; bubblescope " + kGood + " -o " + name, {.folder = folder.path()})
              .exit_code == 0);
  CHECK(rights(folder / "secret") == 0600);
  CHECK(rights(folder / "shared") == 0664);
  CHECK(rights(folder / "new") == 0640);
  CHECK(contents(folder / "secret") == output(kGood));
}

TEST_CASE("A link that is named as the output is followed, also to what does not exist yet") {
  const TemporaryFolder folder;
  const ProcessOptions here{.folder = folder.path()};
  fs::create_directory(folder / "results");
  folder.write("results/old.txt", "old");
  fs::create_symlink("results/old.txt", folder / "to_old");
  fs::create_symlink("hop", folder / "to_new");
  fs::create_symlink("results/new.txt", folder / "hop");
  fs::create_symlink("nowhere/new.txt", folder / "astray");
  for (const std::string link : {"to_old", "to_new"}) {
    CHECK(run(kGood + " -o " + link, here).exit_code == 0);
    CHECK(fs::is_symlink(folder / link));
  }
  CHECK(contents(folder / "results/old.txt") == output(kGood));
  CHECK(contents(folder / "results/new.txt") == output(kGood));
  check_failure({kGood + " -o astray", {"cannot write astray: No such file"}}, kBadInput, folder);
}

TEST_CASE("Every name that the file system takes can be written, and no other") {
  const TemporaryFolder folder;
  const std::string longest(NAME_MAX, 'n');
  CHECK(run(kGood + " -o " + longest, {.folder = folder.path()}).exit_code == 0);
  CHECK(folder.listing() == longest);
  const ProcessResult result = run(kGood + " -o n" + longest, {.folder = folder.path()});
  CHECK(result.exit_code == kBadInput);
  CHECK(has(result.err, "File name too long"));
  CHECK(folder.listing() == longest);
}

TEST_CASE("A program that a signal ends while it writes leaves nothing behind") {
  const TemporaryFolder folder;
  if (!has_nameless_files(folder.path())) {
    MESSAGE("skipped: files have names here from the beginning");
    return;
  }
  folder.write("trace.json", "old");
  const ProcessResult result = run_shell(  // SIGXFSZ comes in the midst of the file
      "ulimit -c 0; ulimit -f 1; exec bubblescope simulate 1f1b -p 64 -m 64" + kCosts +
          " --trace trace.json",
      {.folder = folder.path()});
  CHECK(result.exit_code > 128);
  CHECK(folder.listing() == "trace.json");
  CHECK(contents(folder / "trace.json") == "old");
}

TEST_CASE("A stderr that cannot be written changes neither the result nor the exit code") {
  const TemporaryFolder folder;
  const std::string noted = "simulate 1f1b -p 4 -m 8 --costs deepseek-v3-h800";
  REQUIRE(has(run(noted).err, "note: "));
  const std::string expected = output(noted);
  const auto shell = [&](const std::string& line, const std::string& redirection) {
    return run_shell("mkfifo p; exec 4<>p 5>p 4<&-; rm p; exec bubblescope " + line + redirection,
                     {.folder = folder.path()});
  };
  for (const std::string redirection : {" 2>/dev/full", " 2>&-", " 2>&5"}) {  // 5: nobody reads it
    CAPTURE(redirection);
    CHECK(shell(noted, redirection).out == expected);
    CHECK(shell(noted + " -o out", redirection).exit_code == 0);
    CHECK(contents(folder / "out") == expected);
    CHECK(shell("check nosuch", redirection).exit_code == kBadInput);
    CHECK(shell("simulat", redirection).exit_code == kUsage);
  }
}

TEST_CASE("A stdout that is closed is told, whatever file is opened meanwhile") {
  const TemporaryFolder folder;
  const ProcessResult result = run_shell(
      "exec bubblescope " + kGood + " --trace trace.json >&- <&-", {.folder = folder.path()});
  CHECK(result.exit_code == kBadInput);
  CHECK(has(result.err, "cannot write to stdout"));
}

}  // namespace bubblescope
