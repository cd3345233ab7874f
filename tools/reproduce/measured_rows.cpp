#include "tools/reproduce/measured_rows.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/costs/cost_file.h"
#include "sim/schedule/catalogue.h"
#include "tools/embedded_data.h"
#include "tools/errors.h"

namespace bubblescope {
namespace {

using Json = nlohmann::ordered_json;

/// Keys that say where a row comes from, or what no option can say.
constexpr const char* kRemarks[] = {"source",
                                    "confidence",
                                    "assumed",
                                    "notes",
                                    "scheme",
                                    "m",
                                    "settings_key",
                                    "recipe_source",
                                    "recipe_match",
                                    "token_drop",
                                    "not_expressible",
                                    "force_balanced",
                                    "etp",
                                    "moe_permute_fusion"};

const EmbeddedFile* built_in_model(std::string_view name) {
  const auto files = embedded_models();
  const auto found = std::find_if(files.begin(), files.end(),
                                  [&](const EmbeddedFile& file) { return file.name == name; });
  return found == files.end() ? nullptr : &*found;
}

/// A file that a row names lies beside the rows; other names are of what is built in.
std::string beside(const std::string& rows, const std::string& name) {
  if (!name.ends_with(".json"))
    return name;
  return (std::filesystem::path(rows).parent_path() / name).string();
}

/// A model by its dimensions, in the format of its own.
Json dimensions(ObjectReader& model, const std::string& name) {
  Json json = {{"format", "bubblescope-model/1"},
               {"name", name},
               {"source", "a published run"},
               {"hidden_size", model.integer("hidden")},
               {"num_hidden_layers", model.integer("layers")},
               {"num_attention_heads", model.integer("heads")},
               {"num_key_value_heads", model.integer("kv_heads")},
               {"intermediate_size", model.integer("ffn")},
               {"vocab_size", model.integer("vocab")}};
  const std::string act = model.text("act");
  json["hidden_act"] = act == "relu2" ? "relu" : act;
  for (const auto& [key, target] : {std::pair("bias", "attention_bias"),
                                    {"bias", "mlp_bias"},
                                    {"tied", "tie_word_embeddings"},
                                    {"dropout", "dropout"},
                                    {"qk_norm", "query_key_norm"}})
    if (model.optional_flag(key).value_or(false))
      json[target] = true;
  if (const auto positions = model.optional_integer("learned_positions"); positions.value_or(0) > 0)
    json.update({{"learned_positions", true}, {"max_position_embeddings", *positions}});
  if (const auto dim = model.optional_integer("head_dim"))
    json["head_dim"] = *dim;
  if (const auto experts = model.optional_integer("experts"))
    json.update({{"num_experts", *experts},
                 {"num_experts_per_tok", model.integer("per_token")},
                 {"moe_intermediate_size", model.integer("expert_ffn")}});
  return json;
}

/// A name or file, or where there is none, JSON.
std::string model_word(ObjectReader model, const std::string& rows) {
  for (const char* key : {"layers",        "hidden",   "heads",   "kv_heads",  "ffn",
                          "vocab",         "act",      "bias",    "dropout",   "learned_positions",
                          "tied",          "head_dim", "experts", "per_token", "expert_ffn",
                          "shared",        "mla",      "mtp",     "qk_norm",   "sliding_window",
                          "sliding_every", "builtin",  "name",    "file"})
    if (model.has(key))
      model.skip(key);
  model.finish();
  if (model.has("file"))
    return beside(rows, model.text("file"));
  const std::string name = model.text("name");
  std::string known = model.has("builtin") ? model.text("builtin") : name;
  if (built_in_model(known) != nullptr)
    return known;
  if (model.optional_flag("mla").value_or(false)) {
    Json json = Json::parse(built_in_model("deepseek-v3")->text);
    json["name"] = name;
    json["num_nextn_predict_layers"] = model.optional_integer("mtp").value_or(0);
    return json.dump();
  }
  return dimensions(model, name).dump();
}

/// As told; else even, but where the embedding and the head count as a layer each: where only so
/// all stages have as many.
std::string layout_word(ObjectReader& row, std::int64_t layers, std::int64_t stages) {
  if (row.has("layout"))
    return row.text("layout");
  if (stages < 2 || layers % stages == 0 || (layers + 2) % stages != 0)
    return "";
  const std::int64_t each = (layers + 2) / stages;
  if (each == 1)
    return fmt::format("E|(t|)*{}L", layers);
  return fmt::format("Et*{0}|(t*{1}|)*{2}t*{0}L", each - 1, each, stages - 2);
}

/// Scaled per tensor, unless the row tells otherwise: so did NVIDIA's releases before there was a
/// choice.
std::string recipe(ObjectReader& row) {
  const std::string told = row.has("precision_recipe") ? row.text("precision_recipe") : "fp8_cs";
  return told == "fp8_blockwise" ? "block" : told == "fp8_mx" ? "mxfp8" : "tensor";
}

/// The scope of CUDA graphs, from what they hold.
std::string graphs(const std::vector<std::string>& scopes) {
  const auto has = [&](std::string_view scope) {
    return std::find(scopes.begin(), scopes.end(), scope) != scopes.end();
  };
  return scopes.empty()          ? "none"
         : has("full_iteration") ? "full"
         : has("attn")           ? "attention"
                                 : "moe";
}

std::string stem(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

void read_measured(ObjectReader measured, PublishedRun& run) {
  run.ran_out = measured.optional_flag("oom").value_or(false);
  if (const auto peak = measured.optional_number("peak_memory_GB"); peak.value_or(0) > 0)
    run.measured_memory = std::llround(*peak * 1e9);
}

/// Throws Error where GPUs and sequences are not what the degrees make.
void check_counts(ObjectReader& row) {
  const std::int64_t replicas = row.integer("dp");
  if (row.integer("gpus") != row.integer("tp") * row.integer("cp") * row.integer("pp") * replicas)
    row.fail("gpus", "is not tp · cp · pp · dp");
  if (row.integer("gbs") != replicas * row.integer("mbs") * row.integer("microbatches"))
    row.fail("gbs", "is not dp · mbs · microbatches");
}

class RowReader {
 public:
  RowReader(const nlohmann::json& json, ObjectReader::Place place)
      : rows_(place.file), row_(json, std::move(place)) {}

  MeasuredRow read() {
    read_run();
    add({row_.text("schedule")});
    add_shape();
    add_training();
    add_experts();
    read_rest();
    row_.finish();
    return std::move(result_);
  }

 private:
  void add(std::initializer_list<std::string> words) {
    result_.words.insert(result_.words.end(), words);
  }
  void add_number(const char* option, const std::string& key) {
    add({option, std::to_string(row_.integer(key))});
  }
  void add_text(const char* option, const std::string& key) {
    if (row_.has(key))
      add({option, row_.text(key)});
  }
  bool flag(const char* key, bool otherwise = false) {
    return row_.optional_flag(key).value_or(otherwise);
  }

  void read_run() {
    PublishedRun& run = result_.run;
    run.id = row_.text("id");
    run.table = row_.text("table");
    hardware_ = beside(rows_, row_.text("hardware"));
    precision_ = row_.text("precision");
    kernel_ = row_.has("kernel") ? row_.text("kernel") : "";
    gpus_ = row_.integer("gpus");
    const std::int64_t batch = row_.integer("gbs");
    const std::int64_t sequence = row_.integer("seq");
    check_counts(row_);
    ObjectReader model = row_.object("model");
    run.kind = fmt::format("{} {} {}", stem(hardware_), precision_,
                           model.has("experts") ? "experts" : "dense");
    run.job = fmt::format("{} {} {} {} {} {} {}", run.table, model.text("name"), stem(hardware_),
                          gpus_, batch, sequence, kernel_);
    if (const auto seconds = row_.optional_number("iteration_s"); seconds.value_or(0) > 0)
      run.measured = time_from_us(*seconds * 1e6);
    read_measured(row_.object("measured"), run);
    const bool is_complete = flag("config_complete", true);
    const bool is_uncertain = flag("uncertain");
    run.is_judged = !flag("ratio_only") && is_complete && !is_uncertain;
    result_.is_layer = row_.has("kind") && row_.text("kind") == "layer";
  }

  void add_shape() {
    const std::int64_t ranks = row_.integer("pp");
    const std::int64_t chunks = row_.integer("v");
    add({"-p", std::to_string(ranks)});
    add_number("-m", "microbatches");
    const CatalogueEntry* entry = find_schedule(result_.words[0]);
    if (chunks > 1 && entry != nullptr && entry->any_chunks)
      add({"-v", std::to_string(chunks)});
    ObjectReader model = row_.object("model");
    const std::string layout = layout_word(row_, model.integer("layers"), ranks * chunks);
    add({"--model", model_word(std::move(model), rows_), "--hardware", hardware_});
    if (!layout.empty())
      add({"--layout", layout});
    add_number("--tp", "tp");
    add_number("--cp", "cp");
    add_number("--ep", "ep");
    add_number("--dp", "dp");
    add_number("--microbatch-size", "mbs");
    add_number("--sequence", "seq");
    if (!flag("sp") && row_.integer("tp") > 1)
      add({"--sequence-parallel", "off"});
    if (flag("tp_overlap") && row_.integer("tp") > 1)
      add({"--tp-overlap", "on"});
  }

  void add_training() {
    add({"--precision", precision_});
    if (precision_ == "fp8")
      add({"--fp8-recipe", recipe(row_)});
    const bool is_flash = row_.text("attention") == "flash";
    add({"--attention", flag("fp8_attention") ? "fp8" : is_flash ? "flash" : "unfused"});
    if (!kernel_.empty() && kernel_.find("RMS") == std::string::npos)
      add({"--norms", "unfused"});
    if (row_.has("loss"))
      add_text("--loss", "loss");
    else if (stem(hardware_).find("a100") != std::string::npos)
      add({"--loss", "unfused"});
    add_number("--zero", "zero");
    add_text("--gradients", "gradients");
    if (flag("gradient_fusion"))
      add({"--gradient-fusion", "on"});
    add_text("--moments", "moments");
    add_text("--cp-comm", "cp_comm");
    if (flag("dp_overlap"))
      add({"--reduce", "overlapped", "--gather", "overlapped"});
    if (row_.has("optimizer_sync") && row_.text("optimizer_sync") == "none") {
      add({"--optimizer-sync", "none"});
      if (result_.words[0] == "zb-auto")
        add({"--objective", "span"});
    }
  }

  void add_experts() {
    std::string modules;
    if (row_.has("recompute_modules"))
      modules = fmt::format("{}", fmt::join(row_.words("recompute_modules"), ","));
    const std::string recompute = row_.text("recompute");
    const bool is_usual = modules.empty() && recompute == "selective";
    add({"--recompute", is_usual ? "core_attn" : modules.empty() ? recompute : modules});
    add_text("--dispatch", "dispatch");
    const std::string& schedule = result_.words[0];
    const bool has_pairs = schedule.ends_with("overlap") || schedule.starts_with("dualpipe");
    if (flag("a2a_overlap") && !has_pairs)
      add({"--dispatch-overlap", "on"});
    if (flag("fused_grouped_mlp"))
      add({"--fused-experts", "on"});
    if (row_.has("cuda_graphs"))
      add({"--cuda-graphs", graphs(row_.words("cuda_graphs"))});
  }

  void read_rest() {
    if (row_.has("memory_limit"))
      result_.live_activations = static_cast<int>(row_.integer("memory_limit"));
    if (row_.has("profiled")) {
      ObjectReader profile = row_.object("profiled");
      const auto time = [&](const char* key) { return time_from_us(profile.number(key) * 1e3); };
      result_.forward = time("TF_ms");
      result_.input_grad = time("TB_ms");
      result_.weight_grad = time("TW_ms");
    }
    if (row_.has("precision_recipe"))
      row_.skip("precision_recipe");
    for (const char* remark : kRemarks)
      if (row_.has(remark))
        row_.skip(remark);
  }

  std::string rows_;  // the file of all rows
  ObjectReader row_;
  MeasuredRow result_ = {};
  std::string hardware_ = {}, precision_ = {}, kernel_ = {};
  std::int64_t gpus_ = 0;
};

/// Without keys whose value is not known.
nlohmann::json told(const nlohmann::json& row) {
  if (!row.is_object())
    return row;
  nlohmann::json result = row;
  for (const auto& [key, value] : row.items())
    if (value.is_null())
      result.erase(key);
    else if (value.is_object())
      result[key] = told(value);
  return result;
}

bool is_of(const Assumption& assumption, std::string_view table) {
  std::string_view pattern = assumption.table;
  if (!pattern.ends_with('*'))
    return pattern == table;
  pattern.remove_suffix(1);
  return table.starts_with(pattern);
}

nlohmann::json value_of(const Assumption& assumption) {
  nlohmann::json value = nlohmann::json::parse(assumption.value, nullptr, false);
  return value.is_discarded() ? nlohmann::json(assumption.value) : value;
}

}  // namespace

std::vector<MeasuredRow> parse_measured_rows(std::string_view text, const std::string& file,
                                             const std::vector<Assumption>& assumed) {
  const nlohmann::json json = parse_json(text, file);
  if (json.empty())
    throw Error(fmt::format("{}: holds no rows", file));
  for (const Assumption& each : assumed)
    if (std::none_of(json.begin(), json.end(), [&](const nlohmann::json& row) {
          return row.is_object() && row.contains("table") && row["table"].is_string() &&
                 is_of(each, row["table"].get<std::string>());
        }))
      throw UsageError(fmt::format("--assume: no row is of table '{}'", each.table), {"--assume"});
  std::vector<MeasuredRow> rows;
  for (std::size_t i = 0; i < json.size(); ++i) {
    nlohmann::json row = told(json[i]);
    for (const Assumption& each : assumed)
      if (row.contains("table") && row["table"].is_string() &&
          is_of(each, row["table"].get<std::string>()))
        row[each.key] = value_of(each);
    rows.push_back(RowReader(row, {file, fmt::format("/{}", i)}).read());
  }
  return rows;
}

}  // namespace bubblescope
