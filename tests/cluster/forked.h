// Processes that a test forks: the real thing, with memory shared to tell what they see.
#pragma once

#include <chrono>
#include <functional>
#include <new>
#include <optional>
#include <sys/mman.h>
#include <sys/types.h>
#include <system_error>
#include <type_traits>
#include <vector>

namespace bubblescope {

/// `count` values that this process shares with those it forks.
template <class T>
class Shared {
 public:
  static_assert(std::is_trivially_destructible_v<T>);

  explicit Shared(std::size_t count) : count_(count) {
    void* const memory =
        ::mmap(nullptr, bytes(), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
      throw std::system_error(errno, std::generic_category(), "mmap");
    values_ = static_cast<T*>(memory);
    for (std::size_t i = 0; i < count_; ++i)
      new (values_ + i) T{};
  }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;
  ~Shared() { ::munmap(values_, bytes()); }

  T& operator[](std::size_t i) const { return values_[i]; }
  T* begin() const { return values_; }
  T* end() const { return values_ + count_; }

 private:
  std::size_t bytes() const { return count_ * sizeof(T); }

  std::size_t count_;
  T* values_ = nullptr;
};

/// A process that ends with what `work` returns; it is killed with the one that started it, or
/// once nobody holds this any more.
class Forked {
 public:
  explicit Forked(const std::function<int()>& work);
  Forked(Forked&& other) noexcept;
  Forked& operator=(Forked&&) = delete;
  ~Forked();

  pid_t id() const { return id_; }
  void send(int signal) const;
  /// 128 + the signal's number if a signal ended it; nothing if it has not ended in time.
  std::optional<int> exit_code(std::chrono::milliseconds patience);

 private:
  pid_t id_;
  std::optional<int> exit_code_;
};

/// Of a process that does nothing but `work`; 137 where that takes more than half a minute.
int exit_code_of(const std::function<int()>& work);

/// Whether it becomes true in time.
bool comes_true(const std::function<bool()>& what, std::chrono::milliseconds patience);

}  // namespace bubblescope
