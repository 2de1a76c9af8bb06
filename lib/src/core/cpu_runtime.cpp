#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "core/host_memory.h"
#include "core/runtime.h"

namespace sotalign::detail {

namespace {

constexpr size_t kAlignment = 64;  // a cache line, and the widest vector register
constexpr size_t kHugePage = size_t{2} << 20;

class CpuRuntime final : public Runtime {
 public:
  CpuRuntime() { queue.round_products = is_one("SOTALIGN_ROUND_PRODUCTS"); }
  void select() noexcept override {}
  void* allocate(size_t bytes) override {
    // No process can address this much: the size is a mistake.
    if (bytes >= size_t{1} << 47) return nullptr;
    if (bytes < 2 * kHugePage)
      return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
    // A sweep over a matrix reads several rows at once and, with 4 KiB pages, enters a new page every 64
    // cache lines. A system without free huge pages ignores the hint.
    void* pointer = nullptr;
    if (posix_memalign(&pointer, kHugePage, bytes) != 0) return nullptr;
    madvise(pointer, bytes / kHugePage * kHugePage, MADV_HUGEPAGE);
    return pointer;
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
  void load_libraries() override {}
};

}  // namespace

std::unique_ptr<Runtime> make_cpu_runtime() { return std::make_unique<CpuRuntime>(); }

}  // namespace sotalign::detail
