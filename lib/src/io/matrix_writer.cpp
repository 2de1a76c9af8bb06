#include "sotalign/io/matrix_writer.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "io/half.h"
#include "io/safetensors_header.h"
#include "io/text.h"
#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"
#include "sotalign/io/npy.h"

namespace sotalign {

std::string safetensors_header(const std::string& name, ElementType type, const std::vector<int64_t>& shape) {
  std::vector<int64_t> extents = shape;
  extents.push_back(element_bytes(type));
  const std::optional<int64_t> bytes = try_product(extents);
  if (type == ElementType::kOther || !bytes)
    throw InvalidArgument(
        fmt::format("safetensors: impossible tensor {} {}", to_string(type), io::shape_text(shape)));
  if (name == io::kSafetensorsMetadata)
    throw InvalidArgument(fmt::format("safetensors: the name {} is reserved", name));
  std::string text;
  try {
    text = nlohmann::ordered_json{{name,
                                   {{"dtype", io::safetensors_dtype(type)},
                                    {"shape", shape},
                                    {"data_offsets", {int64_t{0}, *bytes}}}}}
               .dump();
  } catch (const nlohmann::json::exception&) {
    throw InvalidArgument("safetensors: expected a name in UTF-8");
  }
  // The length of the JSON in eight bytes, then the JSON, padded so that the data are aligned.
  constexpr size_t kAlignment = 8;
  text.append((kAlignment - text.size() % kAlignment) % kAlignment, ' ');
  std::string header(sizeof(uint64_t), '\0');
  for (size_t i = 0; i < header.size(); ++i) header[i] = static_cast<char>(text.size() >> (8 * i) & 0xff);
  return header + text;
}

MatrixFormat matrix_format(const std::string& path) {
  return path.ends_with(".safetensors") ? MatrixFormat::kSafetensors : MatrixFormat::kNpy;
}

MatrixWriter::MatrixWriter(const Options& options, Sink sink) : options_(options), sink_(std::move(sink)) {
  const auto& [format, type, rows, cols, name] = options_;
  if (type != ElementType::kFloat16 && type != ElementType::kFloat32)
    throw InvalidArgument(
        fmt::format("matrix writer: expected float16 or float32, found {}", to_string(type)));
  if (rows < 0 || cols < 0 || !try_product(std::array{rows, cols, element_bytes(type)}))
    throw InvalidArgument(fmt::format("matrix writer: impossible shape [{}, {}]", rows, cols));
  const std::string header = format == MatrixFormat::kNpy ? npy_header(type, {rows, cols})
                                                          : safetensors_header(name, type, {rows, cols});
  sink_(header.data(), header.size());
}

void MatrixWriter::add(ConstMatrixF rows) {
  if (rows.cols != options_.cols || rows.rows > options_.rows - added_)
    throw InvalidArgument(fmt::format("matrix writer: expected at most {} rows of {} columns, found [{}, {}]",
                                      options_.rows - added_, options_.cols, rows.rows, rows.cols));
  const auto cols = static_cast<size_t>(rows.cols);
  if (options_.type == ElementType::kFloat32 && rows.contiguous()) {
    sink_(rows.data, static_cast<size_t>(rows.rows) * cols * sizeof(float));
  } else {
    std::vector<uint16_t> halves(options_.type == ElementType::kFloat16 ? cols : 0);
    for (int64_t i = 0; i < rows.rows; ++i) {
      const float* row = rows.row(i);
      if (halves.empty()) {
        sink_(row, cols * sizeof(float));
        continue;
      }
      for (size_t j = 0; j < cols; ++j) {
        halves[j] = io::float_to_float16(row[j]);
        if (!(std::abs(io::float16_to_float(halves[j])) <= 65504.0f))
          throw InvalidArgument(
              fmt::format("matrix writer: row {}, column {} is {:g}, expected what float16 can hold",
                          added_ + i, j, row[j]));
      }
      sink_(halves.data(), cols * sizeof(uint16_t));
    }
  }
  added_ += rows.rows;
}

void MatrixWriter::finish() const {
  if (added_ != options_.rows)
    throw InvalidArgument(fmt::format("matrix writer: expected {} rows, found {}", options_.rows, added_));
}

}  // namespace sotalign
