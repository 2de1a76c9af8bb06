// Text files of the program: configurations, metrics, summaries.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::app {

/// The whole file. Throws IoError, also for what is not a regular file (a pipe, a device, a directory) and
/// for more than 64 MiB.
std::string read_text(const std::string& path);

/// The first bytes of a file of any size, all of a shorter one. Throws IoError as read_text() does.
std::string read_beginning(const std::string& path, size_t bytes);

/// Through AtomicFile: the old file or the whole new one. Throws IoError.
void write_text(const std::string& path, const std::string& text);

/// One JSON value, indented, as a file; "-" is a line on standard output. Throws NumericalError for a number
/// that JSON cannot hold.
void write_json(const std::string& path, const nlohmann::ordered_json& value);

/// Throws NumericalError that names the key of the first number that is not finite. JSON has no such numbers,
/// and a null in their place would hide the mistake.
void require_finite(const nlohmann::ordered_json& value, const std::string& name = "result");

}  // namespace sotalign::app
