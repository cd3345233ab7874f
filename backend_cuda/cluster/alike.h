// What all processes of a job have to have alike. They are started one by one, each with words,
// files and an environment of its own, and a job of different plans would hang or compute nonsense.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "backend_cuda/cluster/control.h"
#include "backend_cuda/cluster/token.h"
#include "backend_cuda/replay/plan.h"

namespace bubblescope {

/// A hash of what is added, in that order.
class Digest {
 public:
  Digest& add(std::string_view text) {
    hash_ = mixed_hash(text, hash_);
    return *this;
  }
  Digest& add(std::uint64_t value) {
    return add(std::string_view(reinterpret_cast<const char*>(&value), sizeof value));
  }
  std::int64_t value() const { return static_cast<std::int64_t>(hash_); }

 private:
  std::uint64_t hash_ = mixed_hash("");
};

/// What it is, as "the costs" or "--repeats", and a digest of it.
struct Alike {
  const char* what;
  Digest digest;
};

/// Its orders, its messages, and what they cost.
std::vector<Alike> digests_of(const Plan& plan);

/// All processes call it. Throws JobError that names the first process to differ from rank 0,
/// and in what; and PeerLost.
void require_alike(Control& control, const std::vector<Alike>& mine);

}  // namespace bubblescope
