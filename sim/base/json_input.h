// Strict reading of JSON: every fault is told with the file and the JSON path.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

namespace bubblescope {

/// The whole of a file. Throws Error, naming the file, if it cannot be read, is a directory, is
/// empty, or is larger than `max_bytes`.
std::string read_file(const std::string& path, std::size_t max_bytes);

/// Takes a value out of a document that is being read: called for each event as nlohmann's parser
/// callbacks are; false drops the value.
using JsonWatcher =
    std::function<bool(int depth, nlohmann::json::parse_event_t event, nlohmann::json& parsed)>;

/// Throws Error, naming `file` and line, unless `text` is JSON at most 64 levels deep without a
/// key given twice in one object.
nlohmann::json parse_json(std::string_view text, std::string_view file,
                          const JsonWatcher& watcher = nullptr);

/// Puts quotes around Infinity, -Infinity and NaN, which Python writes and JSON has not: where no
/// one reads them they do not matter, and else the value is refused with its place.
std::string quote_python_numbers(std::string_view text);

/// A value as an error message quotes it.
std::string quoted(const nlohmann::json& value);

/// A JSON object that is read key by key; what was never asked for is an error at `finish`.
/// Keys that start with "_" are comments. The value must outlive the reader.
class ObjectReader {
 public:
  struct Place {
    std::string file;
    std::string path;  ///< "" for the whole file, else "/stages/3".
  };

  /// Throws Error unless `value` is an object.
  ObjectReader(const nlohmann::json& value, Place place);

  /// Each throws Error unless the value is of its type and in its range.
  std::string text(const std::string& key);
  double number(const std::string& key);  ///< ≥ 0
  std::optional<double> optional_number(const std::string& key);
  std::int64_t integer(const std::string& key);                          ///< ≥ 0
  std::optional<std::int64_t> optional_integer(const std::string& key);  ///< ≥ 0
  std::vector<std::int64_t> integers(const std::string& key);            ///< Each ≥ 0.
  std::vector<std::string> words(const std::string& key);                ///< Of an array.
  /// Of an array, or `count` times a number that stands alone; each ≥ 0.
  std::optional<std::vector<double>> optional_numbers(const std::string& key, std::size_t count);
  /// How many elements an array has; 0 where there is none.
  std::size_t size_of(const std::string& key) const;
  bool flag(const std::string& key);
  std::optional<bool> optional_flag(const std::string& key);
  /// The keys and texts of an object that has nothing else, by key.
  std::vector<std::pair<std::string, std::string>> texts(const std::string& key);
  ObjectReader object(const std::string& key);
  std::optional<ObjectReader> optional_object(const std::string& key);
  /// The objects of an array that has at least one.
  std::optional<std::vector<ObjectReader>> optional_objects(const std::string& key);

  /// A key that is there and is read elsewhere; throws Error where it is missing.
  void skip(const std::string& key) { require(key); }
  bool has(const std::string& key) const { return value_->contains(key); }
  /// The keys that have been asked for, whether they are there or not.
  const std::vector<std::string>& asked() const { return known_; }
  /// The keys that nothing above has asked for, but for comments.
  std::vector<std::string> unread() const;
  /// Throws Error for a key that nothing above has asked for, with the nearest one that has.
  void finish() const;
  /// Throws Error: "file: path/key: what".
  [[noreturn]] void fail(const std::string& key, std::string_view what) const;

 private:
  const nlohmann::json* find(const std::string& key);
  const nlohmann::json& require(const std::string& key);
  double checked_number(const std::string& key, const nlohmann::json& value) const;
  std::int64_t checked_integer(const std::string& key, const nlohmann::json& value) const;
  Place inside(const std::string& key) const;

  const nlohmann::json* value_;
  Place place_;
  std::vector<std::string> known_;
};

}  // namespace bubblescope
