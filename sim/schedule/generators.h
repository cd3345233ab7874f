// The generators behind the catalogue, one file a family.
#pragma once

#include <optional>

#include "sim/schedule/schedule.h"
#include "sim/schedule/shape.h"
#include "sim/schedule/transfers.h"

namespace bubblescope {

Schedule gpipe(Shape shape);
Schedule one_f_one_b(Shape shape);

Schedule interleaved_1f1b(Shape shape);
Schedule interleaved_1f1b_overlap(Shape shape);
Schedule interleaved_1f1b_torch(Shape shape);
Schedule interleaved_zb_torch(Shape shape);
Schedule looped_bfs(Shape shape);
std::optional<Misfit> interleaved_1f1b_misfit(Shape shape);
/// For PyTorch's interleaved schedules.
std::optional<Misfit> rounds_misfit(Shape shape);

Schedule zb_h1(Shape shape);
Schedule zb_h1_paper(Shape shape);
Schedule zb_h2(Shape shape);
std::optional<Misfit> zb_h1_paper_misfit(Shape shape);
std::optional<Misfit> zb_h2_misfit(Shape shape);

Schedule zb_v(Shape shape);
Schedule v_half(Shape shape);
Schedule v_min(Shape shape);

Schedule dualpipe(Shape shape);
Schedule dualpipev(Shape shape);
/// The batches that the authors' code commits before each action and after the last.
Transfers dualpipe_batches(Shape shape);
Transfers dualpipev_batches(Shape shape);
std::optional<Misfit> dualpipe_misfit(Shape shape);
std::optional<Misfit> dualpipev_misfit(Shape shape);

Schedule chimera(Shape shape);
Schedule hanayo(Shape shape);
std::optional<Misfit> chimera_misfit(Shape shape);
std::optional<Misfit> hanayo_misfit(Shape shape);

}  // namespace bubblescope
