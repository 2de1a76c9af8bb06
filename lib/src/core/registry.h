// Named implementations: the built-in ones, then those that callers register.
#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/core/option.h"

namespace sotalign::detail {

/// Info has `name`, `options` and `make`. Entries are never removed, so references to them stay valid.
template <class Info>
class Registry {
 public:
  /// @param what "method", for errors
  Registry(std::string what, std::vector<Info> built_in) : what_(std::move(what)) {
    for (Info& info : built_in) add(std::move(info));
  }

  /// Throws InvalidArgument for an entry without a name or a maker, a name that is taken, and an option that
  /// another entry declares differently.
  void add(Info info) {
    if (info.name.empty()) throw InvalidArgument(what_ + ": expected a name, found none");
    if (!info.make)
      throw InvalidArgument(fmt::format("{} '{}': expected make, found none", what_, info.name));
    const std::lock_guard lock(mutex_);
    for (const Info& other : infos_) {
      if (other.name == info.name)
        throw InvalidArgument(fmt::format("{} '{}': the name is taken", what_, info.name));
      for (const OptionInfo& option : info.options)
        for (const OptionInfo& known : other.options)
          if (known.key == option.key && !(known == option))
            throw InvalidArgument(fmt::format("{} '{}': {} declares the option '{}' differently", what_,
                                              info.name, other.name, option.key));
    }
    std::set<std::string> keys;
    for (const OptionInfo& option : info.options) {
      if (!keys.insert(option.key).second)
        throw InvalidArgument(
            fmt::format("{} '{}': the option '{}' is declared twice", what_, info.name, option.key));
      check_option(option, option.initial);
    }
    infos_.push_back(std::move(info));
  }

  /// Throws InvalidArgument, listing the names, for an unknown one.
  const Info& find(const std::string& name) const {
    {
      const std::lock_guard lock(mutex_);
      for (const Info& info : infos_)
        if (info.name == name) return info;
    }
    throw InvalidArgument(
        fmt::format("{}: expected one of {}, found '{}'", what_, fmt::join(names(), ", "), name));
  }

  std::vector<std::string> names() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> names;
    for (const Info& info : infos_) names.push_back(info.name);
    return names;
  }

  /// The options of all entries, each once.
  std::vector<OptionInfo> options() const {
    const std::lock_guard lock(mutex_);
    std::vector<OptionInfo> options;
    std::set<std::string> keys;
    for (const Info& info : infos_)
      for (const OptionInfo& option : info.options)
        if (keys.insert(option.key).second) options.push_back(option);
    return options;
  }

  /// Throws InvalidArgument for values of unknown options, and as check_option().
  void check(const OptionValues& values) const {
    const std::vector<OptionInfo> known = options();
    for (const auto& [key, value] : values) find_option(known, key);
    for (const OptionInfo& option : known)
      if (const auto value = values.find(option.key); value != values.end())
        check_option(option, value->second);
  }

  template <class T>
  T value(const OptionValues& values, const std::string& key) const {
    return option_value<T>(find_option(options(), key), values);
  }

 private:
  OptionInfo find_option(const std::vector<OptionInfo>& known, const std::string& key) const {
    for (const OptionInfo& option : known)
      if (option.key == key) return option;
    throw InvalidArgument(fmt::format("{}: no {} has an option of this name", key, what_));
  }

  std::string what_;
  mutable std::mutex mutex_;
  std::deque<Info> infos_;
};

}  // namespace sotalign::detail
