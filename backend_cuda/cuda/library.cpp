#include "backend_cuda/cuda/library.h"

#include <cstdlib>

#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {

OpenLibrary open_library(const LibraryWish& wish) {
  // Their threads may outlive the last use.
  constexpr int kMode = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  if (const char* name = std::getenv(wish.variable); name != nullptr && *name != '\0') {
    OpenLibrary library(dlopen(name, kMode));
    if (!library)
      throw DeviceError(std::string("cannot load the library that ") + wish.variable +
                        " names: " + dlerror());
    return library;
  }
  for (const char* name : wish.names)
    if (OpenLibrary library(dlopen(name, kMode)); library)
      return library;
  throw DeviceError(std::string(wish.what) + ", and the loader finds no " + wish.names.front() +
                    " or older: install it, or name its file in " + wish.variable);
}

void* find_symbol(void* library, const char* name) {
  void* symbol = dlsym(library, name);
  if (symbol == nullptr)
    throw DeviceError(std::string("the library that is here has no ") + name);
  return symbol;
}

}  // namespace bubblescope::gpu
