#include "tests/support/json_schema.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <stdexcept>

namespace bubblescope {
namespace {

using nlohmann::json;

bool has_type(const json& value, const std::string& type) {
  static const std::map<std::string, bool (*)(const json&)> kTypes = {
      {"object", [](const json& v) { return v.is_object(); }},
      {"array", [](const json& v) { return v.is_array(); }},
      {"boolean", [](const json& v) { return v.is_boolean(); }},
      {"string", [](const json& v) { return v.is_string(); }},
      {"number", [](const json& v) { return v.is_number(); }},
      {"integer", [](const json& v) {
         return v.is_number() && v.get<double>() == std::floor(v.get<double>());
       }}};
  return kTypes.at(type)(value);
}

class Validator {
 public:
  explicit Validator(const json& root) : root_(root) {}

  void check(const json& schema, const json& value, const std::string& path) {
    for (const auto& [keyword, rule] : schema.items()) {
      const auto found = kKeywords.find(keyword);
      if (found == kKeywords.end())
        throw std::invalid_argument("JSON Schema keyword " + keyword + " is not understood");
      if (found->second != nullptr)
        (this->*found->second)({schema, rule, value, path});
    }
  }

  std::vector<std::string> faults = {};

 private:
  struct Case {
    const json& schema;  // around the keyword
    const json& rule;    // the keyword's value
    const json& value;
    const std::string& path;
  };
  using Keyword = void (Validator::*)(const Case&);

  void expect(bool valid, const Case& at, const std::string& what) {
    if (!valid)
      faults.push_back(at.path + ": " + what + " " + at.rule.dump());
  }

  void type(const Case& at) { expect(has_type(at.value, at.rule), at, "type"); }
  void constant(const Case& at) { expect(at.value == at.rule, at, "const"); }
  void minimum(const Case& at) { expect_number(at, std::greater_equal<>(), "minimum"); }
  void maximum(const Case& at) { expect_number(at, std::less_equal<>(), "maximum"); }
  void above(const Case& at) { expect_number(at, std::greater<>(), "exclusiveMinimum"); }
  void min_items(const Case& at) {
    expect(!at.value.is_array() || at.value.size() >= at.rule.get<std::size_t>(), at, "minItems");
  }

  template <typename Compare>
  void expect_number(const Case& at, Compare compare, const std::string& what) {
    expect(!at.value.is_number() || compare(at.value.get<double>(), at.rule.get<double>()), at,
           what);
  }

  void required(const Case& at) {
    for (const json& key : at.rule)
      expect(!at.value.is_object() || at.value.contains(key.get<std::string>()), at,
             "lacks " + key.dump() + " of");
  }

  void dependent_required(const Case& at) {
    for (const auto& [key, needed] : at.rule.items())
      if (at.value.is_object() && at.value.contains(key))
        required({at.schema, needed, at.value, at.path});
  }

  void properties(const Case& at) {
    for (const auto& [key, schema] : at.rule.items())
      if (at.value.is_object() && at.value.contains(key))
        check(schema, at.value[key], at.path + "/" + key);
  }

  void items(const Case& at) {
    for (std::size_t i = 0; at.value.is_array() && i < at.value.size(); ++i)
      check(at.rule, at.value[i], at.path + "/" + std::to_string(i));
  }

  /// Only { "^_": true }: every key that starts with "_" is welcome.
  void pattern_properties(const Case& at) {
    if (at.rule != json{{"^_", true}})
      throw std::invalid_argument("patternProperties other than {\"^_\": true} are not understood");
  }

  void additional_properties(const Case& at) {
    if (at.rule != false)
      throw std::invalid_argument("additionalProperties other than false are not understood");
    if (!at.value.is_object())
      return;
    for (const auto& [key, ignored] : at.value.items())
      expect(at.schema.at("properties").contains(key) ||
                 (at.schema.contains("patternProperties") && key.starts_with('_')),
             at, "has \"" + key + "\" in spite of additionalProperties");
  }

  std::ptrdiff_t matches(const Case& at) const {
    return std::count_if(at.rule.begin(), at.rule.end(), [&](const json& schema) {
      Validator attempt(root_);
      attempt.check(schema, at.value, at.path);
      return attempt.faults.empty();
    });
  }
  void one_of(const Case& at) {
    expect(matches(at) == 1, at, std::to_string(matches(at)) + " match oneOf");
  }
  void any_of(const Case& at) { expect(matches(at) > 0, at, "none match anyOf"); }
  void one_word(const Case& at) {
    expect(std::find(at.rule.begin(), at.rule.end(), at.value) != at.rule.end(), at, "enum");
  }

  void negation(const Case& at) {
    Validator attempt(root_);
    attempt.check(at.rule, at.value, at.path);
    expect(!attempt.faults.empty(), at, "is what must not be:");
  }

  void reference(const Case& at) {
    const std::string target = at.rule;
    if (!target.starts_with("#/"))
      throw std::invalid_argument("$ref to another file is not understood");
    check(root_.at(json::json_pointer(target.substr(1))), at.value, at.path);
  }

  static const std::map<std::string, Keyword> kKeywords;

  const json& root_;
};

/// Null: says nothing about a value.
const std::map<std::string, Validator::Keyword> Validator::kKeywords = {
    {"$schema", nullptr},
    {"$id", nullptr},
    {"$defs", nullptr},
    {"title", nullptr},
    {"description", nullptr},
    {"$ref", &Validator::reference},
    {"type", &Validator::type},
    {"const", &Validator::constant},
    {"minimum", &Validator::minimum},
    {"maximum", &Validator::maximum},
    {"exclusiveMinimum", &Validator::above},
    {"required", &Validator::required},
    {"properties", &Validator::properties},
    {"patternProperties", &Validator::pattern_properties},
    {"additionalProperties", &Validator::additional_properties},
    {"items", &Validator::items},
    {"minItems", &Validator::min_items},
    {"dependentRequired", &Validator::dependent_required},
    {"enum", &Validator::one_word},
    {"anyOf", &Validator::any_of},
    {"oneOf", &Validator::one_of},
    {"not", &Validator::negation}};

}  // namespace

std::vector<std::string> schema_faults(const json& schema, const json& value) {
  Validator validator(schema);
  validator.check(schema, value, "");
  return validator.faults;
}

}  // namespace bubblescope
