// PyTorch's CSV of a schedule: one line a rank, cells joined by commas.
//
//     0F0,0F1,0B0,0B1                                compute-only
//     1F0,1B0,1F1,1B1
//
//     0UNSHARD,0F0,0SEND_F0,0RECV_B0,0B0, …          compute_comms
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/program/posted_program.h"

namespace bubblescope {

/// What a CSV means by B.
enum class Dialect : std::uint8_t {
  Auto,      ///< Told by the tokens: that before 2.6 where there is a BW, or a W and no I.
  Current,   ///< B is the full backward, I the one for the input.
  Before26,  ///< B is the backward for the input, BW the full one.
};

/// The actions alone.
std::string to_torch_csv(const Schedule& schedule);
/// Actions, transfers and collectives in order. Batches lose their borders.
std::string to_torch_comms_csv(const PostedProgram& program);

/// A program of the name `file`: with messages (Comm::Torch) where there is a token of
/// communication, else without. Cells may be empty (idle slots), lines may end in CR LF. Adds to
/// `notes` what was assumed. Throws Error, with line, column and token, for what cannot be
/// understood or fits no placement; whether the program is sound is `find_fault`'s to say.
PostedProgram parse_torch_csv(std::string_view text, const std::string& file, Dialect dialect,
                              std::vector<std::string>& notes);

/// Where a step stands in a CSV: "line 2, column 7", both from 1, or without a step "line 2". Of a
/// program without messages, steps are actions alone.
std::string torch_csv_place(std::string_view text, Rank rank, std::optional<std::size_t> step,
                            Comm comm);

}  // namespace bubblescope
