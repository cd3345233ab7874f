// bubblescope schedules, models and hardware: what is built in.
#include <memory>

#include "analysis/views/document.h"
#include "sim/schedule/catalogue.h"
#include "sim/transformer/hardware.h"
#include "sim/transformer/model_file.h"
#include "sim/transformer/parameters.h"
#include "tools/commands/command.h"
#include "tools/embedded_data.h"
#include "tools/errors.h"
#include "tools/output.h"

namespace bubblescope {
namespace {

Table schedules() {
  Table table = {"schedule",
                 {{"schedule"},
                  {"family"},
                  {"constraints"},
                  {"peak_live_activations", "live activations"},
                  {"weight_copies"},
                  {"source"},
                  {"aliases", "", {}, Show::OnRequest},
                  {"frameworks", "", {}, Show::OnRequest},
                  {"summary", "", {}, Show::OnRequest}}};
  for (const CatalogueEntry& entry : catalogue())
    table.rows.push_back({{"schedule", entry.name},
                          {"family", entry.family},
                          {"summary", entry.summary},
                          {"constraints", entry.constraints},
                          {"peak_live_activations", entry.peak.formula},
                          {"weight_copies", entry.weight_copies},
                          {"source", entry.source},
                          {"aliases", entry.aliases},
                          {"frameworks", entry.frameworks}});
  return table;
}

std::string billions(const Json& value) {
  return fmt::format("{:.1f} B", value.get<double>() / 1e9);
}

std::string experts_of(const Model& model) {
  for (const LayerKind& kind : model.kinds)
    if (kind.experts)
      return fmt::format("{} of {}", kind.experts->per_token, kind.experts->count);
  return "dense";
}

Table models() {
  Table table = {"model",
                 {{"model"},
                  {"total_parameters", "parameters", billions},
                  {"active_parameters", "active", billions},
                  {"layers"},
                  {"hidden"},
                  {"vocabulary"},
                  {"experts"},
                  {"source", "", {}, Show::OnRequest}}};
  for (const EmbeddedFile& file : embedded_models()) {
    const Model model = parse_model(file.text, std::string(file.name));
    table.rows.push_back({{"model", file.name},
                          {"total_parameters", total_parameters(model)},
                          {"active_parameters", activated_parameters(model)},
                          {"layers", model.depth()},
                          {"hidden", model.hidden},
                          {"vocabulary", model.vocabulary},
                          {"experts", experts_of(model)},
                          {"source", model.description}});
  }
  return table;
}

std::string teraflops(const Json& value) {
  return value.get<double>() > 0 ? fmt::format("{:.0f} TFLOP/s", value.get<double>() / 1e12) : "-";
}

std::string rate(const Json& value) {
  return fmt::format("{:.0f} GB/s", value.get<double>() / 1e9);
}

Table hardware() {
  Table table = {"GPU",
                 {{"hardware"},
                  {"bf16_flops", "bf16", teraflops},
                  {"fp8_flops", "fp8", teraflops},
                  {"memory_bytes", "memory"},
                  {"memory_bandwidth", "", rate},
                  {"nvlink_bandwidth", "NVLink", rate},
                  {"nic_bandwidth", "NIC", rate},
                  {"gpus_per_node", "GPUs a node"},
                  {"source", "", {}, Show::OnRequest}}};
  for (const EmbeddedFile& file : embedded_hardware()) {
    const Hardware gpu = parse_hardware(file.text, std::string(file.name));
    table.rows.push_back({{"hardware", file.name},
                          {"bf16_flops", gpu.bf16_flops},
                          {"fp8_flops", gpu.fp8_flops},
                          {"memory_bytes", gpu.memory},
                          {"memory_bandwidth", gpu.memory_bandwidth},
                          {"nvlink_bandwidth", gpu.nvlink_bandwidth},
                          {"nic_bandwidth", gpu.nic_bandwidth},
                          {"gpus_per_node", gpu.gpus_per_node},
                          {"source", gpu.description}});
  }
  return table;
}

Command add_catalogue(CLI::App& root, const GlobalOptions& global, const std::string& name,
                      const char* help, Table (*make)()) {
  auto* app = root.add_subcommand(name, help);
  auto output = std::make_shared<OutputOptions>();
  output->add_to(*app);
  app->footer("Example:\n  bubblescope " + name + " --format md");
  return {app, [output, make, &global] {
            const Table table = make();
            const auto page = [&] {
              Document document;
              document.table(table);
              return document;
            };
            write_output(output->path,
                         render(
                             output->style(global), page, [&] { return Json(table.rows); },
                             [&] { return table.rows; }));
            return kDone;
          }};
}

}  // namespace

Command add_schedules(CLI::App& root, const GlobalOptions& global) {
  return add_catalogue(root, global, "schedules", "list the schedules: constraints, memory, source",
                       schedules);
}

Command add_models(CLI::App& root, const GlobalOptions& global) {
  return add_catalogue(root, global, "models",
                       "list the models: parameters in all, and those that a token meets", models);
}

Command add_hardware(CLI::App& root, const GlobalOptions& global) {
  return add_catalogue(root, global, "hardware", "list the GPUs: peaks, memory, links", hardware);
}

}  // namespace bubblescope
