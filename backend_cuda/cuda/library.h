// Libraries of CUDA that are looked up at run time, so that the program starts without them.
#pragma once

#include <vector>

namespace bubblescope::gpu {

struct LibraryWish {
  const char* what;                ///< "tensors need cublasLt"
  const char* variable;            ///< It names the library's file in the environment.
  std::vector<const char*> names;  ///< Names that the loader is asked for, the newest first.
};

/// A loaded library. It stays loaded until the process ends, since its threads may outlive the last
/// use. Whoever needs functions of it lists them once, as members that follow a `Library library`:
///
///     BUBBLESCOPE_FUNCTION(multiply, cublasLtMatmul);
class Library {
 public:
  /// Takes the file that the variable names, else the first of `names` that the loader finds.
  /// Throws DeviceError if there is none.
  explicit Library(const LibraryWish& wish);

  /// Throws DeviceError, which tells the file, if the library has no such function.
  template <class Function>
  Function* find(const char* name) const {
    return reinterpret_cast<Function*>(find_symbol(name));
  }

 private:
  void* find_symbol(const char* name) const;

  void* handle_ = nullptr;
};

}  // namespace bubblescope::gpu

/// A pointer to a function, of the type that the library's header declares.
// NOLINTBEGIN(bugprone-macro-parentheses): `member` is a name that is declared
#define BUBBLESCOPE_FUNCTION(member, name) \
  decltype(&::name) member = library.find<decltype(::name)>(#name)
// NOLINTEND(bugprone-macro-parentheses)
