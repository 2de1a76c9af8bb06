#include "io/npy_header.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>

#include "io/element.h"
#include "io/text.h"
#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"

namespace sotalign::io {

namespace {

/// Parses the dictionary from left to right; every mismatch throws.
class HeaderParser {
 public:
  HeaderParser(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  NpyInfo parse() {
    std::optional<std::string> descr;
    std::optional<bool> fortran_order;
    std::optional<std::vector<int64_t>> shape;
    expect('{');
    while (!accept('}')) {
      const std::string key = parse_string();
      expect(':');
      if (key == "descr" && !descr) {
        descr = parse_descr();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = parse_bool();
      } else if (key == "shape" && !shape) {
        shape = parse_shape();
      } else {
        fail(fmt::format("a key once out of descr, fortran_order and shape, found '{}'", printable(key)));
      }
      if (!accept(',') && peek() != '}') fail("',' or '}' after a value");
    }
    if (peek() != '\0' || at_ < text_.size()) fail("nothing after '}'");
    if (!descr || !fortran_order || !shape) fail("the keys descr, fortran_order and shape");
    return {.type = type_of(*descr), .descr = *descr, .shape = *shape, .fortran_order = *fortran_order};
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw IoError(
        fmt::format("{}: malformed .npy header at character {}: expected {}", path_, at_, expected));
  }

  /// The next character that is not white space; '\0' at the end.
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c || at_ == text_.size()) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) fail(fmt::format("'{}'", c));
  }

  std::string parse_string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail("a quoted string");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a closing quote");
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }

  bool parse_bool() {
    peek();
    for (const bool value : {false, true}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    fail("True or False");
  }

  /// A structured type is a list, which is kept as text: only messages use it.
  std::string parse_descr() {
    if (peek() != '[') return parse_string();
    const size_t first = at_;
    int depth = 0;
    do {
      const char c = peek();
      if (c == '\0') fail("']'");
      if (c == '\'' || c == '"') {
        parse_string();
        continue;
      }
      depth += c == '[' ? 1 : (c == ']' ? -1 : 0);
      ++at_;
    } while (depth > 0);
    return std::string(text_.substr(first, at_ - first));
  }

  std::vector<int64_t> parse_shape() {
    constexpr size_t kMostDimensions = 64;  // NumPy's own limit
    std::vector<int64_t> shape;
    expect('(');
    while (!accept(')')) {
      peek();
      int64_t size = 0;
      const char* first = text_.data() + at_;
      const auto [end, error] = std::from_chars(first, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0) fail("a size from 0 to 2^63 - 1");
      if (shape.size() == kMostDimensions) fail("at most 64 dimensions");
      shape.push_back(size);
      at_ += static_cast<size_t>(end - first);
      accept('L');  // long integers of Python 2
      if (!accept(',') && peek() != ')') fail("',' or ')' after a size");
    }
    return shape;
  }

  ElementType type_of(std::string_view descr) const {
    const bool big_endian = descr.starts_with('>');
    if (!descr.empty() && std::string_view("<>=|").find(descr[0]) != std::string_view::npos)
      descr.remove_prefix(1);
    constexpr struct {
      std::string_view name;
      ElementType type;
    } kTypes[] = {{"f2", ElementType::kFloat16}, {"f4", ElementType::kFloat32}, {"f8", ElementType::kFloat64},
                  {"i1", ElementType::kInt8},    {"i2", ElementType::kInt16},   {"i4", ElementType::kInt32},
                  {"i8", ElementType::kInt64},   {"u1", ElementType::kUint8},   {"u2", ElementType::kUint16},
                  {"u4", ElementType::kUint32},  {"u8", ElementType::kUint64}};
    for (const auto& [name, type] : kTypes) {
      if (descr != name) continue;
      if (big_endian && element_bytes(type) > 1)
        throw IoError(fmt::format("{}: expected little-endian data, found big-endian >{}", path_, descr));
      return type;
    }
    return ElementType::kOther;
  }

  const std::string& path_;
  std::string_view text_;
  size_t at_ = 0;
};

void check_size(const MappedFile& file, const NpyHeader& header) {
  const NpyInfo& info = header.info;
  if (info.type == ElementType::kOther) return;
  const auto describe = [&] { return fmt::format("{} {}", to_string(info.type), shape_text(info.shape)); };
  std::vector<int64_t> extents = info.shape;
  extents.insert(extents.begin(), element_bytes(info.type));
  const std::optional<int64_t> expected = try_product(extents);
  const size_t found = file.size() - header.data_offset;
  if (!expected)
    throw IoError(
        fmt::format("{}: the size of {} overflows, found {} bytes of data", file.path(), describe(), found));
  if (found < static_cast<size_t>(*expected))
    throw IoError(fmt::format("{}: truncated: expected {} bytes of data for {}, found {}", file.path(),
                              *expected, describe(), found));
  if (found > static_cast<size_t>(*expected))
    throw IoError(fmt::format("{}: trailing bytes: expected {} bytes of data for {}, found {}", file.path(),
                              *expected, describe(), found));
}

}  // namespace

NpyHeader parse_npy_header(const MappedFile& file) {
  constexpr std::string_view kMagic("\x93NUMPY", 6);
  const std::string_view bytes(file.data(), file.size());
  if (!bytes.starts_with(kMagic))
    throw IoError(
        fmt::format("{}: expected a .npy file, found other content ({} bytes)", file.path(), file.size()));
  // One byte each for the major and minor version, then the length of the header in two bytes (version 1) or
  // four.
  const int version = bytes.size() > 6 ? static_cast<unsigned char>(bytes[6]) : 0;
  const size_t length_bytes = version == 1 ? 2 : 4;
  const size_t header_offset = 8 + length_bytes;
  if (bytes.size() < header_offset)
    throw IoError(
        fmt::format("{}: truncated: {} bytes cannot hold a .npy header", file.path(), bytes.size()));
  if (version < 1 || version > 3 || bytes[7] != 0)
    throw IoError(fmt::format("{}: expected .npy format version 1.0, 2.0 or 3.0, found {}.{}", file.path(),
                              version, static_cast<unsigned char>(bytes[7])));
  const size_t length =
      version == 1 ? load<uint16_t>(file.data() + 8, 0) : load<uint32_t>(file.data() + 8, 0);
  if (length > bytes.size() - header_offset)
    throw IoError(fmt::format("{}: truncated: expected a header of {} bytes, found {}", file.path(), length,
                              bytes.size() - header_offset));
  NpyHeader header;
  header.info = HeaderParser(file.path(), bytes.substr(header_offset, length)).parse();
  header.data_offset = header_offset + length;
  check_size(file, header);
  return header;
}

}  // namespace sotalign::io
