// The objects that the program has made and not yet released, and counts of its calls.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "simt/twins/device.h"

namespace simt {

namespace detail {

namespace {

struct Objects {
  std::map<const void*, std::string> live;
  std::string test;
};
// Never destroyed: static objects of the program may release their own in their destructors.
Objects& objects() {
  static auto& instance = *new Objects;
  return instance;
}

/// Destroyed after all other static objects; checks that no object is left.
class LeakCheck {
 public:
  LeakCheck() = default;
  LeakCheck(const LeakCheck&) = delete;
  LeakCheck& operator=(const LeakCheck&) = delete;
  ~LeakCheck() {
    // A forked copy of the process, as made by death tests, ends abruptly.
    if (!config.check_leaks || getpid() != process_) return;
    const std::vector<std::string> left = live_objects();
    if (left.empty()) return;
    for (const std::string& object : left) std::fprintf(stderr, "simt: leaked: %s\n", object.c_str());
    std::fflush(nullptr);
    _exit(EXIT_FAILURE);
  }

 private:
  pid_t process_ = getpid();
};
[[gnu::init_priority(102)]] const LeakCheck leak_check;

}  // namespace

std::recursive_mutex& device_mutex() {
  static auto& instance = *new std::recursive_mutex;
  return instance;
}

Counters& counters_to_change() {
  static Counters values;
  return values;
}

void set_current_test(const std::string& test) { objects().test = test; }

void remember_object(const void* object, const std::string& description) {
  const std::string& test = objects().test;
  objects().live.emplace(object, test.empty() ? description : description + ", made in " + test);
}
bool forget_object(const void* object) { return objects().live.erase(object) > 0; }

}  // namespace detail

const Counters& counters() { return detail::counters_to_change(); }

std::vector<std::string> live_objects() {
  const detail::DeviceLock lock(detail::device_mutex());
  std::vector<std::string> descriptions;
  for (const auto& [object, description] : detail::objects().live) descriptions.push_back(description);
  return descriptions;
}

}  // namespace simt
