// Just enough of the .npy format to read golden vectors: version 1, C order, f4 or f8. Deliberately not the
// library's reader, so that a bug there cannot hide in a golden test.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

namespace sotalign::testing {

struct GoldenArray {
  std::vector<int64_t> shape;
  std::vector<double> values;

  std::vector<float> as_float() const { return {values.begin(), values.end()}; }
};

inline GoldenArray read_golden(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  if (bytes.size() < 10 || bytes.compare(0, 8, std::string("\x93NUMPY\x01\x00", 8)) != 0)
    throw std::runtime_error("not a version 1 .npy file: " + path);
  const size_t header_size =
      static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  const std::string header = bytes.substr(10, header_size);
  GoldenArray array;
  size_t at = header.find('(', header.find("'shape'")) + 1;
  int64_t count = 1;
  while (header[at] != ')') {
    if (header[at] == ',' || header[at] == ' ') {
      ++at;
      continue;
    }
    size_t used = 0;
    array.shape.push_back(std::stoll(header.substr(at), &used));
    count *= array.shape.back();
    at += used;
  }
  array.values.resize(static_cast<size_t>(count));
  const char* data = bytes.data() + 10 + header_size;
  const bool is_double = header.find("'<f8'") != std::string::npos;
  if (bytes.size() != 10 + header_size + array.values.size() * (is_double ? 8 : 4))
    throw std::runtime_error("unexpected size: " + path);
  for (size_t i = 0; i < array.values.size(); ++i) {
    if (is_double) {
      std::memcpy(&array.values[i], data + 8 * i, 8);
    } else {
      float value;
      std::memcpy(&value, data + 4 * i, 4);
      array.values[i] = value;
    }
  }
  return array;
}

}  // namespace sotalign::testing
