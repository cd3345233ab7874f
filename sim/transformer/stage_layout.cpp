#include "sim/transformer/stage_layout.h"

#include <cctype>
#include <charconv>

#include <fmt/format.h>

#include "sim/base/error.h"

namespace bubblescope {
namespace {

constexpr std::size_t kMostItems = 1'000'000;

/// A character of a layout, with its place in the text, from 1, for error messages.
struct Item {
  char what;
  std::size_t place;
};
using Items = std::vector<Item>;

[[noreturn]] void fail(std::size_t place, const std::string& what) {
  throw Error(fmt::format("character {}: {}", place, what));
}

/// The number after the asterisk at `position`, which moves behind it.
std::size_t read_factor(const Items& items, std::size_t& position) {
  const std::size_t asterisk = position++;
  std::string digits;
  while (position < items.size() &&
         std::isdigit(static_cast<unsigned char>(items[position].what)) != 0)
    digits += items[position++].what;
  std::size_t factor = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), factor);
  if (digits.empty())
    fail(items[asterisk].place, "expected a number of times after '*'");
  if (error != std::errc() || factor > kMostItems)
    fail(items[asterisk].place, fmt::format("expected at most {} times after '*'", kMostItems));
  return factor;
}

bool is_at(const Items& items, std::size_t position, char what) {
  return position < items.size() && items[position].what == what;
}

void append(Items& out, const Items& part, std::size_t times) {
  if (part.size() * times > kMostItems - out.size())
    fail(part.empty() ? 1 : part.front().place, "the layout has too many layers");
  for (std::size_t i = 0; i < times; ++i)
    out.insert(out.end(), part.begin(), part.end());
}

/// Spells out "(…)*n".
Items unroll_groups(const Items& items) {
  Items out;
  for (std::size_t i = 0; i < items.size();) {
    if (items[i].what == ')')
      fail(items[i].place, "')' without '('");
    if (items[i].what != '(') {
      out.push_back(items[i++]);
      continue;
    }
    const std::size_t open = i++;
    Items group;
    while (i < items.size() && items[i].what != ')') {
      if (items[i].what == '(')
        fail(items[i].place, "parentheses inside parentheses");
      group.push_back(items[i++]);
    }
    if (i == items.size() || !is_at(items, i + 1, '*'))
      fail(items[open].place, "'(' without ')*' and a number of times");
    ++i;
    const std::size_t times = read_factor(items, i);
    append(out, group, times);
  }
  return out;
}

/// Spells out "x*n".
Items unroll_items(const Items& items) {
  Items out;
  for (std::size_t i = 0; i < items.size();) {
    if (items[i].what == '*')
      fail(items[i].place, "'*' without what it repeats");
    const Items one = {items[i++]};
    append(out, one, is_at(items, i, '*') ? read_factor(items, i) : 1);
  }
  return out;
}

Items to_items(std::string_view text) {
  Items items;
  for (std::size_t i = 0; i < text.size(); ++i)
    if (text[i] != ',')
      items.push_back({text[i], i + 1});
  return unroll_items(unroll_groups(items));
}

/// Puts items into stages, and refuses those out of order.
class Stages {
 public:
  explicit Stages(const Model& model) : model_(model), layout_(1) {}

  void add(const Item& item) {
    StageLayers& stage = layout_.back();
    if (has_head_)
      fail(item.place, "nothing may follow L, the loss");
    switch (item.what) {
      case '|':
        layout_.push_back({.first = layers_});
        return;
      case 'E':
        if (!is_empty_)
          fail(item.place, "E, the embedding, comes first and once");
        stage.embedding = true;
        break;
      case 't':
        add_layer(item);
        break;
      case 'm':
        add_prediction(item);
        break;
      case 'L':
        has_head_ = stage.head = true;
        break;
      default:
        fail(item.place, fmt::format("expected E, t, m, L, |, * or parentheses, got '{}'",
                                     std::isprint(static_cast<unsigned char>(item.what)) != 0
                                         ? std::string(1, item.what)
                                         : "?"));
    }
    if (is_empty_ && item.what != 'E')
      fail(item.place, "the layout has to begin with E, the embedding");
    is_empty_ = false;
  }

  StageLayout finish(std::size_t length) {
    if (!has_head_)
      fail(length, "the layout has to end with L, the loss");
    if (layers_ != model_.depth())
      fail(length,
           fmt::format("has {} layers (t), and {} has {}", layers_, model_.name, model_.depth()));
    if (predictions_ != 0 && predictions_ != model_.prediction_depth())
      fail(length, fmt::format("has {} multi-token prediction layers (m), and {} has {}",
                               predictions_, model_.name, model_.prediction_depth()));
    return std::move(layout_);
  }

 private:
  void add_layer(const Item& item) {
    if (predictions_ > 0)
      fail(item.place, "a layer (t) behind multi-token prediction (m)");
    ++layout_.back().layers;
    ++layers_;
  }

  void add_prediction(const Item& item) {
    if (predictions_ > 0 && prediction_stage_ != layout_.size())
      fail(item.place, "multi-token prediction (m) in more than one stage");
    prediction_stage_ = layout_.size();
    ++layout_.back().predictions;
    ++predictions_;
  }

  const Model& model_;
  StageLayout layout_;
  std::int64_t layers_ = 0;
  std::int64_t predictions_ = 0;
  bool is_empty_ = true;
  bool has_head_ = false;
  std::size_t prediction_stage_ = 0;  // where predictions_ > 0
};

std::string repeated(char what, std::int64_t times) {
  if (times == 0)
    return "";
  return times == 1 ? std::string(1, what) : fmt::format("{}*{}", what, times);
}

std::string stage_text(const StageLayers& stage) {
  return (stage.embedding ? "E" : "") + repeated('t', stage.layers) +
         repeated('m', stage.predictions) + (stage.head ? "L" : "");
}

}  // namespace

StageLayout even_layout(const Model& model, int stages) {
  const std::int64_t each = model.depth() / stages;
  if (each == 0)
    throw Error(fmt::format("the {} layers of {} do not give each of {} stages one", model.depth(),
                            model.name, stages));
  StageLayout layout(static_cast<std::size_t>(stages));
  std::int64_t next = 0;
  for (std::size_t i = 0; i < layout.size(); ++i) {
    const bool has_more = static_cast<std::int64_t>(i) < model.depth() % stages;
    layout[i] = {.first = next, .layers = each + (has_more ? 1 : 0)};
    next += layout[i].layers;
  }
  layout.front().embedding = true;
  layout.back().predictions = model.prediction_depth();
  layout.back().head = true;
  return layout;
}

StageLayout parse_layout(std::string_view text, const Model& model) {
  if (text.empty())
    fail(1, "is empty");
  Stages stages(model);
  for (const Item& item : to_items(text))
    stages.add(item);
  return stages.finish(text.size());
}

std::string to_text(const StageLayout& layout) {
  std::string text;
  for (std::size_t i = 0; i < layout.size();) {
    const std::string stage = stage_text(layout[i]);
    std::size_t end = i + 1;
    while (end < layout.size() && stage_text(layout[end]) == stage)
      ++end;
    const bool is_last = end == layout.size();
    const std::size_t times = end - i - (is_last ? 1 : 0);  // those that a bar ends
    if (times > 1)
      text += fmt::format("({}|)*{}", stage, times);
    else if (times == 1)
      text += stage + "|";
    if (is_last)
      text += stage;
    i = end;
  }
  return text;
}

std::string layer_counts(const StageLayout& layout) {
  std::string text;
  for (std::size_t i = 0; i < layout.size();) {
    std::size_t end = i + 1;
    while (end < layout.size() && layout[end].layers == layout[i].layers)
      ++end;
    text += fmt::format("{}{} × {}", text.empty() ? "" : ", ", end - i, layout[i].layers);
    i = end;
  }
  return text;
}

}  // namespace bubblescope
