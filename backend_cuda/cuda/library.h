// Libraries of CUDA that are looked up at run time, so that the program starts without them.
#pragma once

#include <dlfcn.h>
#include <memory>
#include <string>
#include <vector>

namespace bubblescope::gpu {

struct LibraryCloser {
  void operator()(void* library) const noexcept { dlclose(library); }
};
using OpenLibrary = std::unique_ptr<void, LibraryCloser>;

struct LibraryWish {
  const char* what;      ///< "tensors need cublasLt"
  const char* variable;  ///< Of the environment: names its file.
  std::vector<const char*> names;
};
/// The library that the variable names, else the first of `names` that the loader finds. Throws
/// DeviceError if there is none.
OpenLibrary open_library(const LibraryWish& wish);

/// Throws DeviceError if the library has no such function.
void* find_symbol(void* library, const char* name);

template <class Function>
void find_function(void* library, Function& function, const char* name) {
  function = reinterpret_cast<Function>(find_symbol(library, name));
}

}  // namespace bubblescope::gpu
