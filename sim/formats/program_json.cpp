#include "sim/formats/program_json.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "sim/base/error.h"
#include "sim/base/json_input.h"
#include "sim/base/json_text.h"
#include "sim/base/nearest.h"
#include "sim/base/printable.h"
#include "sim/formats/tokens.h"
#include "sim/program/steps.h"
#include "sim/schedule/words.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr std::string_view kFormat = "bubblescope-program/1";
constexpr std::string_view kCollectives[] = {"unshard", "reshard", "reduce_grad"};

void append(fmt::memory_buffer& text, const Transfer& transfer) {
  fmt::format_to(std::back_inserter(text), "[\"{}\", {}, \"{}\", {}, {}]",
                 transfer.is_send ? "send" : "recv", transfer.peer,
                 transfer.output.kind() == OpKind::Forward ? "act" : "grad",
                 transfer.output.stage(), transfer.output.microbatch());
}

void append(fmt::memory_buffer& text, const PostedProgram& program, const Step& step) {
  const auto out = std::back_inserter(text);
  if (step.kind == Step::Kind::Action) {
    fmt::format_to(out, "{{\"action\": \"");
    append_word(text, program.schedule.actions[step.first]);
    fmt::format_to(out, "\"}}");
  } else if (step.kind == Step::Kind::Collective) {
    const Collective& collective = program.collectives[step.first];
    fmt::format_to(out, "{{\"collective\": [\"{}\", {}]}}",
                   kCollectives[static_cast<std::size_t>(collective.kind)], collective.stage);
  } else {
    const bool is_batch = program.comm == Comm::Batched;
    text.append(std::string_view(is_batch ? "{\"batch\": [" : "{\"post\": "));
    for (std::size_t i = step.first; i < step.end; ++i) {
      text.append(std::string_view(i == step.first ? "" : ", "));
      append(text, program.transfers[i]);
    }
    text.append(std::string_view(is_batch ? "]}" : "}"));
  }
}

/// Takes the steps out of a document as they are read, so that their JSON is never all there.
class StepReader {
 public:
  explicit StepReader(const std::string& file) : file_(file) {}

  /// A JsonWatcher: the document's "program" is at depth 1, a rank's steps at depth 2.
  bool watch(int depth, json::parse_event_t event, json& parsed) {
    using Event = json::parse_event_t;
    if (event == Event::key && depth == 1)
      is_program_ = parsed == "program";
    if (!is_program_ || depth < 1)
      return true;
    const bool begins =
        event == Event::object_start || event == Event::array_start || event == Event::value;
    if (depth == 1 && begins && event != Event::array_start)
      fail("/program", "expected an array with one array of steps a rank");
    if (depth == 2 && begins && event != Event::array_start)
      fail(fmt::format("/program/{}", ranks()), "expected an array of steps");
    if (depth == 3 && begins && event != Event::object_start)
      fail(path(), "expected a step such as {\"action\": \"0F3\"}");
    if (depth == 3 && event == Event::object_end) {
      add_step(parsed);
      ++step_;
      return false;
    }
    if (depth == 2 && event == Event::array_end)
      end_rank();
    return true;
  }

  int ranks() const { return static_cast<int>(first_action_.size()) - 1; }
  std::size_t actions() const { return actions_.size(); }

  /// Moves the steps into a program whose head is read. What they tell must go with it.
  void write(PostedProgram& program, bool comm_is_told, std::optional<Channels> channels) {
    if (!comm_is_told)
      program.comm = has_batch_ ? Comm::Batched : Comm::Ideal;
    program.channels = channels.value_or(default_channels(program.comm));
    if (channels && !has_channels(program.comm))
      fail("/channels",
           fmt::format("have no meaning where \"comm\" is {}", to_string(program.comm)));
    if (has_batch_ && program.comm != Comm::Batched)
      fail("/comm", fmt::format("is {}, and there are batches", to_string(program.comm)));
    if (has_post_ && program.comm != Comm::Stream && program.comm != Comm::Torch)
      fail("/comm",
           fmt::format("{} {}, and there are posted transfers: expected stream or torch",
                       comm_is_told ? "is" : "is missing, so it is", to_string(program.comm)));
    if (!collectives_.empty() && program.comm != Comm::Torch)
      fail("/comm", fmt::format("is {}, and only torch has collectives", to_string(program.comm)));
    program.schedule.actions = std::move(actions_);
    program.schedule.first_action = std::move(first_action_);
    if (program.comm != Comm::Ideal)
      program.transfers = std::move(transfers_);
    program.collectives = std::move(collectives_);
  }

 private:
  std::string path() const { return fmt::format("/program/{}/{}", ranks(), step_); }
  [[noreturn]] void fail(const std::string& path, std::string_view what) const {
    throw Error(fmt::format("{}: {}: {}", file_, path, what));
  }

  void add_step(const json& step) {
    if (step.size() != 1)
      fail(path(), fmt::format("expected one key, got {}", step.size()));
    const std::string& key = step.begin().key();
    const json& value = step.begin().value();
    if (key == "action")
      add_action(value);
    else if (key == "batch")
      add_batch(value);
    else if (key == "post") {
      has_post_ = true;
      transfers_.post(transfer(value, path() + "/post"));
    } else if (key == "collective")
      add_collective(value);
    else
      fail(path() + "/" + quoted_word(key),
           "unknown key" + did_you_mean(key, std::vector<std::string>{"action", "batch", "post",
                                                                      "collective"}));
  }

  void add_action(const json& value) {
    if (!value.is_string())
      fail(path() + "/action", fmt::format("expected a string, got {}", quoted(value)));
    try {
      const Word word = parse_word(value.get_ref<const std::string&>());
      if (word.token.kind >= TokenKind::OldBackward)
        throw Error(fmt::format("{}: expected an F, I, W, B or a pair",
                                quoted_word(value.get_ref<const std::string&>())));
      actions_.push_back(word.overlapped ? Action(op_of(word.token), op_of(*word.overlapped))
                                         : Action(op_of(word.token)));
    } catch (const Error& error) {
      fail(path() + "/action", error.what());
    }
    transfers_.end_slot();
    ++slot_;
  }

  void add_batch(const json& value) {
    if (!value.is_array() || value.empty())
      fail(path() + "/batch", fmt::format("expected an array of transfers, got {}", quoted(value)));
    has_batch_ = true;
    for (std::size_t i = 0; i < value.size(); ++i) {
      Transfer each = transfer(value[i], fmt::format("{}/batch/{}", path(), i));
      each.joins_batch = i > 0;
      transfers_.post(each);
    }
  }

  Transfer transfer(const json& value, const std::string& path) const {
    if (!value.is_array() || value.size() != 5)
      fail(path, fmt::format("expected [\"send\" or \"recv\", peer, \"act\" or \"grad\", stage, "
                             "micro-batch], got {}",
                             quoted(value)));
    const bool is_send = choice(value[0], {"send", "recv"}, path + "/0") == 0;
    const bool forward = choice(value[2], {"act", "grad"}, path + "/2") == 0;
    const auto peer = number(value[1], path + "/1");
    const auto stage = number(value[3], path + "/3");
    const auto microbatch = number(value[4], path + "/4");
    return {{forward ? OpKind::Forward : OpKind::BackwardInput, stage, microbatch}, peer, is_send};
  }

  void add_collective(const json& value) {
    const std::string place = path() + "/collective";
    if (!value.is_array() || value.size() != 2)
      fail(place, fmt::format("expected [\"unshard\", stage], got {}", quoted(value)));
    const std::size_t kind =
        choice(value[0], {std::begin(kCollectives), std::end(kCollectives)}, place + "/0");
    collectives_.push_back({static_cast<CollectiveKind>(kind), number(value[1], place + "/1"),
                            slot_, transfers_.size()});
  }

  std::size_t choice(const json& value, const std::vector<std::string>& words,
                     const std::string& path) const {
    const auto found = std::find_if(words.begin(), words.end(),
                                    [&](const std::string& word) { return value == word; });
    if (found == words.end())
      fail(path,
           fmt::format("expected \"{}\", got {}", fmt::join(words, "\" or \""), quoted(value)));
    return static_cast<std::size_t>(found - words.begin());
  }

  std::int32_t number(const json& value, const std::string& path) const {
    constexpr std::int32_t kMost = Op::kMostStages - 1;  // plenty for micro-batches and ranks, too
    if (!value.is_number_integer() || value.get<std::int64_t>() < 0 ||
        value.get<std::int64_t>() > kMost)
      fail(path,
           fmt::format("expected a whole number of at most {}, got {}", kMost, quoted(value)));
    return value.get<std::int32_t>();
  }

  void end_rank() {
    first_action_.push_back(actions_.size());
    transfers_.end_slot();
    ++slot_;
    step_ = 0;
  }

  const std::string& file_;
  bool is_program_ = false;
  bool has_batch_ = false;
  bool has_post_ = false;
  std::size_t step_ = 0;  // of the rank at hand
  std::size_t slot_ = 0;
  FlatArray<Action> actions_ = {};
  std::vector<std::size_t> first_action_ = {0};
  Transfers transfers_ = {};
  std::vector<Collective> collectives_ = {};
};

/// The counts and the placement. Numbers in range, and as many as there should be.
class HeadReader {
 public:
  HeadReader(const json& document, const std::string& file) : reader_(document, {file, ""}) {}

  /// Where they are told.
  std::optional<Channels> channels() const { return channels_; }

  /// Whether "comm" is told.
  bool read(PostedProgram& program, int ranks, std::size_t actions) {
    if (reader_.text("format") != kFormat)
      reader_.fail("format", fmt::format("expected \"{}\"", kFormat));
    reader_.skip("program");
    Schedule& schedule = program.schedule;
    Placement& placement = schedule.placement;
    schedule.name = printable_name(reader_.text("schedule"));
    if (std::any_of(schedule.name.begin(), schedule.name.end(),
                    [](char c) { return static_cast<unsigned char>(c) < ' '; }))
      reader_.fail("schedule", "is a name with control characters");
    if (actions == 0)
      reader_.fail("program", "has no actions");
    placement.ranks = count("ranks", {1, std::numeric_limits<int>::max()});
    if (placement.ranks != ranks)
      reader_.fail("ranks",
                   fmt::format("is {}, and \"program\" has steps of {}", placement.ranks, ranks));
    placement.pipes = count("pipes", {1, 2});
    const auto most = static_cast<std::int64_t>(2 * actions);  // ops, and each needs one
    placement.depth = count("depth", {1, most});
    schedule.microbatches = count("microbatches", {1, most});
    if (schedule.microbatches % placement.pipes != 0)
      reader_.fail("microbatches", "is odd, and two pipes share them equally");
    if (static_cast<std::int64_t>(placement.stages()) * schedule.microbatches > 2 * most)
      reader_.fail("microbatches", fmt::format("{} on {} stages, but there are only {} actions",
                                               schedule.microbatches, placement.stages(), actions));
    placement.rank_of_stage = stages("rank_of_stage", placement.stages(), placement.ranks);
    placement.weights_of_stage = stages("weights_of_stage", placement.stages(), placement.depth);
    if (const auto fault = find_placement_fault(placement))
      reader_.fail("rank_of_stage", *fault);
    const bool comm_is_told = reader_.has("comm");
    if (comm_is_told)
      program.comm = comm();
    if (reader_.has("channels"))
      channels_ = static_cast<Channels>(word("channels", channels_names()));
    reader_.finish();
    return comm_is_told;
  }

 private:
  struct Range {
    std::int64_t least;
    std::int64_t most;
  };

  int count(const std::string& key, Range range) {
    const std::int64_t value = reader_.integer(key);
    if (value < range.least || value > range.most ||
        value > std::numeric_limits<std::int32_t>::max())
      reader_.fail(key, fmt::format("expected {} … {}, got {}", range.least, range.most, value));
    return static_cast<int>(value);
  }

  std::vector<std::int32_t> stages(const std::string& key, int size, int limit) {
    const std::vector<std::int64_t> values = reader_.integers(key);
    if (values.size() != static_cast<std::size_t>(size))
      reader_.fail(key,
                   fmt::format("expected {} entries, pipes × depth, got {}", size, values.size()));
    for (std::size_t i = 0; i < values.size(); ++i)
      if (values[i] >= limit)
        reader_.fail(fmt::format("{}/{}", key, i),
                     fmt::format("expected less than {}, got {}", limit, values[i]));
    return {values.begin(), values.end()};
  }

  Comm comm() {
    std::vector<std::string_view> names;
    for (const CommName& each : comm_names())
      names.push_back(each.name);
    return comm_names()[word("comm", names)].comm;
  }

  /// Which of `words` the key has.
  std::size_t word(const std::string& key, std::span<const std::string_view> words) {
    const std::string given = reader_.text(key);
    const std::vector<std::string> names(words.begin(), words.end());
    const auto found = std::find(names.begin(), names.end(), given);
    if (found == names.end())
      reader_.fail(key, fmt::format("expected {}, got {}{}", fmt::join(names, ", "),
                                    quoted(json(given)), did_you_mean(given, names)));
    return static_cast<std::size_t>(found - names.begin());
  }

  std::optional<Channels> channels_ = {};
  ObjectReader reader_;
};

/// What a program's checks take for granted: no index is out of range.
void check_ranges(const PostedProgram& program, const std::string& file) {
  const Placement& placement = program.schedule.placement;
  for (Rank rank = 0; rank < placement.ranks; ++rank) {
    std::size_t step = 0;
    const auto fail = [&](const std::string& what) {
      throw Error(fmt::format("{}: /program/{}/{}: {}", file, rank, step, what));
    };
    const auto check_stage = [&](Stage stage) {
      if (stage >= placement.stages())
        fail(fmt::format("there are stages 0 … {}, got {}", placement.stages() - 1, stage));
    };
    for_each_step(program, rank, [&](const Step& each) {
      for (std::size_t i = each.first; each.kind == Step::Kind::Transfers && i < each.end; ++i) {
        const Transfer& transfer = program.transfers[i];
        check_stage(transfer.output.stage());
        if (transfer.output.microbatch() >= program.schedule.microbatches)
          fail(fmt::format("there are micro-batches 0 … {}, got {}",
                           program.schedule.microbatches - 1, transfer.output.microbatch()));
        if (transfer.peer >= placement.ranks)
          fail(fmt::format("there are ranks 0 … {}, got {}", placement.ranks - 1, transfer.peer));
      }
      if (each.kind == Step::Kind::Collective) {
        check_stage(program.collectives[each.first].stage);
        if (placement.rank(program.collectives[each.first].stage) != rank)
          fail("the stage is on another rank");
      }
      ++step;
    });
  }
}

}  // namespace

std::string to_program_json(const PostedProgram& program) {
  const Schedule& schedule = program.schedule;
  const Placement& placement = schedule.placement;
  nlohmann::ordered_json head = {{"format", kFormat},
                                 {"schedule", schedule.name},
                                 {"comm", to_string(program.comm)},
                                 {"ranks", placement.ranks},
                                 {"microbatches", schedule.microbatches},
                                 {"pipes", placement.pipes},
                                 {"depth", placement.depth},
                                 {"rank_of_stage", placement.rank_of_stage},
                                 {"weights_of_stage", placement.weights_of_stage}};
  if (program.channels != default_channels(program.comm))
    head["channels"] = to_string(program.channels);
  fmt::memory_buffer text;
  text.append(std::string_view("{\n"));
  for (const auto& [key, value] : head.items())
    fmt::format_to(std::back_inserter(text), "  \"{}\": {},\n", key, dump_json(value));
  text.append(std::string_view("  \"program\": ["));
  for (Rank rank = 0; rank < placement.ranks; ++rank) {
    text.append(std::string_view(rank == 0 ? "\n    [" : ",\n    ["));
    bool first = true;
    for_each_step(program, rank, [&](const Step& step) {
      if (!std::exchange(first, false))
        text.append(std::string_view(", "));
      append(text, program, step);
    });
    text.push_back(']');
  }
  text.append(std::string_view("\n  ]\n}\n"));
  return fmt::to_string(text);
}

PostedProgram parse_program_json(std::string_view text, const std::string& file) {
  StepReader steps(file);
  const json document =
      parse_json(text, file, [&](int depth, json::parse_event_t event, json& parsed) {
        return steps.watch(depth, event, parsed);
      });
  PostedProgram program;
  HeadReader head(document, file);
  const bool comm_is_told = head.read(program, steps.ranks(), steps.actions());
  steps.write(program, comm_is_told, head.channels());
  check_ranges(program, file);
  return program;
}

}  // namespace bubblescope
