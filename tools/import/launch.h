// A launch of another framework's training job: its flags, by a list of what each means here, and
// the options that they come to.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "sim/transformer/model.h"
#include "sim/transformer/stage_layout.h"
#include "tools/import/shell.h"

namespace bubblescope {

class LaunchedJob;
using Count = std::optional<std::int64_t>;

struct Flag {
  std::string_view names;  ///< Parted by blanks; its reader asks for the first one.
  /// Its meaning, or why it has no counterpart. "`--option`" takes the flag's number,
  /// "`--option value`" stands where the flag is given, "model `key`" is that key of the model;
  /// what else there is, the framework's `translate` reads.
  std::string_view here;
};

/// From these lists launches are read and documents written.
struct Framework {
  std::string_view name;
  std::string_view title;
  std::span<const Flag> read;
  std::span<const Flag> without_counterpart;
  /// Flags that do not change the timing, parted by blanks; "--log-*" are all that begin so.
  std::string_view silent;
  const Framework* base = nullptr;  ///< Its flags are known too.
  /// Throws Error where values contradict each other or are not what they have to be.
  void (*translate)(LaunchedJob& launch);
};

extern const Framework kMegatron;
extern const Framework kTorchtitan;
extern const Framework kDeepspeed;

/// As Markdown: a table of those that are read, one of those without counterpart, and the rest.
std::string flags_page(const Framework& framework);

/// A flag with the words behind it.
struct GivenFlag {
  std::string name;   ///< As it is spelled: "--pp".
  std::string place;  ///< "train.sh:12"; "" on the command line.
  std::vector<std::string> values = {};

  /// "train.sh:12: --pp".
  std::string where() const { return (place.empty() ? "" : place + ": ") + name; }
};

/// How a job divides its GPUs.
struct Division {
  std::int64_t tensor, context, pipeline, expert;
};

class LaunchedJob {
 public:
  explicit LaunchedJob(const Framework& framework);

  /// How many of a command's words are flags that are read.
  std::size_t known(const Words& words) const;
  /// Takes the flags among a command's words, each of which may hold several.
  void add(const Words& words, const std::string& file);
  /// Notes what is not read. The later of two with one name holds; throws Error where two names of
  /// one flag have different values.
  void add(GivenFlag flag);
  void note(const std::string& text) { notes.push_back(text); }
  /// A note about a flag that is given.
  void note_of(std::string_view name, std::string_view what);
  [[noreturn]] void fail(std::string_view name, std::string_view what) const;

  /// By its first name.
  const GivenFlag* find(std::string_view name) const;
  /// Whether it is given, and not as "false".
  bool has(std::string_view name) const;
  /// Its first value; throws Error where it has none.
  std::optional<std::string> text(std::string_view name) const;
  /// Throws Error unless the value is a whole number, `least` or more.
  Count count(std::string_view name, std::int64_t least = 1) const;
  std::int64_t count_or_1(std::string_view name) const { return count(name).value_or(1); }

  void set(const std::string& option, const std::string& value) { options[option] = value; }
  void set(const std::string& option, std::int64_t value) { set(option, std::to_string(value)); }
  /// Sets options and keys of the model that the list tells.
  void set_listed();
  /// Sets ranks and parallel for so many GPUs, which `place` tells. Returns dp, where it is known.
  Count set_division(const Division& division, Count all, const std::string& place);
  /// Sets micro-batches: global batch / (dp · micro-batch size).
  void set_microbatches(const std::string& batch, std::int64_t size, Count data);
  /// Takes a built-in model: of that name, or with the layers of `model`. Whether there is one.
  bool set_built_in(std::string_view name);
  /// Sets the layout with so many layers in each stage.
  void set_layout(const std::vector<std::int64_t>& layers);
  /// The options, for --config; notes are comments.
  std::string toml(std::string_view source) const;

  std::map<std::string, GivenFlag, std::less<>> flags = {};  ///< [first name]
  std::vector<std::string> notes = {};
  std::vector<std::string> silent = {};             ///< Flags that do not change the timing.
  Count gpus = {};                                  ///< As the user says, above what the flags do.
  std::map<std::string, std::string> options = {};  ///< "ranks", "8"; "NAME" is the schedule.
  std::optional<Model> model = {};
  nlohmann::ordered_json model_json = {};  ///< In the format bubblescope-model/1.

 private:
  enum class Kind : std::uint8_t { Read, WithoutCounterpart, Silent };
  struct Known {
    Kind kind;
    std::string name;  ///< The first one of its entry.
    std::string_view here;
  };
  const Known* find_known(const std::string& name) const;

  std::map<std::string, Known, std::less<>> known_ = {};  ///< [any name], "--log-*" among them.
};

/// Takes the flags of a file: TOML or JSON where its name ends so, else a script or a file of
/// arguments, for which `fixed` and `variables` are as in read_script. Throws Error, with the file
/// and the line, for what cannot be read.
void add_file(LaunchedJob& launch, const std::string& path,
              const std::map<std::string, std::string>& fixed, Variables& variables);

// Megatron-LM's flags, many of which launches of DeepSpeed have too.

void translate_megatron(LaunchedJob& launch);
/// Sets what Megatron's flags tell of the model and the division. Returns dp, where it is known.
Count translate_megatron_job(LaunchedJob& launch);
/// Sets attention and recomputation, and notes how tensors are divided.
void translate_megatron_training(LaunchedJob& launch);

}  // namespace bubblescope
