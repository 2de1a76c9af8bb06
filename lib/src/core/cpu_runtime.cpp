#include <cstdlib>
#include <cstring>

#include "core/host_memory.h"
#include "core/runtime.h"

namespace sotalign::detail {

namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register

class CpuRuntime final : public Runtime {
 public:
  void* allocate(size_t bytes) override {
    // More than a process can address comes from negative or overflowing products.
    if (bytes >= size_t{1} << 47) return nullptr;
    return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  }
  void deallocate(void* pointer) noexcept override { std::free(pointer); }
  int64_t free_bytes() const override { return available_host_bytes(); }
  void copy_to_device(void* destination, const void* source, size_t bytes) override {
    std::memcpy(destination, source, bytes);
  }
  void copy_to_host(void* destination, const void* source, size_t bytes) override {
    std::memcpy(destination, source, bytes);
  }
  void copy_on_device(void* destination, const void* source, size_t bytes) override {
    std::memcpy(destination, source, bytes);
  }
  void fill_zero(void* destination, size_t bytes) override { std::memset(destination, 0, bytes); }
  void synchronize() override {}
};

}  // namespace

std::unique_ptr<Runtime> make_cpu_runtime() { return std::make_unique<CpuRuntime>(); }

}  // namespace sotalign::detail
