// Files of arrays made and taken apart by hand, so that a mistake of the library's writers and readers cannot
// hide.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sotalign::testing {

template <class T>
std::string raw_bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <class T>
std::vector<T> values_in(const std::string& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

/// A .npy file [rows, cols] of version 1 around `data`.
inline std::string npy_file(const std::string& descr, int64_t rows, int64_t cols, const std::string& data,
                            bool fortran_order = false) {
  const std::string header = "{'descr': '" + descr +
                             "', 'fortran_order': " + (fortran_order ? "True" : "False") + ", 'shape': (" +
                             std::to_string(rows) + ", " + std::to_string(cols) + "), }\n";
  std::string file("\x93NUMPY\x01\x00", 8);
  file += static_cast<char>(header.size() & 0xff);
  file += static_cast<char>(header.size() >> 8);
  return file + header + data;
}

struct ArrayBytes {
  std::string type;  ///< "<f4", or "F32" in a safetensors file
  std::vector<int64_t> shape;
  std::string data;
};

/// A C-order .npy file of version 1.
inline ArrayBytes npy_parts(const std::string& file) {
  const size_t length = static_cast<unsigned char>(file[8]) + 256u * static_cast<unsigned char>(file[9]);
  std::string header = file.substr(10, length);
  ArrayBytes parts{.type = {}, .shape = {}, .data = file.substr(10 + length)};
  const size_t descr = header.find("'descr': '") + 10;
  parts.type = header.substr(descr, header.find('\'', descr) - descr);
  for (size_t at = header.find("'shape': (") + 10; header[at] != ')';) {
    size_t used = 1;
    if (std::isdigit(static_cast<unsigned char>(header[at])) != 0)
      parts.shape.push_back(std::stoll(header.substr(at), &used));
    at += used;
  }
  return parts;
}

/// A tensor of a safetensors file.
inline ArrayBytes tensor_parts(const std::string& file, const std::string& name) {
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  const nlohmann::json tensor = nlohmann::json::parse(file.substr(8, length)).at(name);
  const size_t begin = tensor["data_offsets"][0], end = tensor["data_offsets"][1];
  return {tensor["dtype"], tensor["shape"], file.substr(8 + length + begin, end - begin)};
}

/// The value of a float16, straight from the definition of the format.
inline double float16_value(uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == 31) return mantissa == 0 ? sign * HUGE_VAL : std::nan("");
  return sign * (exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25));
}

}  // namespace sotalign::testing
