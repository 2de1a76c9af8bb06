#include <memory>
#include <utility>

#include "c/calls.h"
#include "sotalign/core/device.h"
#include "sotalign/core/error.h"

namespace {

using namespace sotalign;

/// Memory of the caller's two functions.
class CallerMemory final : public MemoryResource {
 public:
  explicit CallerMemory(const sotalign_context_options& options)
      : allocate_(options.allocate), deallocate_(options.deallocate), user_(options.user) {}

  void* allocate(size_t bytes, size_t alignment, CudaStream stream) override {
    return allocate_(bytes, alignment, stream, user_);
  }
  void deallocate(void* pointer, size_t bytes, size_t alignment, CudaStream stream) noexcept override {
    deallocate_(pointer, bytes, alignment, stream, user_);
  }

 private:
  sotalign_allocate allocate_;
  sotalign_deallocate deallocate_;
  void* user_;
};

sotalign_context* make(const sotalign_context_options& options) {
  c::require(options.device, "device");
  if ((options.allocate == nullptr) != (options.deallocate == nullptr))
    throw InvalidArgument("allocate, deallocate: expected both or neither");
  std::unique_ptr<MemoryResource> memory;
  if (options.allocate != nullptr) memory = std::make_unique<CallerMemory>(options);
  ContextOptions all{
      .device = parse_device(options.device), .threads = options.threads, .memory = memory.get()};
  if (options.adopt_stream != 0) all.stream = static_cast<CudaStream>(options.stream);
  return new sotalign_context{std::move(memory), Context(all), to_string(all.device)};
}

}  // namespace

const char* sotalign_version(void) { return sotalign::version(); }

void sotalign_context_options_init(sotalign_context_options* options) {
  *options = {};
  options->device = "cpu";
}

int sotalign_context_create(const sotalign_context_options* options, sotalign_context** context) {
  return c::call([&] {
    c::require(context, "context");
    sotalign_context_options defaults;
    sotalign_context_options_init(&defaults);
    *context = make(options != nullptr ? *options : defaults);
  });
}

void sotalign_context_destroy(sotalign_context* context) { delete context; }

const char* sotalign_context_device(const sotalign_context* context) { return context->device.c_str(); }

int sotalign_context_synchronize(sotalign_context* context) {
  return c::call([&] {
    c::require(context, "context");
    context->context.synchronize();
  });
}
