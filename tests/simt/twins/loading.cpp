// A machine without cuBLAS or cuSOLVER: the linker passes the program's dlopen() and dlsym() through here.
// SIMT_MISSING_LIBRARIES=libcublas,libcusolver hides the twins of those it names, and the real libraries.
#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <string_view>

#include "simt/emulator.h"
#include "support/library_handles.h"

namespace {

bool is_missing(std::string_view library) {
  const char* names = std::getenv("SIMT_MISSING_LIBRARIES");
  return names != nullptr && std::string_view(names).find(library) != std::string_view::npos;
}

/// The library that a file or a function belongs to, by the start of its name; empty for any other.
std::string_view library_of(std::string_view name) {
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0
  for (const std::string_view library : {"libcublas", "libcusolver"})
    if (name.starts_with(library) || name.starts_with(library.substr(3))) return library;
  return {};
}

bool is_hidden(const char* name) {
  if (name == nullptr) return false;
  const std::string_view library = library_of(name);
  return !library.empty() && is_missing(library);
}

}  // namespace

extern "C" {

void* __real_dlopen(const char* file, int flags);
void* __real_dlsym(void* handle, const char* name);

void* __wrap_dlopen(const char* file, int flags) {
  if (!is_hidden(file)) return __real_dlopen(file, flags);
  return __real_dlopen((std::string("hidden by SIMT_MISSING_LIBRARIES/") + file).c_str(), flags);  // fails
}
void* __wrap_dlsym(void* handle, const char* name) {
  return is_hidden(name) ? nullptr : __real_dlsym(handle, name);
}

}  // extern "C"

int64_t simt::library_handles() {
  int64_t count = 0;
  for (const std::string& object : live_objects())
    if (object.starts_with("a cuBLAS handle") || object.starts_with("a cuSOLVER handle")) ++count;
  return count;
}
