// The options that a launch comes to, and their TOML.
#include <algorithm>
#include <array>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/base/printable.h"
#include "sim/transformer/model_file.h"
#include "tools/embedded_data.h"
#include "tools/import/launch.h"

namespace bubblescope {
namespace {

/// All that decides how long the layers take.
auto dimensions(const Model& model) {
  const Experts experts = model.experts.value_or(Experts{});
  const LatentAttention latent = model.latent.value_or(LatentAttention{});
  const bool has_mlp = !model.experts || experts.first_dense > 0;
  return std::tuple(model.hidden, model.layers, model.heads, model.key_value_heads, model.key_dim,
                    model.value_dim, has_mlp ? model.mlp_width : 0, model.gated, experts.count,
                    experts.per_token, experts.width, experts.shared_width, experts.first_dense,
                    experts.groups, experts.groups_per_token, latent.query_rank,
                    latent.key_value_rank, latent.nope_dim, latent.rope_dim);
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
    if (name.empty() ? dimensions(built_in) == dimensions(*model) : file.name == name) {
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
  layout.back().predictions = model->prediction_layers;
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
