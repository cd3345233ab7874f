// Layers over stages: the even split, and Megatron's language of layouts.
#include "sim/transformer/stage_layout.h"

#include <string>

#include <doctest/doctest.h>

#include "sim/transformer/model_file.h"
#include "tests/support/random_schedule.h"
#include "tests/support/reference.h"

namespace bubblescope {
namespace {

Model deepseek() {
  return read_model(source_file("data/models/deepseek-v3.json").string());
}

/// Of so many layers, without multi-token prediction.
Model plain(std::int64_t layers) {
  Model model = uniform_model({}, layers);
  model.name = "plain";
  return model;
}

std::string told(const char* text, const Model& model) {
  return error_of([&] { parse_layout(text, model); });
}

}  // namespace

TEST_CASE("An even split gives the earlier stages one more where layers do not divide") {
  const StageLayout layout = even_layout(deepseek(), 16);
  REQUIRE(layout.size() == 16);
  CHECK(layer_counts(layout) == "13 × 4, 3 × 3");
  CHECK(layout[0] == StageLayers{.embedding = true, .first = 0, .layers = 4});
  CHECK(layout[13] == StageLayers{.first = 52, .layers = 3});
  CHECK(layout[15] == StageLayers{.first = 58, .layers = 3, .predictions = 1, .head = true});
  CHECK(to_text(layout) == "Et*4|(t*4|)*12(t*3|)*2t*3mL");
  CHECK(layer_counts(even_layout(plain(8), 4)) == "4 × 2");
  CHECK(to_text(even_layout(plain(1), 1)) == "EtL");
  CHECK(error_of([] { even_layout(plain(3), 4); }) ==
        "the 3 layers of plain do not give each of 4 stages one");
}

TEST_CASE("Layouts of Megatron are read as its own parser reads them") {
  const StageLayout layout = parse_layout("Et*3|(tt|)*29,m|L", deepseek());
  REQUIRE(layout.size() == 32);
  CHECK(layout[0] == StageLayers{.embedding = true, .layers = 3});
  CHECK(layout[29] == StageLayers{.first = 59, .layers = 2});
  CHECK(layout[30] == StageLayers{.first = 61, .predictions = 1});
  CHECK(layout[31] == StageLayers{.first = 61, .head = true});
  // The examples of Megatron's comments.
  CHECK(parse_layout("E(t|t)*3L", plain(6)) == parse_layout("Et|tt|tt|tL", plain(6)));
  CHECK(parse_layout("Et,(tt|)*2L", plain(5)) == parse_layout("Ettt|tt|L", plain(5)));
  CHECK(parse_layout("E(|tt)*2,tL", plain(5)) == parse_layout("E|tt|tttL", plain(5)));
  CHECK(parse_layout("E|*3t*2L", plain(2)).size() == 4);
  CHECK(parse_layout("E|t|L", plain(1))[0] == StageLayers{.embedding = true});
}

TEST_CASE("A layout that is written is read again") {
  for (const char* text :
       {"Et*3|(tt|)*29,m|L", "Et|t*60mL", "E|t*61|mL", "E||||t*61|m|||L", "E(t|)*30(tt|)*15,t*1|L"})
    CHECK(parse_layout(to_text(parse_layout(text, deepseek())), deepseek()) ==
          parse_layout(text, deepseek()));
  for (const int stages : {1, 2, 16, 32, 61})
    CHECK(parse_layout(to_text(even_layout(deepseek(), stages)), deepseek()) ==
          even_layout(deepseek(), stages));
}

TEST_CASE("What is wrong in a layout is told with its place") {
  const std::pair<const char*, const char*> cases[] = {
      {"", "character 1: is empty"},
      {"t|L", "character 1: the layout has to begin with E, the embedding"},
      {"Et|t", "character 4: the layout has to end with L, the loss"},
      {"Et|tLt", "character 6: nothing may follow L, the loss"},
      {"Et|EtL", "character 4: E, the embedding, comes first and once"},
      {"Et|xL", "character 4: expected E, t, m, L, |, * or parentheses, got 'x'"},
      {"Et|(t|L", "character 4: '(' without ')*' and a number of times"},
      {"Et|t)L", "character 5: ')' without '('"},
      {"E((t))*2L", "character 3: parentheses inside parentheses"},
      {"Et*L", "character 3: expected a number of times after '*'"},
      {"*2", "character 1: '*' without what it repeats"},
      {"Et*99999999L", "character 3: expected at most 1000000 times after '*'"},
      {"Et*3L", "character 5: has 3 layers (t), and plain has 2"},
      {"Et*2mL", "character 6: has 1 multi-token prediction layers (m), and plain has 0"},
      {"Etmt", "character 4: a layer (t) behind multi-token prediction (m)"},
      {"Ettm|mL", "character 6: multi-token prediction (m) in more than one stage"}};
  for (const auto& [text, what] : cases)
    CHECK(told(text, plain(2)) == what);
}

}  // namespace bubblescope
