#include "analysis/views/costs_view.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "analysis/views/page.h"
#include "sim/base/json_text.h"

namespace bubblescope {
namespace {

using Align = Column::Align;
using Json = nlohmann::ordered_json;

std::vector<CostsPhase> phases_of(const LayerPhases& phases,
                                  const std::vector<PhaseCost>* details) {
  std::vector<CostsPhase> result;
  for (std::size_t i = 0; i < phases.phases.size(); ++i) {
    const Phase& phase = phases.phases[i];
    CostsPhase each{.name = phase.name, .of = phase.of, .stream = phase.stream};
    for (std::size_t layer = 0; layer < phases.layers(); ++layer)
      each.duration += phases.time(layer, i).elapsed;
    if (details != nullptr)
      each.detail = (*details)[i];
    result.push_back(std::move(each));
  }
  return result;
}

CostsStage stage_of(const CostModel& model, Stage stage) {
  const Op forward(OpKind::Forward, stage, 0);
  const Op input_grad(OpKind::BackwardInput, stage, 0);
  CostsStage result{.forward = model.duration(forward),
                    .input_grad = model.duration(input_grad),
                    .weight_grad = model.duration(Op(OpKind::BackwardWeight, stage, 0)),
                    .backward = model.duration(Op(OpKind::Backward, stage, 0)),
                    .overlapped = model.duration(Action(forward, Op(OpKind::Backward, stage, 1))),
                    .message = model.message_bytes(forward),
                    .grad_reduce = model.grad_reduce(stage),
                    .optimizer = model.optimizer(stage)};
  if (model.tells_sizes()) {
    result.activation = model.activation_change(forward);
    result.activation_after_input_grad = *result.activation + model.activation_change(input_grad);
    result.weights = model.weight_bytes(stage);
  }
  return result;
}

/// Those in turn that show the same figures.
struct Run {
  std::size_t first;
  std::size_t last;
};

bool are_alike(const CostsStage& a, const CostsStage& b) {
  const auto key = [](const CostsStage& stage) {
    return std::tuple(stage.forward, stage.input_grad, stage.weight_grad, stage.backward,
                      stage.overlapped, stage.activation, stage.weights, stage.message,
                      stage.grad_reduce, stage.optimizer, stage.layers ? stage.layers->layers : 0);
  };
  return key(a) == key(b) && a.phases == b.phases;
}

std::vector<Run> runs(const std::vector<CostsStage>& stages) {
  std::vector<Run> result;
  for (std::size_t i = 0; i < stages.size(); ++i)
    if (!result.empty() && are_alike(stages[result.back().first], stages[i]))
      result.back().last = i;
    else
      result.push_back({i, i});
  return result;
}

std::string words(const Run& run) {
  return run.first == run.last ? std::to_string(run.first)
                               : fmt::format("{}–{}", run.first, run.last);
}

std::string size(const std::optional<Bytes>& bytes) {
  return bytes ? format_bytes(*bytes) : "unknown";
}

Table stage_table(const CostsReport& report, const std::vector<Run>& all) {
  Time longest{};
  for (const CostsStage& stage : report.stages)
    longest = std::max({longest, stage.backward, stage.overlapped, stage.forward});
  const TimeUnit unit = TimeUnit::fit(longest);
  const bool has_layers = report.stages.front().layers.has_value();
  const bool has_memory = report.stages.front().memory.has_value();
  const bool has_update = std::any_of(
      report.stages.begin(), report.stages.end(),
      [](const CostsStage& stage) { return stage.grad_reduce + stage.optimizer > Time::zero(); });
  Table table{{{"stages", Align::Left}}};
  if (has_layers)
    table.columns.push_back({"layers"});
  for (const char* header : {"F", "I", "W", "B", "F&B"})
    table.columns.push_back({header});
  if (has_update)
    for (const char* header : {"gradient\nreduction", "optimizer\nstep"})
      table.columns.push_back({header});
  for (const char* header : {"activations", "of them\nafter I"})
    table.columns.push_back({header});
  if (has_memory)
    for (const char* header : {"parameters", "gradients", "optimizer", "buffers"})
      table.columns.push_back({header});
  for (const char* header : {"weights", "message"})
    table.columns.push_back({header});
  for (const Run& run : all) {
    const CostsStage& stage = report.stages[run.first];
    Table::Row row{{words(run)}};
    if (has_layers)
      row.cells.push_back(std::to_string(stage.layers->layers));
    for (const Time time :
         {stage.forward, stage.input_grad, stage.weight_grad, stage.backward, stage.overlapped})
      row.cells.push_back(unit.format(time));
    if (has_update)
      for (const Time time : {stage.grad_reduce, stage.optimizer})
        row.cells.push_back(unit.format(time));
    row.cells.push_back(size(stage.activation));
    row.cells.push_back(size(stage.activation_after_input_grad));
    if (has_memory)
      for (const Bytes bytes : {stage.memory->parameters, stage.memory->gradients,
                                stage.memory->optimizer, stage.memory->buffers})
        row.cells.push_back(format_bytes(bytes));
    row.cells.push_back(size(stage.weights));
    row.cells.push_back(format_bytes(stage.message));
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// The phases of stages that are alike; those that take no time are left out.
Table phase_table(const CostsReport& report, const Run& run) {
  const CostsStage& stage = report.stages[run.first];
  Time longest{};
  for (const CostsPhase& phase : stage.phases)
    longest = std::max(longest, phase.duration);
  const TimeUnit unit = TimeUnit::fit(longest);
  const bool has_detail = stage.phases.front().detail.has_value();
  Table table{
      {{fmt::format("{} {}", run.first == run.last ? "stage" : "stages", words(run)), Align::Left},
       {"stream", Align::Left},
       {"time"}}};
  if (has_detail)
    table.columns.insert(table.columns.end(),
                         {{"FLOPs"}, {"memory"}, {"sent"}, {"bound", Align::Left}});
  for (const CostsPhase& phase : stage.phases) {
    if (phase.duration == Time::zero())
      continue;
    Table::Row row{{phase.name,
                    std::string(phase_stream_names()[static_cast<std::size_t>(phase.stream)]),
                    unit.format(phase.duration)}};
    if (has_detail) {
      const PhaseCost& cost = *phase.detail;
      row.cells.push_back(fmt::format("{:.3e}", cost.flops));
      row.cells.push_back(format_bytes(static_cast<Bytes>(cost.bytes)));
      row.cells.push_back(format_bytes(static_cast<Bytes>(cost.traffic)));
      row.cells.emplace_back(to_string(cost.bound()));
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

template <typename T>
Json nullable(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json phase_json(const CostsPhase& phase) {
  Json json = {{"name", phase.name},
               {"of", std::string(1, letter(phase.of))},
               {"stream", phase_stream_names()[static_cast<std::size_t>(phase.stream)]},
               {"duration_ns", phase.duration.count()}};
  if (phase.detail) {
    json["flops"] = phase.detail->flops;
    json["memory_bytes"] = static_cast<Bytes>(phase.detail->bytes);
    json["sent_bytes"] = static_cast<Bytes>(phase.detail->traffic);
    json["bound"] = to_string(phase.detail->bound());
  }
  return json;
}

Json figures_json(const CostsReport& report, std::size_t index) {
  const CostsStage& stage = report.stages[index];
  Json json = {{"stage", index},
               {"forward_ns", stage.forward.count()},
               {"input_grad_ns", stage.input_grad.count()},
               {"weight_grad_ns", stage.weight_grad.count()},
               {"backward_ns", stage.backward.count()},
               {"overlapped_ns", stage.overlapped.count()},
               {"activation_bytes", nullable(stage.activation)},
               {"activation_bytes_after_input_grad", nullable(stage.activation_after_input_grad)},
               {"weight_bytes", nullable(stage.weights)},
               {"message_bytes", stage.message},
               {"grad_reduce_ns", stage.grad_reduce.count()},
               {"optimizer_ns", stage.optimizer.count()}};
  if (stage.layers)
    json["layers"] = stage.layers->layers;
  if (stage.memory) {
    json["parameter_bytes"] = stage.memory->parameters;
    json["gradient_bytes"] = stage.memory->gradients;
    json["optimizer_bytes"] = stage.memory->optimizer;
    json["buffer_bytes"] = stage.memory->buffers;
  }
  return json;
}

Json rate_json(double bytes_per_second) {
  return bytes_per_second > 0 ? Json(bytes_per_second) : Json(nullptr);
}

Json network_link_json(const NetworkLink& link) {
  return {{"latency_ns", link.message.latency.count()},
          {"bandwidth_bytes_per_s", rate_json(link.message.bytes_per_second)},
          {"shared_bytes_per_s", rate_json(link.shared_bytes_per_second)}};
}

Json network_json(const Network& network) {
  const bool is_even = network.node_of_rank.empty();
  return {{"ranks_per_node", is_even ? Json(network.ranks_per_node) : Json(nullptr)},
          {"node_of_rank", is_even ? Json(nullptr) : Json(network.node_of_rank)},
          {"intra_node", network_link_json(network.intra_node)},
          {"inter_node", network_link_json(network.inter_node)}};
}

Json json(const CostsReport& report) {
  Json json = {{"name", report.name},
               {"source", report.source},
               {"ranks", nullable(report.ranks)},
               {"layers_per_stage", nullable(report.layers_per_stage)},
               {"layout", report.layout.empty() ? Json(nullptr) : Json(report.layout)},
               {"latency_ns", report.network ? Json(nullptr) : Json(report.link.latency.count())},
               {"bandwidth_bytes_per_s",
                report.network ? Json(nullptr) : rate_json(report.link.bytes_per_second)},
               {"network", report.network ? network_json(*report.network) : Json(nullptr)},
               {"stages", Json::array()}};
  for (std::size_t i = 0; i < report.stages.size(); ++i) {
    json["stages"].push_back(figures_json(report, i));
    json["stages"].back()["phases"] = Json::array();
    for (const CostsPhase& phase : report.stages[i].phases)
      json["stages"].back()["phases"].push_back(phase_json(phase));
  }
  return json;
}

/// One row a stage, with a column for each phase.
std::string csv(const CostsReport& report) {
  std::vector<Json> rows;
  for (std::size_t i = 0; i < report.stages.size(); ++i) {
    rows.push_back(figures_json(report, i));
    for (const CostsPhase& phase : report.stages[i].phases)
      rows.back()[phase.name + "_ns"] = phase.duration.count();
  }
  return to_csv(rows);
}

std::string gigabytes(double bytes_per_second) {
  return fmt::format("{:.3g} GB/s", bytes_per_second / 1e9);
}

std::string words(const Link& link) {
  std::string text = TimeUnit::fit(link.latency).format(link.latency);
  if (link.bytes_per_second > 0)
    text += " and its bytes at " + gigabytes(link.bytes_per_second);
  return text;
}

std::string words(const NetworkLink& link) {
  std::string text = words(link.message);
  if (link.shared_bytes_per_second > 0)
    text += fmt::format(" (all share {})", gigabytes(link.shared_bytes_per_second));
  return text;
}

std::string title(const CostsReport& report) {
  std::string text = fmt::format("{}: {} stage{}", report.name, report.stages.size(),
                                 report.stages.size() == 1 ? "" : "s");
  if (!report.layout.empty())
    text += fmt::format(", layout {}", report.layout);
  if (!report.network)
    return text + "; a message takes " + words(report.link);
  const Network& network = *report.network;
  const std::string nodes =
      network.node_of_rank.empty()
          ? fmt::format("{} rank{} a node", network.ranks_per_node,
                        network.ranks_per_node == 1 ? "" : "s")
          : fmt::format("ranks on nodes {}", fmt::join(network.node_of_rank, ", "));
  return text + fmt::format("; {}: a message takes {} within a node, {} between nodes", nodes,
                            words(network.intra_node), words(network.inter_node));
}

}  // namespace

bool operator==(const CostsPhase& a, const CostsPhase& b) {
  return a.name == b.name && a.duration == b.duration;
}

CostsReport costs_report(const CostSource& source, const Placement& placement, CostOptions options,
                         const std::optional<AnalyticCosts>& analytic) {
  const CostModel model(source, placement, options);
  CostsReport report{.name = source.name,
                     .source = source.description,
                     .ranks = placement.ranks,
                     .layers_per_stage = source.layers_per_stage,
                     .layout = analytic ? to_text(analytic->layout) : "",
                     .link = source.link,
                     .network = source.network};
  // Of costs for a rank that several stages divide, a stage's phases are not all of them.
  const bool tells_phases =
      source.stage_by_stage || options.per == CostPer::OneStage || placement.chunks() == 1;
  for (Stage stage = 0; stage < placement.depth; ++stage) {
    CostsStage each = stage_of(model, stage);
    const auto index = static_cast<std::size_t>(stage);
    const StageCost& given = source.stages[source.stage_by_stage ? index : 0];
    if (tells_phases)
      each.phases = phases_of(given.phases, analytic ? &analytic->stages[index].phases : nullptr);
    if (analytic) {
      each.layers = analytic->stages[index].layers;
      each.memory = analytic->stages[index].memory;
    }
    report.stages.push_back(std::move(each));
  }
  return report;
}

std::string costs_view(const CostsReport& report, Format format, Color color) {
  if (format == Format::Json)
    return dump_json(json(report), 2) + "\n";
  if (format == Format::Csv)
    return csv(report);
  const std::vector<Run> all = runs(report.stages);
  Page page(format, color);
  page.line(title(report));
  page.table(stage_table(report, all));
  for (const Run& run : all)
    if (!report.stages[run.first].phases.empty())
      page.table(phase_table(report, run));
  return page.text();
}

}  // namespace bubblescope
