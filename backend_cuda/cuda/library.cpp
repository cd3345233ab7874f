#include "backend_cuda/cuda/library.h"

#include <cstdlib>
#include <dlfcn.h>
#include <link.h>
#include <string>

#include "backend_cuda/replay/executor.h"

namespace bubblescope::gpu {
namespace {

std::string file_of(void* library) {
  const link_map* map = nullptr;
  const bool is_known = dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && *map->l_name != '\0';
  return is_known ? map->l_name : "the library that is here";
}

}  // namespace

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
    throw DeviceError(file_of(library) + " has no " + name);
  return symbol;
}

}  // namespace bubblescope::gpu
