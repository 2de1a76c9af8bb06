// Reading and writing text files: configurations, metrics, summaries.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace sotalign::app {

/// The whole file. Throws IoError, also for anything but a regular file (a pipe, a device, a directory) and
/// for more than 64 MiB.
std::string read_text(const std::string& path);

/// The first `bytes` bytes of a file, or all of a shorter one. Throws IoError as read_text() does.
std::string read_beginning(const std::string& path, size_t bytes);

/// Writes through AtomicFile: a reader sees either the old file or the whole new one. Throws IoError.
void write_text(const std::string& path, const std::string& text);

/// Writes a JSON value to a file, indented; to "-", standard output, as one line. Throws NumericalError for a
/// number that JSON cannot hold.
void write_json(const std::string& path, const nlohmann::ordered_json& value);

/// Throws NumericalError, naming the key of the first number that is not finite. JSON cannot hold such
/// numbers, and writing null instead would hide the mistake.
void require_finite(const nlohmann::ordered_json& value, const std::string& name = "result");

}  // namespace sotalign::app
