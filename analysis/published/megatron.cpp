// Narayanan et al., arXiv 2104.04473, section 2.2: bubble time over ideal time is (p−1)/m for 1F1B
// and (p−1)/(v·m) where each rank has v chunks.
#include <charconv>

#include "analysis/published/compute.h"
#include "sim/schedule/catalogue.h"

namespace bubblescope {

/// Columns are "v=1", "v=2" and so on.
double megatron_interleaved(const PublishedRow& row, const std::string& column,
                            const TableContext& context) {
  ObjectReader setting = setting_reader(row, context);
  Shape shape = {.ranks = count_in(setting, "ranks"),
                 .microbatches = count_in(setting, "microbatches")};
  const auto time = [&](const char* key) { return time_from_us(setting.number(key)); };
  CostSource costs;
  costs.stages = {{.forward = time("forward_us"),
                   .input_grad = time("backward_us") / 2,
                   .weight_grad = time("backward_us") / 2}};
  costs.link.latency = time("p2p_us");
  setting.finish();
  int chunks = 0;
  const char* const end = column.data() + column.size();
  if (!column.starts_with("v=") || std::from_chars(column.data() + 2, end, chunks).ptr != end ||
      chunks < 1)
    refuse_column(column, context);
  if (chunks > 1)
    shape.chunks = chunks;
  const char* name = chunks == 1 ? "1f1b" : "interleaved-1f1b";
  return run_ideal(make_schedule(*find_schedule(name), shape), costs).bubble_overhead;
}

}  // namespace bubblescope
