// Reading and writing text files: configurations, metrics, summaries.
#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sotalign::app {

/// The whole file. Throws IoError, also for anything but a regular file (a pipe, a device, a directory) and
/// for more than 64 MiB.
std::string read_text(const std::string& path);

/// The first `bytes` bytes of a file, or all of a shorter one. Throws IoError as read_text() does.
std::string read_beginning(const std::string& path, size_t bytes);

/// Calls `line` with each line of a text file and its number, from 0, without the line end (LF or CRLF). The
/// last line may lack one. Returns the number of lines. Throws IoError as read_text() does, but for no size.
int64_t each_line(const std::string& path, const std::function<void(int64_t, std::string_view)>& line);

/// Writes through AtomicFile: a reader sees either the old file or the whole new one. Throws IoError.
void write_text(const std::string& path, const std::string& text);

/// Writes a JSON value to a file, indented; to "-", standard output, as one line. Throws NumericalError for a
/// number that JSON cannot hold.
void write_json(const std::string& path, const nlohmann::ordered_json& value);

/// Throws NumericalError, naming the key of the first number that is not finite. JSON cannot hold such
/// numbers, and writing null instead would hide the mistake.
void require_finite(const nlohmann::ordered_json& value, const std::string& name = "result");

}  // namespace sotalign::app
