// What a GPU's work is, told by its name: communication, memory or compute, and of which family.
//
//     "ncclDevKernel_AllReduce_Sum_f32_RING_LL(…)"               communication  AllReduce
//     "void deep_ep::internode::dispatch<false, 8>(…)"           communication  EP dispatch
//     "void cutlass::device_kernel<flash::FlashAttnBwd<…>>(…)"   compute        attention
//     "Memcpy HtoD (Pinned -> Device)"                           memory         Memcpy HtoD
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/gpu_trace/text_hash.h"

namespace bubblescope {

enum class KernelClass : std::uint8_t { Compute, Communication, Memory };
constexpr std::size_t kKernelClasses = 3;
const char* to_string(KernelClass kernel_class);

/// NCCL's and RCCL's kernels, HCCL's, NVSHMEM's, and DeepEP's dispatch, combine, cached_notify and
/// notify_dispatch of `internode::`, `internode_ll::` and `intranode::`; its get_dispatch_layout
/// computes.
bool is_communication(std::string_view name);

/// "GEMM", "attention", "AllReduce", …; "other" where no word of a name is known.
std::string_view kernel_family(std::string_view name, KernelClass kernel_class);

/// Names with numbers from 0 on; each is looked at once.
class KernelNames {
 public:
  using Id = std::uint32_t;

  /// A pattern takes the place of `is_communication`. It is looked for in the first
  /// `kMostMatched` characters of a name, in time that does not explode. Throws Error unless it is
  /// an ECMAScript expression without back-references.
  explicit KernelNames(const std::optional<std::string>& communication_pattern = {});
  static constexpr std::size_t kMostMatched = 1000;

  /// `known`: what tells the class beside the name, such as an event's category.
  Id add(std::string_view name, std::optional<KernelClass> known = {});
  const std::string& text(Id id) const { return *names_[id].text; }
  KernelClass kernel_class(Id id) const { return names_[id].kernel_class; }
  /// Families have numbers too.
  std::uint32_t family(Id id) const { return names_[id].family; }
  const std::string& family_text(std::uint32_t family) const { return *families_[family].text; }
  KernelClass family_class(std::uint32_t family) const { return families_[family].kernel_class; }
  std::size_t families() const { return families_.size(); }

 private:
  struct Name {
    const std::string* text;  // a key below, which stays where it is
    KernelClass kernel_class;
    std::uint32_t family;
  };
  struct Family {
    const std::string* text;
    KernelClass kernel_class;
  };
  KernelClass class_of(const std::string& name) const;

  std::optional<std::regex> pattern_;
  std::vector<Name> names_;
  std::vector<Family> families_;
  /// [known class, or all] by name
  ByText<Id> ids_[kKernelClasses + 1];
  std::map<std::pair<KernelClass, std::string>, std::uint32_t> family_ids_;
};

}  // namespace bubblescope
