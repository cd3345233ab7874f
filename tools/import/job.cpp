// The options that a launch comes to, and their TOML.
#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/base/printable.h"
#include "sim/transformer/model_file.h"
#include "tools/embedded_data.h"
#include "tools/import/launch.h"

namespace bubblescope {
namespace {

/// The layers without what flags of a launch tell otherwise than a model's file: biases and norms.
std::vector<LayerKind> dimensions(const Model& model) {
  std::vector<LayerKind> kinds = model.kinds;
  for (LayerKind& kind : kinds) {
    for (Mixer& mixer : kind.mixers)
      if (auto* attention = std::get_if<Attention>(&mixer)) {
        attention->bias = attention->output_bias = false;
        attention->norm = Attention::Norm::None;
      }
    if (kind.mlp)
      kind.mlp->bias = false;
    if (kind.experts)
      kind.experts->each.bias = kind.experts->router_bias = false;
  }
  return kinds;
}

bool has_same_layers(const Model& left, const Model& right) {
  return left.hidden == right.hidden && left.layers == right.layers &&
         dimensions(left) == dimensions(right);
}

/// As the reader of --config takes it.
std::string quoted(const std::string& value) {
  const char* mark = value.find_first_not_of("0123456789") == value.npos ? ""
                     : value.find('"') == value.npos                     ? "\""
                                                                         : "'";
  return fmt::format("{}{}{}", mark, printable(value), mark);
}

}  // namespace

Count LaunchedJob::set_division(const Division& division, Count all, const std::string& place) {
  const auto& [tensor, context, pipeline, expert] = division;
  const std::int64_t each = tensor * context * pipeline;
  const auto check = [&](std::int64_t whole, std::int64_t by, const std::string& what) {
    if (whole % by != 0)
      throw Error(fmt::format("{}: {} {}; --gpus N says otherwise", place, whole, what));
  };
  if (all) {
    check(*all, each,
          fmt::format("GPUs are no multiple of tp {} · cp {} · pp {} = {}", tensor, context,
                      pipeline, each));
    check(*all / pipeline, expert,
          fmt::format("GPUs of a stage cannot be divided into groups of ep {}", expert));
  } else {
    note("dp is not known, nor what follows from it: give --gpus N");
  }
  set("ranks", pipeline);
  set("parallel", fmt::format("tp={},cp={},ep={}{}", tensor, context, expert,
                              all ? fmt::format(",dp={}", *all / each) : ""));
  return all ? Count(*all / each) : std::nullopt;
}

void LaunchedJob::set_microbatches(const std::string& batch, std::int64_t size, Count data) {
  set("microbatch-size", size);
  const auto global = count(batch);
  if (!global)
    note(fmt::format("{} is not given: give -m", batch));
  if (!global || !data)
    return;
  if (*global % (*data * size) != 0)
    fail(batch, fmt::format("a global batch of {} is no multiple of dp {} · micro-batch size {}",
                            *global, *data, size));
  set("microbatches", *global / (*data * size));
}

bool LaunchedJob::set_built_in(std::string_view name) {
  for (const EmbeddedFile& file : embedded_models()) {
    const Model built_in = parse_model(file.text, std::string(file.name));
    if (name.empty() ? has_same_layers(built_in, *model) : file.name == name) {
      if (model && model->vocabulary > 1 && model->vocabulary != built_in.vocabulary)
        note(
            fmt::format("the flags tell a vocabulary of {}; the layers are those of {}, whose own "
                        "is {}",
                        model->vocabulary, file.name, built_in.vocabulary));
      model = model.value_or(built_in);
      set("model", std::string(file.name));
      return true;
    }
  }
  return false;
}

void LaunchedJob::set_layout(const std::vector<std::int64_t>& layers) {
  StageLayout layout;
  std::int64_t next = 0;
  for (const std::int64_t each : layers) {
    layout.push_back({.first = next, .layers = each});
    next += each;
  }
  layout.front().embedding = true;
  layout.back().head = true;
  layout.back().predictions = model->prediction_depth();
  set("layout", to_text(layout));
}

std::string LaunchedJob::toml(std::string_view source) const {
  std::string text =
      fmt::format("# {}, for bubblescope --config FILE simulate|compare|…\n", printable(source));
  for (const std::string& each : notes)
    text += fmt::format("# {}\n", printable(each));
  if (!silent.empty())
    text += fmt::format("# not about timing: {}\n",
                        printable(fmt::format("{}", fmt::join(silent, " "))));
  const auto section = [&](std::string_view subcommand, std::vector<std::string_view> without) {
    text += fmt::format("\n[{}]\n", subcommand);
    for (const auto& [option, value] : options)
      if (std::find(without.begin(), without.end(), option) == without.end())
        text += fmt::format("{} = {}\n", option, quoted(value));
  };
  section("simulate", {});
  section("explain", {});
  section("compare", {"NAME", "program", "group-size", "layout"});
  section("costs", {"NAME", "program", "microbatches", "group-size", "comm", "reduce"});
  return text;
}

}  // namespace bubblescope
