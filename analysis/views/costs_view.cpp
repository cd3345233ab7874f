#include "analysis/views/costs_view.h"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "analysis/views/document.h"

namespace bubblescope {
namespace {

/// Each over all layers, with nothing beside it; `details` where the costs come from a model.
Rows phase_rows(const LayerPhases& phases, const std::vector<PhaseCost>* details) {
  Rows rows;
  for (std::size_t i = 0; i < phases.phases.size(); ++i) {
    const Phase& phase = phases.phases[i];
    Time duration{};
    for (std::size_t layer = 0; layer < phases.layers(); ++layer)
      duration += phases.time(layer, i).elapsed;
    Json row = {{"name", phase.name},
                {"of", std::string(1, letter(phase.of))},
                {"stream", phase_stream_names()[static_cast<std::size_t>(phase.stream)]},
                {"duration_ns", duration}};
    if (details != nullptr)
      row.update({{"flops", (*details)[i].flops},
                  {"memory_bytes", static_cast<Bytes>((*details)[i].bytes)},
                  {"sent_bytes", static_cast<Bytes>((*details)[i].traffic)},
                  {"bound", to_string((*details)[i].bound())}});
    rows.push_back(std::move(row));
  }
  return rows;
}

/// Alone, communication included; "overlapped" is a pair of two micro-batches.
Json stage_json(const CostModel& model, Stage stage, const AnalyticStage* analytic) {
  const Op forward(OpKind::Forward, stage, 0);
  const Op input_grad(OpKind::BackwardInput, stage, 0);
  const auto ns = [&](const Action& action) { return model.duration(action).count(); };
  Json json = {{"stage", stage},
               {"forward_ns", ns(forward)},
               {"input_grad_ns", ns(input_grad)},
               {"weight_grad_ns", ns(Op(OpKind::BackwardWeight, stage, 0))},
               {"backward_ns", ns(Op(OpKind::Backward, stage, 0))},
               {"overlapped_ns", ns(Action(forward, Op(OpKind::Backward, stage, 1)))},
               {"activation_bytes", nullptr},
               {"activation_bytes_after_input_grad", nullptr},
               {"weight_bytes", nullptr},
               {"message_bytes", model.message_bytes(forward)},
               {"grad_reduce_ns", model.grad_reduce(stage)},
               {"optimizer_ns", model.optimizer(stage)}};
  if (model.tells_sizes()) {
    const Bytes held = model.activation_change(forward);
    json["activation_bytes"] = held;
    json["activation_bytes_after_input_grad"] = held + model.activation_change(input_grad);
    json["weight_bytes"] = model.weight_bytes(stage);
  }
  if (analytic != nullptr)
    json.update({{"layers", analytic->layers.layers},
                 {"parameter_bytes", analytic->memory.parameters},
                 {"gradient_bytes", analytic->memory.gradients},
                 {"optimizer_bytes", analytic->memory.optimizer},
                 {"buffer_bytes", analytic->memory.buffers}});
  return json;
}

Rows stage_rows(const CostSource& source, const Placement& placement, const CostOptions& options,
                const std::optional<AnalyticCosts>& analytic) {
  const CostModel model(source, placement, options);
  // Where several stages divide the costs of a rank, a stage's phases are not all of them.
  const bool has_phases =
      source.stage_by_stage || options.per == CostPer::OneStage || placement.chunks() == 1;
  Rows rows;
  for (Stage stage = 0; stage < placement.depth; ++stage) {
    const auto index = static_cast<std::size_t>(stage);
    const AnalyticStage* own = analytic ? &analytic->stages[index] : nullptr;
    const StageCost& given = source.stages[source.stage_by_stage ? index : 0];
    rows.push_back(stage_json(model, stage, own));
    rows.back()["phases"] =
        has_phases ? Json(phase_rows(given.phases, own != nullptr ? &own->phases : nullptr))
                   : Json::array();
  }
  return rows;
}

/// The stages in turn that are alike as one row, with "stages" that names them: "1–6".
Rows alike(const Rows& stages) {
  Rows rows;
  Json former;
  for (const Json& stage : stages) {
    Json costs = stage;
    costs.erase("stage");
    if (rows.empty() || costs != former)
      rows.push_back(stage);
    Json& row = rows.back();
    row["stages"] = row["stage"] == stage["stage"]
                        ? stage["stage"].dump()
                        : fmt::format("{}–{}", row["stage"].dump(), stage["stage"].dump());
    former = std::move(costs);
  }
  return rows;
}

Table stage_table(const Rows& rows) {
  Table table{"stage",
              {{"stages"},
               {"layers"},
               {"forward_ns", "F"},
               {"input_grad_ns", "I"},
               {"weight_grad_ns", "W"},
               {"backward_ns", "B"},
               {"overlapped_ns", "F&B"},
               {"grad_reduce_ns", "gradient reduction"},
               {"optimizer_ns", "optimizer step"},
               {"activation_bytes", "activations"},
               {"kept_bytes", "held after I"},
               {"parameter_bytes", "parameters", {}, Show::IfRoom},
               {"gradient_bytes", "gradients", {}, Show::IfRoom},
               {"optimizer_bytes", "optimizer", {}, Show::IfRoom},
               {"buffer_bytes", "buffers", {}, Show::IfRoom},
               {"weight_bytes", "weights"},
               {"message_bytes", "message"}},
              rows};
  for (Json& row : table.rows) {
    row["kept_bytes"] = row["activation_bytes_after_input_grad"];
    for (const Column& column : table.columns)
      row.emplace(column.key, nullptr);
  }
  return table;
}

/// The phases that take time.
Table phase_table(const Json& stage) {
  const std::string stages = stage["stages"].get<std::string>();
  Table table{"",
              {{"name", (stage["stages"] == stage["stage"].dump() ? "stage " : "stages ") + stages},
               {"stream"},
               {"duration_ns", "time"}}};
  for (const Json& phase : stage["phases"])
    if (phase["duration_ns"] != 0)
      table.rows.push_back(phase);
  if (!table.rows.empty() && table.rows.front().contains("flops"))
    table.columns.insert(
        table.columns.end(),
        {{"flops", "FLOPs", [](const Json& v) { return fmt::format("{:.3e}", v.get<double>()); }},
         {"memory_bytes"},
         {"sent_bytes"},
         {"bound"}});
  return table;
}

Json rate_json(double bytes_per_second) {
  return bytes_per_second > 0 ? Json(bytes_per_second) : Json();
}

Json network_link_json(const NetworkLink& link) {
  return {{"latency_ns", link.message.latency},
          {"bandwidth_bytes_per_s", rate_json(link.message.bytes_per_second)},
          {"shared_bytes_per_s", rate_json(link.shared_bytes_per_second)}};
}

Json network_json(const Network& network) {
  const bool is_even = network.node_of_rank.empty();
  return {{"ranks_per_node", is_even ? Json(network.ranks_per_node) : Json()},
          {"node_of_rank", is_even ? Json() : Json(network.node_of_rank)},
          {"intra_node", network_link_json(network.intra_node)},
          {"inter_node", network_link_json(network.inter_node)}};
}

std::string gigabytes(double bytes_per_second) {
  return fmt::format("{:.3g} GB/s", bytes_per_second / 1e9);
}

std::string words(const NetworkLink& link) {
  std::string text = TimeUnit::fit(link.message.latency).format(link.message.latency);
  if (link.message.bytes_per_second > 0)
    text += " and its bytes at " + gigabytes(link.message.bytes_per_second);
  if (link.shared_bytes_per_second > 0)
    text += fmt::format(" (all share {})", gigabytes(link.shared_bytes_per_second));
  return text;
}

std::string title(const CostSource& source, std::size_t stages, const std::string& layout) {
  std::string text = fmt::format("{}: {} stage{}", source.name, stages, stages == 1 ? "" : "s");
  if (!layout.empty())
    text += fmt::format(", layout {}", layout);
  if (!source.network)
    return text + "; a message takes " + words({source.link});
  const Network& network = *source.network;
  const std::string nodes =
      network.node_of_rank.empty()
          ? fmt::format("{} rank{} a node", network.ranks_per_node,
                        network.ranks_per_node == 1 ? "" : "s")
          : fmt::format("ranks on nodes {}", fmt::join(network.node_of_rank, ", "));
  return text + fmt::format("; {}: a message takes {} within a node, {} between nodes", nodes,
                            words(network.intra_node), words(network.inter_node));
}

}  // namespace

std::string costs_view(const CostSource& source, const Placement& placement,
                       const CostOptions& options, const std::optional<AnalyticCosts>& analytic,
                       const Style& style) {
  const Rows stages = stage_rows(source, placement, options, analytic);
  const std::string layout = analytic ? to_text(analytic->layout) : "";
  const bool has_network = source.network.has_value();
  return render(
      style,
      [&] {
        Document page;
        page.title(title(source, stages.size(), layout), Emphasis::None);
        if (analytic)
          page.line(analytic->model);
        if (analytic && !analytic->estimated.empty())
          page.line(fmt::format("how fast the kernels of {} are is an estimate",
                                fmt::join(analytic->estimated, ", ")));
        const Rows rows = alike(stages);
        page.table(stage_table(rows));
        for (const Json& row : rows)
          page.table(phase_table(row));
        return page;
      },
      [&] {
        return Json{{"name", source.name},
                    {"source", source.description},
                    {"ranks", placement.ranks},
                    {"layers_per_stage", source.layers_per_stage},
                    {"layout", layout.empty() ? Json() : Json(layout)},
                    {"latency_ns", has_network ? Json() : Json(source.link.latency.count())},
                    {"bandwidth_bytes_per_s",
                     has_network ? Json() : rate_json(source.link.bytes_per_second)},
                    {"network", or_null(source.network, network_json)},
                    {"stages", stages}};
      },
      [&] {
        Rows rows = stages;
        for (Json& row : rows) {
          const Json phases = row["phases"];
          row.erase("phases");
          for (const Json& phase : phases)
            row[phase["name"].get<std::string>() + "_ns"] = phase["duration_ns"];
        }
        return rows;
      });
}

}  // namespace bubblescope
