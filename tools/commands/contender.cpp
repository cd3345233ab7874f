#include "tools/commands/contender.h"

#include <algorithm>

#include <fmt/format.h>

#include "sim/base/nearest.h"
#include "tools/errors.h"

namespace bubblescope {

std::string Contender::name() const {
  return is_one_of_several ? fmt::format("{} v={}", source.name(), *chunks) : source.name();
}

Scenario Contender::own(const Scenario& scenario) const {
  Scenario own = scenario;
  const CatalogueEntry* entry = source.entry();
  if (entry == nullptr)
    return own;
  own.shape.chunks = chunks;
  if (!entry->any_group_size)
    own.shape.group_size.reset();
  return own;
}

void choose_schedules(const std::string& word, std::vector<Contender>& schedules) {
  const auto choose = [&](const CatalogueEntry& entry, bool by_name) {
    const auto found = std::find_if(schedules.begin(), schedules.end(), [&](const Contender& each) {
      return each.source.entry() == &entry;
    });
    if (found == schedules.end())
      schedules.push_back({.source = {&entry}, .by_name = by_name});
    else
      found->by_name = found->by_name || by_name;
  };
  const CatalogueEntry* named = find_schedule(word);
  if (named != nullptr && named->name == word)
    return choose(*named, true);
  bool is_group = false;
  std::vector<std::string> known = schedule_names();
  for (const CatalogueEntry& entry : catalogue()) {
    const std::vector<std::string> frameworks = words_in(entry.frameworks);
    const bool is_in = word == "all" || word == entry.family ||
                       std::find(frameworks.begin(), frameworks.end(), word) != frameworks.end();
    if (is_in)
      choose(entry, false);
    is_group = is_group || is_in;
    known.emplace_back(entry.family);
    known.insert(known.end(), frameworks.begin(), frameworks.end());
  }
  if (!is_group && named != nullptr)
    return choose(*named, true);
  if (!is_group)
    throw UsageError(fmt::format("there is no schedule '{}'{}\n  schedules: {}", word.substr(0, 40),
                                 did_you_mean(word, known), fmt::join(schedule_names(), ", ")));
}

}  // namespace bubblescope
