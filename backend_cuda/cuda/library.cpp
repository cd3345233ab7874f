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

Library::Library(const LibraryWish& wish) {
  const auto open = [&](const char* name) {
    handle_ = dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    return handle_ != nullptr;
  };
  if (const char* name = std::getenv(wish.variable); name != nullptr && *name != '\0') {
    if (!open(name))
      throw DeviceError(std::string("cannot load the library that ") + wish.variable +
                        " names: " + dlerror());
    return;
  }
  for (const char* name : wish.names)
    if (open(name))
      return;
  throw DeviceError(std::string(wish.what) + ", and the loader finds no " + wish.names.front() +
                    " or older: install it, or name its file in " + wish.variable);
}

void* Library::find_symbol(const char* name) const {
  void* symbol = dlsym(handle_, name);
  if (symbol == nullptr)
    throw DeviceError(file_of(handle_) + " has no " + name);
  return symbol;
}

}  // namespace bubblescope::gpu
