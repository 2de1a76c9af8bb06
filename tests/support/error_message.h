// The message of a call's InvalidArgument, so that tests can compare it as a whole.
#pragma once

#include <functional>
#include <string>

#include "sotalign/core/error.h"

namespace sotalign::testing {

inline std::string error_message(const std::function<void()>& call) {
  try {
    call();
  } catch (const InvalidArgument& error) {
    return error.what();
  }
  return "no exception";
}

}  // namespace sotalign::testing
