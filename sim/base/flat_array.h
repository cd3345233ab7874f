#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <sys/mman.h>
#include <utility>
#include <vector>

namespace bubblescope {

/// A hint that a large block is best backed by huge pages: filling one costs page faults otherwise.
inline void advise_huge_pages(void* memory, std::size_t bytes) {
  constexpr std::size_t kPage = 4096;
  const std::size_t to_next_page = kPage - reinterpret_cast<std::uintptr_t>(memory) % kPage;
  madvise(static_cast<char*>(memory) + to_next_page, bytes - to_next_page, MADV_HUGEPAGE);
}

/// Leaves the elements of a growing vector uninitialized, since a pass that fills them follows.
template <typename T>
struct FlatAllocator : std::allocator<T> {
  template <typename U>
  struct rebind {
    using other = FlatAllocator<U>;
  };

  T* allocate(std::size_t count) {
    T* const memory = std::allocator<T>::allocate(count);
    if (count * sizeof(T) >= kHuge)
      advise_huge_pages(memory, count * sizeof(T));
    return memory;
  }

  template <typename U, typename... Args>
  void construct(U* place, Args&&... args) {
    if constexpr (sizeof...(Args) == 0)
      ::new (static_cast<void*>(place)) U;
    else
      ::new (static_cast<void*>(place)) U(std::forward<Args>(args)...);
  }

 private:
  static constexpr std::size_t kHuge = std::size_t{32} << 20;
};

/// A vector for one entry a node, an edge or an action: `resize` leaves new entries unset.
template <typename T>
using FlatArray = std::vector<T, FlatAllocator<T>>;

}  // namespace bubblescope
