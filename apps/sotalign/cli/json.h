#pragma once

#include <nlohmann/json.hpp>

namespace sotalign::app {

/// Objects keep the order of their keys.
using Json = nlohmann::ordered_json;

}  // namespace sotalign::app
