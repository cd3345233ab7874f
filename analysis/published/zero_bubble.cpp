// Zero Bubble Pipeline Parallelism, arXiv 2401.10241: bubble rates (table 5) and peaks of memory
// (table 4).
#include <string_view>

#include <fmt/format.h>

#include "analysis/published/compute.h"
#include "sim/base/error.h"
#include "sim/schedule/catalogue.h"
#include "sim/schedule/placement.h"
#include "sim/search/automatic.h"
#include "sim/transformer/stage_memory.h"

namespace bubblescope {
namespace {

constexpr std::string_view kZb1p = "zb-1p";
constexpr std::string_view kZb2p = "zb-2p";
constexpr std::string_view kInterleaved = "interleaved-1f1b";

bool is_searched(std::string_view column) {
  return column == kZb1p || column == kZb2p;
}

/// Searched for the span, with room for the bytes of p or 2p activations, which shrink at I.
Schedule searched(std::string_view column, Shape shape, const CostSource& costs) {
  CostSource sized = costs;
  if (!sized.stages[0].activation)
    throw Error(fmt::format("costs '{}' have no activation_bytes", costs.name));
  sized.stages[0].weights = 0;
  const CostModel model(sized, loop_placement({.ranks = shape.ranks, .chunks = 1}), {});
  const std::int64_t activations = column == kZb1p ? shape.ranks : 2 * std::int64_t{shape.ranks};
  const Bytes room = activations * *sized.stages[0].activation;
  const AutomaticOptions options = {.memory = {.bytes = room}, .objective = Objective::Span};
  return make_automatic(*find_schedule("zb-auto"), shape, model, options).schedule;
}

Schedule schedule_of(const std::string& column, Shape shape, const CostSource& costs,
                     const TableContext& context) {
  if (column != kInterleaved)
    shape.chunks.reset();
  if (is_searched(column)) {
    const std::string key =
        fmt::format("{} {} {} {}", column, costs.name, shape.ranks, shape.microbatches);
    auto& known = context.inputs.searched;
    auto found = known.find(key);
    if (found == known.end())
      found = known.emplace(key, searched(column, shape, costs)).first;
    return found->second;
  }
  const CatalogueEntry* entry = find_schedule(column);
  if (entry == nullptr)
    refuse_column(column, context);
  return make_schedule(*entry, shape);
}

/// A GPT as Korthikanti et al. and Zero Bubble count it: without biases in these sums.
Model gpt(ObjectReader& setting) {
  const std::int64_t hidden = setting.integer("hidden");
  const std::int64_t heads = setting.integer("heads");
  if (heads == 0)
    setting.fail("heads", "at least 1");
  Model model = uniform_model({.mixers = {Attention{.heads = heads,
                                                    .key_value_heads = heads,
                                                    .key_dim = hidden / heads,
                                                    .value_dim = hidden / heads}},
                               .mlp = Mlp{.width = 4 * hidden, .gated = false}},
                              setting.integer("layers"));
  model.name = "gpt";
  model.hidden = hidden;
  model.vocabulary = 50304;
  model.tied_embeddings = true;
  model.dropout = true;
  return model;
}

/// The embedding and the head each take the place of a layer.
StageLayout layout_of(const Model& model, int stages) {
  const std::int64_t each = (model.depth() + 2) / stages;
  if (each < 1 || each > model.depth())
    throw Error(fmt::format("{} layers cannot be divided over {} stages", model.depth(), stages));
  StageLayout layout(static_cast<std::size_t>(stages), StageLayers{.layers = each});
  layout.front() = {.embedding = true, .layers = each - 1};
  layout.back() = {.layers = each - 1, .head = true};
  return layout;
}

}  // namespace

double zero_bubble_rate(const PublishedRow& row, const std::string& column,
                        const TableContext& context) {
  ObjectReader setting = setting_reader(row, context);
  const CostSource costs = context.inputs.costs(setting.text("costs"));
  const Shape shape = {.ranks = count_in(setting, "ranks"),
                       .microbatches = count_in(setting, "microbatches"),
                       .chunks = count_in(setting, "chunks")};
  setting.finish();
  return run_ideal(schedule_of(column, shape, costs, context), costs).span_bubble;
}

/// The peak of the very schedules of table 5, in 10⁹ bytes. Attention is not fused, gradients are
/// fp16, Adam is fp32 and nothing is divided, since each pipeline is alone.
double zero_bubble_memory(const PublishedRow& row, const std::string& column,
                          const TableContext& context) {
  ObjectReader setting = setting_reader(row, context);
  const CostSource profiled = context.inputs.costs(setting.text("costs"));
  const Shape shape = {.ranks = count_in(setting, "ranks"),
                       .microbatches = count_in(setting, "microbatches"),
                       .chunks = count_in(setting, "chunks")};
  const Model model = gpt(setting);
  const Training training = {.microbatch = setting.integer("microbatch_size"),
                             .sequence = setting.integer("sequence"),
                             .attention = AttentionKernels::Unfused,
                             .gradient_bytes = 2};
  setting.finish();
  const Schedule schedule = schedule_of(column, shape, profiled, context);
  const int chunks = schedule.placement.chunks();
  const StageLayout layout = layout_of(model, schedule.placement.depth);
  const Hardware hardware;
  const Parallel parallel;
  CostSource costs = profiled;
  costs.stage_by_stage = true;
  costs.stages.assign(layout.size(), profiled.stages[0]);
  for (std::size_t stage = 0; stage < layout.size(); ++stage) {
    const StageMemory memory = stage_memory({model, hardware, parallel, training}, layout, stage);
    StageCost& cost = costs.stages[stage];
    cost.forward /= chunks;
    cost.input_grad /= chunks;
    cost.weight_grad /= chunks;
    cost.activation = memory.activation;
    cost.activation_after_input_grad = memory.activation_after_input_grad;
    cost.weights = memory.weights();
  }
  constexpr double kGigabyte = 1e9;
  return static_cast<double>(*run_ideal(schedule, costs).peak_memory) / kGigabyte;
}

}  // namespace bubblescope
