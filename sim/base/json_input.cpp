#include "sim/base/json_input.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/nearest.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;

/// What nlohmann says, without its own exception id and without a token that fills the screen.
std::string reason(const json::exception& exception) {
  std::string_view text = exception.what();
  if (const auto end = text.find("] "); text.starts_with('[') && end != std::string_view::npos)
    text.remove_prefix(end + 2);
  constexpr std::size_t kLongest = 200;
  return text.size() <= kLongest ? std::string(text) : std::string(text.substr(0, kLongest)) + " …";
}

}  // namespace

std::string quoted(const json& value) {
  if (value.is_structured())
    return value.is_object() ? "an object" : value.empty() ? "an empty array" : "an array";
  const std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  return text.size() <= 40 ? text : text.substr(0, 40) + "…";
}

std::string read_file(const std::string& path, std::size_t max_bytes) {
  const auto fail = [&](std::string_view why) { throw Error(fmt::format("{}: {}", path, why)); };
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (!file)
    fail(std::strerror(errno));
  std::string text;
  char buffer[1 << 16];
  std::size_t got = 0;
  while ((got = std::fread(buffer, 1, sizeof buffer, file.get())) > 0) {
    text.append(buffer, got);
    if (text.size() > max_bytes)
      fail(fmt::format("is larger than the {} bytes that such a file may have", max_bytes));
  }
  if (std::ferror(file.get()) != 0)
    fail(std::strerror(errno));
  if (text.empty())
    fail("is empty");
  return text;
}

std::string quote_python_numbers(std::string_view text) {
  std::string result;
  bool in_string = false;
  while (!text.empty()) {
    std::size_t taken = 1;
    if (in_string && text.front() == '\\')
      taken = std::min<std::size_t>(2, text.size());
    else if (text.front() == '"')
      in_string = !in_string;
    else if (!in_string)
      for (const std::string_view word : {"-Infinity", "Infinity", "NaN"})
        if (text.starts_with(word)) {
          result.append("\"").append(word).append("\"");
          text.remove_prefix(word.size());
          taken = 0;
          break;
        }
    result.append(text.substr(0, taken));
    text.remove_prefix(taken);
  }
  return result;
}

json parse_json(std::string_view text, std::string_view file, const JsonWatcher& watcher) {
  std::vector<std::set<std::string>> keys;  // [depth] of the objects that are open
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth)
      throw Error(fmt::format("{}: is nested deeper than {} levels", file, kMaxDepth));
    if (event == json::parse_event_t::object_start)
      keys.emplace_back();
    if (event == json::parse_event_t::object_end)
      keys.pop_back();
    if (event == json::parse_event_t::key && !keys.back().insert(parsed.get<std::string>()).second)
      throw Error(fmt::format("{}: key {} is given twice in one object", file, quoted(parsed)));
    return watcher == nullptr || watcher(depth, event, parsed);
  };
  try {
    return json::parse(text, watch);
  } catch (const json::exception& exception) {
    throw Error(fmt::format("{}: {}", file, reason(exception)));
  }
}

ObjectReader::ObjectReader(const json& value, Place place)
    : value_(&value), place_(std::move(place)) {
  if (!value.is_object())
    throw Error(fmt::format("{}: {}: expected an object, got {}", place_.file,
                            place_.path.empty() ? "/" : place_.path, quoted(value)));
}

void ObjectReader::fail(const std::string& key, std::string_view what) const {
  throw Error(fmt::format("{}: {}: {}", place_.file, inside(key).path, what));
}

ObjectReader::Place ObjectReader::inside(const std::string& key) const {
  return {place_.file, place_.path + "/" + key};
}

const json* ObjectReader::find(const std::string& key) {
  known_.push_back(key);
  const auto found = value_->find(key);
  return found != value_->end() ? &*found : nullptr;
}

const json& ObjectReader::require(const std::string& key) {
  const json* found = find(key);
  if (found == nullptr)
    fail(key, "is missing");
  return *found;
}

std::string ObjectReader::text(const std::string& key) {
  const json& value = require(key);
  if (!value.is_string())
    fail(key, fmt::format("expected a string, got {}", quoted(value)));
  return value.get<std::string>();
}

double ObjectReader::checked_number(const std::string& key, const json& value) const {
  if (!value.is_number() || !(value.get<double>() >= 0))
    fail(key, fmt::format("expected a number ≥ 0, got {}", quoted(value)));
  return value.get<double>();
}

double ObjectReader::number(const std::string& key) {
  return checked_number(key, require(key));
}

std::optional<double> ObjectReader::optional_number(const std::string& key) {
  const json* value = find(key);
  return value != nullptr ? std::optional(checked_number(key, *value)) : std::nullopt;
}

std::int64_t ObjectReader::checked_integer(const std::string& key, const json& value) const {
  constexpr double kLargest = 9e18;
  const double number = checked_number(key, value);
  if (number != std::floor(number) || number > kLargest)
    fail(key, fmt::format("expected a whole number, got {}", quoted(value)));
  return value.is_number_float() ? static_cast<std::int64_t>(number) : value.get<std::int64_t>();
}

std::int64_t ObjectReader::integer(const std::string& key) {
  return checked_integer(key, require(key));
}

std::optional<std::int64_t> ObjectReader::optional_integer(const std::string& key) {
  const json* value = find(key);
  return value != nullptr ? std::optional(checked_integer(key, *value)) : std::nullopt;
}

std::vector<std::string> ObjectReader::words(const std::string& key) {
  const nlohmann::json& array = require(key);
  if (!array.is_array())
    fail(key, fmt::format("expected an array, got {}", quoted(array)));
  std::vector<std::string> result;
  for (const nlohmann::json& each : array) {
    if (!each.is_string())
      fail(key, fmt::format("expected texts, got {}", quoted(each)));
    result.push_back(each.get<std::string>());
  }
  return result;
}

std::vector<std::int64_t> ObjectReader::integers(const std::string& key) {
  const json& value = require(key);
  if (!value.is_array())
    fail(key, fmt::format("expected an array of whole numbers, got {}", quoted(value)));
  std::vector<std::int64_t> numbers;
  for (std::size_t i = 0; i < value.size(); ++i)
    numbers.push_back(checked_integer(fmt::format("{}/{}", key, i), value[i]));
  return numbers;
}

std::optional<std::vector<double>> ObjectReader::optional_numbers(const std::string& key,
                                                                  std::size_t count) {
  const json* value = find(key);
  if (value == nullptr)
    return std::nullopt;
  if (!value->is_array())
    return std::vector<double>(count, checked_number(key, *value));
  if (value->size() != count)
    fail(key, fmt::format("expected one number, or {}, got {}", count, value->size()));
  std::vector<double> numbers;
  for (std::size_t i = 0; i < count; ++i)
    numbers.push_back(checked_number(fmt::format("{}/{}", key, i), (*value)[i]));
  return numbers;
}

std::size_t ObjectReader::size_of(const std::string& key) const {
  const auto found = value_->find(key);
  return found != value_->end() && found->is_array() ? found->size() : 0;
}

std::optional<bool> ObjectReader::optional_flag(const std::string& key) {
  return find(key) != nullptr ? std::optional(flag(key)) : std::nullopt;
}

bool ObjectReader::flag(const std::string& key) {
  const json& value = require(key);
  if (!value.is_boolean())
    fail(key, fmt::format("expected true or false, got {}", quoted(value)));
  return value.get<bool>();
}

std::vector<std::pair<std::string, std::string>> ObjectReader::texts(const std::string& key) {
  const json& object = require(key);
  std::vector<std::pair<std::string, std::string>> texts;
  ObjectReader reader(object, inside(key));
  for (const auto& [name, value] : object.items())
    texts.emplace_back(name, reader.text(name));
  return texts;
}

ObjectReader ObjectReader::object(const std::string& key) {
  return {require(key), inside(key)};
}

std::optional<ObjectReader> ObjectReader::optional_object(const std::string& key) {
  const json* value = find(key);
  return value != nullptr ? std::optional<ObjectReader>(ObjectReader(*value, inside(key)))
                          : std::nullopt;
}

std::optional<std::vector<ObjectReader>> ObjectReader::optional_objects(const std::string& key) {
  const json* value = find(key);
  if (value == nullptr)
    return std::nullopt;
  if (!value->is_array() || value->empty())
    fail(key, fmt::format("expected an array of one object or more, got {}", quoted(*value)));
  std::vector<ObjectReader> objects;
  for (std::size_t i = 0; i < value->size(); ++i)
    objects.emplace_back((*value)[i], inside(fmt::format("{}/{}", key, i)));
  return objects;
}

std::vector<std::string> ObjectReader::unread() const {
  std::vector<std::string> keys;
  for (const auto& [key, value] : value_->items())
    if (!key.starts_with('_') && std::find(known_.begin(), known_.end(), key) == known_.end())
      keys.push_back(key);
  return keys;
}

void ObjectReader::finish() const {
  for (const std::string& key : unread())
    fail(key, "unknown key" + did_you_mean(key, known_));
}

}  // namespace bubblescope
