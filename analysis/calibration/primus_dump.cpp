#include "analysis/calibration/primus_dump.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sim/base/error.h"
#include "sim/base/json_input.h"

namespace bubblescope {
namespace {

using nlohmann::json;

constexpr const char* kPasses[kPrimusPasses] = {"fwd", "bwd", "wgrad"};
const std::string kRankFile = "pp_rank_";

/// N of pp_rank_N.json.
std::optional<int> rank_of(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  if (!name.starts_with(kRankFile) || !name.ends_with(".json"))
    return std::nullopt;
  const std::string digits = name.substr(kRankFile.size(), name.size() - kRankFile.size() - 5);
  constexpr std::size_t kMostDigits = 6;
  if (digits.empty() || digits.size() > kMostDigits ||
      digits.find_first_not_of("0123456789") != digits.npos)
    return std::nullopt;
  return std::stoi(digits);
}

/// An array of one iteration, whose faults are told with its JSON path.
class ArrayReader {
 public:
  ArrayReader(const json& iteration, std::string file, std::string key)
      : file_(std::move(file)), key_(std::move(key)) {
    const std::string name = key_.substr(key_.rfind('/') + 1);
    const auto found = iteration.find(name);
    if (found == iteration.end())
      return;
    if (!found->is_array())
      fail("", "expected an array, got " + quoted(*found));
    array_ = &*found;
  }

  bool is_there() const { return array_ != nullptr; }
  std::size_t size() const { return array_ != nullptr ? array_->size() : 0; }

  Time time(std::size_t i) const {
    constexpr double kMostMs = 1e12;
    constexpr double kNanoseconds = 1e6;
    const json& value = (*array_)[i];
    if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= kMostMs))
      fail(fmt::format("/{}", i), "expected a time in ms, got " + quoted(value));
    return Time(std::llround(value.get<double>() * kNanoseconds));
  }

  int number(std::size_t i) const {
    const json& value = (*array_)[i];
    if (!value.is_number_unsigned() ||
        value.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<int>::max()})
      fail(fmt::format("/{}", i), "expected a number from 0, got " + quoted(value));
    return value.get<int>();
  }

  [[noreturn]] void fail(const std::string& path, const std::string& what) const {
    throw Error(fmt::format("{}: {}{}: {}", file_, key_, path, what));
  }

 private:
  std::string file_;
  std::string key_;
  const json* array_ = nullptr;
};

struct IterationPlace {
  const json& value;
  std::string file;
  std::string number;

  ArrayReader array(std::size_t pass, const char* what) const {
    return {value, file, fmt::format("/{}/{}_{}", number, kPasses[pass], what)};
  }
};

/// Starts and ends of one pass, checked to go forwards.
std::vector<Span> read_spans(const IterationPlace& place, std::size_t pass, std::size_t expected) {
  const ArrayReader starts = place.array(pass, "start");
  const ArrayReader ends = place.array(pass, "end");
  const bool is_optional = pass == static_cast<std::size_t>(PrimusPass::WeightGrad);
  if (is_optional && starts.size() == 0 && ends.size() == 0)
    return {};
  for (const ArrayReader& each : {starts, ends}) {
    if (!each.is_there())
      each.fail("", "is missing");
    if (each.size() != expected && !is_optional)
      each.fail("", fmt::format("expected {} times, one a micro-batch and chunk, got {}", expected,
                                each.size()));
  }
  if (starts.size() != ends.size())
    ends.fail("", fmt::format("has {} times, and there are {} starts", ends.size(), starts.size()));
  std::vector<Span> spans;
  for (std::size_t i = 0; i < starts.size(); ++i) {
    spans.push_back({starts.time(i), ends.time(i)});
    if (spans[i].end < spans[i].start)
      ends.fail(fmt::format("/{}", i), "comes before its start");
    if (i > 0 && spans[i].start < spans[i - 1].start)
      starts.fail(fmt::format("/{}", i), "goes backwards: the one before starts later");
  }
  return spans;
}

std::vector<int> read_numbers(const IterationPlace& place, std::size_t pass, const char* what,
                              std::size_t expected) {
  const ArrayReader array = place.array(pass, what);
  if (array.size() == 0)
    return {};
  if (array.size() != expected)
    array.fail("", fmt::format("has {} entries, and there are {} starts", array.size(), expected));
  std::vector<int> numbers;
  for (std::size_t i = 0; i < array.size(); ++i)
    numbers.push_back(array.number(i));
  return numbers;
}

PrimusIteration read_iteration(const IterationPlace& place, std::size_t expected) {
  if (!place.value.is_object())
    throw Error(fmt::format("{}: /{}: expected an object, got {}", place.file, place.number,
                            quoted(place.value)));
  PrimusIteration out;
  for (std::size_t pass = 0; pass < kPrimusPasses; ++pass) {
    out.spans[pass] = read_spans(place, pass, expected);
    out.chunks[pass] = read_numbers(place, pass, "chunk", out.spans[pass].size());
    out.microbatches[pass] = read_numbers(place, pass, "minibatch", out.spans[pass].size());
  }
  return out;
}

std::map<std::int64_t, PrimusIteration> read_rank(const std::string& file, std::size_t expected) {
  const json all = parse_json(read_file(file, kMostProfileBytes), file);
  if (!all.is_object() || all.empty())
    throw Error(fmt::format("{}: expected an object with iterations, got {}", file,
                            all.empty() ? "nothing in it" : quoted(all)));
  std::map<std::int64_t, PrimusIteration> iterations;
  for (const auto& [key, value] : all.items()) {
    constexpr std::size_t kMostDigits = 18;
    if (key.empty() || key.size() > kMostDigits ||
        key.find_first_not_of("0123456789") != std::string::npos)
      throw Error(fmt::format("{}: /{}: expected the number of an iteration", file, key));
    iterations.emplace(std::stoll(key), read_iteration({value, file, key}, expected));
  }
  return iterations;
}

int count(const json& config, const std::string& file, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = config.find(key);
    if (found == config.end())
      continue;
    constexpr std::uint64_t kMost = 1 << 20;
    if (!found->is_number_unsigned() || *found == 0U || found->get<std::uint64_t>() > kMost)
      throw Error(fmt::format("{}: /{}: expected a number from 1 to {}, got {}", file, key, kMost,
                              quoted(*found)));
    return found->get<int>();
  }
  throw Error(fmt::format("{}: /{}: is missing", file, *keys.begin()));
}

/// Where config.json says what every rank's dump has to have.
void read_config(const std::string& file, PrimusDump& dump) {
  const json config = parse_json(read_file(file, kMostProfileBytes), file);
  if (!config.is_object())
    throw Error(fmt::format("{}: expected an object, got {}", file, quoted(config)));
  dump.ranks = count(config, file, {"pp_size"});
  dump.chunks = count(config, file, {"vp_size", "vpp_size"});
  dump.microbatches = count(config, file, {"num_mbs", "micro_batches"});
}

/// [rank] Throws Error where one of `ranks` is missing, given twice, or not among them.
std::vector<std::string> files_of(const std::vector<std::string>& paths, int ranks,
                                  const std::string& config) {
  std::map<int, std::string> found;
  for (const std::string& path : paths)
    if (const auto rank = rank_of(path); rank && !found.emplace(*rank, path).second)
      throw Error(fmt::format("{}: rank {} is given twice, also by {}", path, *rank, found[*rank]));
  std::vector<int> missing;
  for (int rank = 0; rank < ranks; ++rank)
    if (!found.contains(rank))
      missing.push_back(rank);
  if (!missing.empty())
    throw Error(fmt::format("{}: /pp_size: says {} ranks, and there is no {}{}.json", config, ranks,
                            kRankFile, fmt::join(missing, fmt::format(", {}", kRankFile))));
  if (found.rbegin()->first >= ranks)
    throw Error(fmt::format("{}: /pp_size: says {} ranks, and there is {}", config, ranks,
                            found.rbegin()->second));
  std::vector<std::string> files;
  files.reserve(found.size());
  for (auto& [rank, path] : found)
    files.push_back(std::move(path));
  return files;
}

std::vector<std::int64_t> numbers_of(const std::map<std::int64_t, PrimusIteration>& iterations) {
  std::vector<std::int64_t> numbers;
  numbers.reserve(iterations.size());
  for (const auto& [number, ignored] : iterations)
    numbers.push_back(number);
  return numbers;
}

/// Which ops of a rank's order a pass has: Primus's bwd is an I where wgrad follows.
bool is_of(PrimusPass pass, OpKind kind) {
  switch (kind) {
    case OpKind::Forward:
      return pass == PrimusPass::Forward;
    case OpKind::BackwardWeight:
      return pass == PrimusPass::WeightGrad;
    default:
      return pass == PrimusPass::Backward;
  }
}

struct PassPlace {
  const PrimusDump& dump;
  const PrimusIteration& iteration;
  Rank rank;
  PrimusPass pass;
  std::string name;  // of the iteration

  [[noreturn]] void fail(const std::string& what) const {
    throw Error(fmt::format("{}: {}, {}: {}", dump.files[static_cast<std::size_t>(rank)], name,
                            kPasses[static_cast<std::size_t>(pass)], what));
  }
};

/// Of `rank`, in the order in which the schedule runs them.
std::vector<Op> ops_of(const Schedule& schedule, Rank rank, PrimusPass pass) {
  std::vector<Op> ops;
  for (const Action& action : schedule.order(rank))
    action.for_each_op([&](const Op& op) {
      if (is_of(pass, op.kind()))
        ops.push_back(op);
    });
  return ops;
}

/// What the dump says that its n-th entry is, or the schedule's n-th op where it says nothing.
Op op_at(const PassPlace& place, const Schedule& schedule, const std::vector<Op>& ops,
         std::size_t n) {
  const auto pass = static_cast<std::size_t>(place.pass);
  const std::vector<int>& chunks = place.iteration.chunks[pass];
  const std::vector<int>& microbatches = place.iteration.microbatches[pass];
  if (chunks.empty() || microbatches.empty())
    return ops[n];
  std::vector<Stage> stages;
  for (Stage stage = 0; stage < schedule.placement.stages(); ++stage)
    if (schedule.placement.rank(stage) == place.rank)
      stages.push_back(stage);
  if (static_cast<std::size_t>(chunks[n]) >= stages.size())
    place.fail(
        fmt::format("chunk {}: a rank of {} holds {}", chunks[n], schedule.name, stages.size()));
  return {ops[n].kind(), stages[static_cast<std::size_t>(chunks[n])], microbatches[n]};
}

void append_actions(const PassPlace& place, const Schedule& schedule, ProfiledStep& step) {
  const auto pass = static_cast<std::size_t>(place.pass);
  const std::vector<Op> ops = ops_of(schedule, place.rank, place.pass);
  const std::vector<Span>& spans = place.iteration.spans[pass];
  if (spans.size() != ops.size())
    place.fail(
        fmt::format("{} in the dump, and {} in {}", spans.size(), ops.size(), schedule.name));
  for (std::size_t n = 0; n < spans.size(); ++n)
    step.actions.push_back({place.rank, op_at(place, schedule, ops, n), spans[n]});
}

}  // namespace

bool PrimusDump::has_weight_grads() const {
  return std::any_of(of_rank.begin(), of_rank.end(), [](const auto& of_one) {
    return !of_one.front().spans[static_cast<std::size_t>(PrimusPass::WeightGrad)].empty();
  });
}

bool is_primus_file(const std::string& path) {
  return rank_of(path).has_value() || std::filesystem::path(path).filename() == "config.json";
}

PrimusDump read_primus(const std::vector<std::string>& paths) {
  PrimusDump dump;
  const std::filesystem::path folder = std::filesystem::path(paths.front()).parent_path();
  dump.folder = folder.empty() ? "." : folder.string();
  std::string config = (folder / "config.json").string();
  for (const std::string& path : paths)
    if (!rank_of(path))
      config = path;
  read_config(config, dump);
  dump.files = files_of(paths, dump.ranks, config);
  const auto expected =
      static_cast<std::size_t>(dump.chunks) * static_cast<std::size_t>(dump.microbatches);
  for (const std::string& file : dump.files) {
    auto iterations = read_rank(file, expected);
    if (dump.of_rank.empty())
      dump.iterations = numbers_of(iterations);
    else if (numbers_of(iterations) != dump.iterations)
      throw Error(fmt::format("{}: has iterations {}, and {} has {}", file,
                              fmt::join(numbers_of(iterations), ", "), dump.files.front(),
                              fmt::join(dump.iterations, ", ")));
    dump.of_rank.emplace_back();
    for (auto& [number, iteration] : iterations)
      dump.of_rank.back().push_back(std::move(iteration));
  }
  return dump;
}

RunProfile profile_of(const PrimusDump& dump, const Schedule& schedule) {
  RunProfile profile{.source = "Primus dumps, " + dump.folder, .schedule = schedule.name};
  if (schedule.placement.ranks != dump.ranks)
    throw Error(fmt::format("{}: has {} ranks, and {} has {}", profile.source, dump.ranks,
                            schedule.name, schedule.placement.ranks));
  profile.warm_ups = dump.iterations.front() == 1 ? 1 : 0;
  for (std::size_t i = 0; i < dump.iterations.size(); ++i) {
    ProfiledStep step{.name = fmt::format("iteration {}", dump.iterations[i])};
    for (Rank rank = 0; rank < dump.ranks; ++rank)
      for (std::size_t pass = 0; pass < kPrimusPasses; ++pass)
        append_actions({dump, dump.of_rank[static_cast<std::size_t>(rank)][i], rank,
                        static_cast<PrimusPass>(pass), step.name},
                       schedule, step);
    profile.steps.push_back(std::move(step));
  }
  return profile;
}

}  // namespace bubblescope
