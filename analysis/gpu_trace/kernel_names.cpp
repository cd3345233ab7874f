#include "analysis/gpu_trace/kernel_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <span>

#include <fmt/format.h>

#include "sim/base/error.h"
#include "sim/base/printable.h"

namespace bubblescope {
namespace {

struct Word {
  std::string_view part;  ///< Of a name in lower case.
  std::string_view family;
};

/// The first that is found counts.
constexpr Word kCommunication[] = {{"notify_dispatch", "EP notify"},
                                   {"cached_notify", "EP notify"},
                                   {"::dispatch", "EP dispatch"},
                                   {"::combine", "EP combine"},
                                   {"allreduce", "AllReduce"},
                                   {"allgather", "AllGather"},
                                   {"reducescatter", "ReduceScatter"},
                                   {"alltoall", "AllToAll"},
                                   {"sendrecv", "SendRecv"},
                                   {"broadcast", "Broadcast"},
                                   {"barrier", "barrier"},
                                   {"reduce", "Reduce"},
                                   {"nvshmem", "NVSHMEM"}};
constexpr Word kCompute[] = {{"pipeline_forward_backward", "forward and backward"},
                             {"pipeline_forward", "forward"},
                             {"pipeline_backward_input", "backward for the input"},
                             {"pipeline_backward_weight", "backward for the weights"},
                             {"pipeline_backward", "backward"},
                             {"flash", "attention"},
                             {"fmha", "attention"},
                             {"attention", "attention"},
                             {"attn", "attention"},
                             {"layer_norm", "norm"},
                             {"layernorm", "norm"},
                             {"rms_norm", "norm"},
                             {"rmsnorm", "norm"},
                             {"group_norm", "norm"},
                             {"groupnorm", "norm"},
                             {"batch_norm", "norm"},
                             {"batchnorm", "norm"},
                             {"bn_fw", "norm"},
                             {"bn_bw", "norm"},
                             {"fprop", "convolution"},
                             {"implicit_gemm", "convolution"},
                             {"implicitgemm", "convolution"},
                             {"implicit_convolve", "convolution"},
                             {"gemm", "GEMM"},
                             {"cutlass", "GEMM"},
                             {"cublas", "GEMM"},
                             {"matmul", "GEMM"},
                             {"conv", "convolution"},
                             {"dgrad", "convolution"},
                             {"wgrad", "convolution"},
                             {"winograd", "convolution"},
                             {"softmax", "softmax"},
                             {"multi_tensor_apply", "optimizer"},
                             {"adam", "optimizer"},
                             {"embedding", "embedding"},
                             {"topk", "sort and scan"},
                             {"sort", "sort and scan"},
                             {"scan", "sort and scan"},
                             {"gather", "index"},
                             {"scatter", "index"},
                             {"index", "index"},
                             {"elementwise", "elementwise"},
                             {"swiglu", "elementwise"},
                             {"rotary", "elementwise"},
                             {"cast", "elementwise"},
                             {"copy", "elementwise"},
                             {"transpose", "elementwise"},
                             {"dropout", "elementwise"},
                             {"reduce", "reduction"},
                             {"triton", "Triton"}};

#ifdef __GLIBCXX__
/// Matches in time that grows with the name, not as two to its length; without back-references.
constexpr auto kBounded = std::regex_constants::__polynomial;
#else
constexpr std::regex::flag_type kBounded{};
#endif

/// Without numbers, for names that differ in them alone: "F0&B3" gives "F&B".
std::string without_digits(std::string_view name) {
  std::string text;
  std::copy_if(name.begin(), name.end(), std::back_inserter(text),
               [](unsigned char c) { return std::isdigit(c) == 0 && c != ' '; });
  return text;
}

}  // namespace

const char* to_string(KernelClass kernel_class) {
  constexpr const char* kNames[] = {"compute", "communication", "memory"};
  return kNames[static_cast<std::size_t>(kernel_class)];
}

bool is_communication(std::string_view name) {
  for (const std::string_view start : {"nccl", "rccl", "hccl", "nvshmem"})
    if (name.starts_with(start))
      return true;
  for (const std::string_view part : {"ncclKernel", "ncclDevKernel", "rcclKernel", "nvshmem"})
    if (name.find(part) != name.npos)
      return true;
  for (const std::string_view space : {"internode::", "internode_ll::", "intranode::"})
    for (std::size_t at = name.find(space); at != name.npos; at = name.find(space, at + 1)) {
      const std::string_view rest = name.substr(at + space.size());
      for (const std::string_view kernel :
           {"dispatch", "combine", "cached_notify", "notify_dispatch"})
        if (rest.starts_with(kernel))
          return true;
    }
  return false;
}

std::string_view kernel_family(std::string_view name, KernelClass kernel_class) {
  if (kernel_class == KernelClass::Memory) {
    constexpr std::size_t kMemcpyKind = 11;  // "Memcpy HtoD"
    const bool is_ascii =
        std::all_of(name.begin(),
                    name.begin() + static_cast<std::ptrdiff_t>(std::min(name.size(), kMemcpyKind)),
                    [](char c) { return static_cast<unsigned char>(c) < 0x80; });
    return name.starts_with("Memcpy")   ? name.substr(0, is_ascii ? kMemcpyKind : 6)
           : name.starts_with("Memset") ? "Memset"
                                        : "other";
  }
  std::string lower(name);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  constexpr std::string_view kConvert = "convert";  // is no convolution
  for (std::size_t at = lower.find(kConvert); at != lower.npos; at = lower.find(kConvert, at))
    lower.replace(at, kConvert.size(), "cast");
  const std::span<const Word> words = kernel_class == KernelClass::Communication
                                          ? std::span<const Word>(kCommunication)
                                          : std::span<const Word>(kCompute);
  for (const Word& word : words)
    if (lower.find(word.part) != lower.npos)
      return word.family;
  return "other";
}

KernelNames::KernelNames(const std::optional<std::string>& communication_pattern) {
  if (!communication_pattern)
    return;
  try {
    const std::regex whole(*communication_pattern);  // what is wrong is told of it alone
    pattern_.emplace("[\\s\\S]*?(?:" + *communication_pattern + ")",
                     std::regex::ECMAScript | std::regex::nosubs | kBounded);
  } catch (const std::regex_error& error) {
    throw Error(fmt::format("'{}' is no regular expression: {}",
                            communication_pattern->substr(0, 80), error.what()));
  }
}

KernelClass KernelNames::class_of(const std::string& name) const {
  for (const std::string_view start : {"Memcpy", "Memset", "dma"})
    if (name.starts_with(start))
      return KernelClass::Memory;
  if (!pattern_)
    return is_communication(name) ? KernelClass::Communication : KernelClass::Compute;
  const auto end = name.begin() + static_cast<std::ptrdiff_t>(std::min(name.size(), kMostMatched));
  try {
    constexpr auto kFromBegin = std::regex_constants::match_continuous;
    return std::regex_search(name.begin(), end, *pattern_, kFromBegin) ? KernelClass::Communication
                                                                       : KernelClass::Compute;
  } catch (const std::regex_error&) {
    throw Error(
        fmt::format("the pattern for communication takes too long on '{}'", printable_name(name)));
  }
}

KernelNames::Id KernelNames::add(std::string_view name, std::optional<KernelClass> known) {
  auto& ids = ids_[known ? static_cast<std::size_t>(*known) : kKernelClasses];
  if (const auto found = ids.find(name); found != ids.end())
    return found->second;
  const auto id = static_cast<Id>(names_.size());
  const auto entry = ids.emplace(std::string(name), id).first;
  const KernelClass kernel_class = known ? *known : class_of(entry->first);
  std::string family(kernel_family(name, kernel_class));
  if (family == "other" && known && *known != KernelClass::Memory)
    family = without_digits(name);  // of our own: an action or a message
  const auto place = family_ids_.emplace(std::pair(kernel_class, family),
                                         static_cast<std::uint32_t>(families_.size()));
  if (place.second)
    families_.push_back({&place.first->first.second, kernel_class});
  names_.push_back({&entry->first, kernel_class, place.first->second});
  return id;
}

}  // namespace bubblescope
