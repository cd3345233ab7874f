// The generators behind the catalogue, one file a family.
#pragma once

#include <optional>

#include "sim/schedule.h"
#include "sim/schedules/shape.h"

namespace bubblescope {

Schedule gpipe(Shape shape);
Schedule one_f_one_b(Shape shape);

Schedule zb_h1(Shape shape);
Schedule zb_h1_paper(Shape shape);
Schedule zb_h2(Shape shape);
std::optional<Misfit> zb_h1_paper_misfit(Shape shape);
std::optional<Misfit> zb_h2_misfit(Shape shape);

Schedule dualpipe(Shape shape);
std::optional<Misfit> dualpipe_misfit(Shape shape);

}  // namespace bubblescope
