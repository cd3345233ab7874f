// Mutants of real config.json files: none is read as another model in silence.
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/transformer/model_file.h"
#include "tests/support/effort.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

using nlohmann::json;

struct Config {
  std::string name;
  json text;
  Model model;
};

/// The files of tests/configs that are read.
std::vector<Config> configs() {
  std::vector<Config> result;
  for (const auto& file : std::filesystem::directory_iterator(source_file("tests/configs"))) {
    if (file.path().extension() != ".json")
      continue;
    const std::string text = contents(file.path());
    try {
      result.push_back({file.path().filename().string(), {}, parse_model(text, "config.json")});
      result.back().text = json::parse(text, nullptr, false);
    } catch (const Error&) {
      continue;
    }
    if (result.back().text.is_discarded())  // with Python's numbers
      result.pop_back();
  }
  return result;
}

bool is_same(const Model& left, const Model& right) {
  return left.hidden == right.hidden && left.vocabulary == right.vocabulary &&
         left.tied_embeddings == right.tied_embeddings && left.head_bias == right.head_bias &&
         left.norm_bias == right.norm_bias && left.kinds == right.kinds &&
         left.layers == right.layers && left.predictions == right.predictions;
}

/// Changes one key of a config.json.
class Mutation {
 public:
  explicit Mutation(std::mt19937_64& engine) : engine_(engine) {}

  /// Says what was done, for whoever reads of a failure.
  std::string change(json& config) {
    json& part = config.contains("text_config") && draw(4) > 0 ? config["text_config"] : config;
    auto key = part.begin();
    std::advance(key, static_cast<std::ptrdiff_t>(draw(part.size())));
    const std::string name = key.key();
    const json value = key.value();
    switch (draw(4)) {
      case 0:
        return rename(part, name, value);
      case 1:
        part.erase(name);
        (draw(2) == 0 ? part["more"][name] : config[name]) = value;
        return "moved " + name;
      case 2:
        part[added()] = draw(2) == 0 ? json(draw(64) + 1) : value;
        return "added a key with the value of " + name;
      default:
        part[name] = of_other_type(value);
        return "another type of " + name + ": " + part[name].dump();
    }
  }

 private:
  std::size_t draw(std::size_t count) { return draw_index(engine_, count); }

  std::string rename(json& part, const std::string& name, const json& value) {
    const std::string other = renamed(name);
    part.erase(name);
    part[other] = value;
    return "renamed " + name + " to " + other;
  }

  std::string renamed(std::string name) {
    switch (draw(4)) {
      case 0:
        return name + "_" + std::to_string(draw(10));
      case 1:
        return "my_" + name;
      case 2:
        name.erase(draw(name.size()), 1);
        return name.empty() ? "x" : name;
      default:
        name.insert(draw(name.size()), 1, 'x');
        return name;
    }
  }

  std::string added() {
    static constexpr const char* kParts[] = {"num",    "dense", "expert", "layer",
                                             "window", "gate",  "colour", "mlp",
                                             "state",  "size",  "level",  "rope"};
    std::string name = kParts[draw(std::size(kParts))];
    for (std::size_t parts = draw(3) + 1; parts > 0; --parts)
      name += std::string("_") + kParts[draw(std::size(kParts))];
    return name;
  }

  json of_other_type(const json& value) {
    const json others[] = {json(value.dump()),
                           value.is_boolean() ? json("yes") : json(true),
                           json(static_cast<double>(draw(9)) + 0.5),
                           json::array({value}),
                           {{"value", value}}};
    return others[draw(std::size(others))];
  }

  std::mt19937_64& engine_;
};

}  // namespace

TEST_CASE("10,000 mutants of real files are the same model, or are refused") {
  const std::vector<Config> originals = configs();
  REQUIRE(originals.size() >= 30);
  constexpr std::uint64_t kSeed = 19;
  std::mt19937_64 engine(kSeed);
  int refused = 0;
  const int mutants = kSanitized ? 1'000 : 10'000;
  for (int i = 0; i < mutants; ++i) {
    const Config& original = originals[static_cast<std::size_t>(i) % originals.size()];
    json changed = original.text;
    const std::string what = Mutation(engine).change(changed);
    CAPTURE(kSeed);
    CAPTURE(original.name);
    CAPTURE(what);
    try {
      const Model model = parse_model(changed.dump(), "config.json");
      CHECK(is_same(model, original.model));
    } catch (const Error& error) {
      ++refused;
      CHECK_MESSAGE(std::string(error.what()).starts_with("config.json"), error.what());
    }
  }
  CHECK(refused > mutants / 4);
}

}  // namespace bubblescope
