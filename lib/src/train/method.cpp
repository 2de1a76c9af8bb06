#include "sotalign/train/method.h"

#include "core/registry.h"
#include "train/methods.h"

namespace sotalign {

namespace {

detail::Registry<MethodInfo>& registry() {
  using namespace detail;
  static Registry<MethodInfo> registry(
      "method", {sotalign_method(), sail_method(), sail_semi_method(), structure_method(),
                 structure_semi_method(), nnclr_method(), sclip_method(), self_training_method()});
  return registry;
}

}  // namespace

void register_method(MethodInfo info) { registry().add(std::move(info)); }
std::vector<std::string> method_names() { return registry().names(); }
const MethodInfo& find_method(const std::string& name) { return registry().find(name); }

const MethodInfo& effective_method(const TrainOptions& options) {
  const MethodInfo& asked = find_method(options.method);
  return asked.instead ? find_method(asked.instead(options)) : asked;
}

std::vector<OptionInfo> declared_method_options() { return registry().options(); }

template <class T>
T method_option(const TrainOptions& options, const std::string& key) {
  return registry().value<T>(options.method_options, key);
}
template int64_t method_option(const TrainOptions&, const std::string&);
template double method_option(const TrainOptions&, const std::string&);
template std::string method_option(const TrainOptions&, const std::string&);

void check_method_options(const TrainOptions& options) { registry().check(options.method_options); }

}  // namespace sotalign
