// safetensors files, and the choice of a file format by content.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "sotalign/core/error.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/io/npy.h"
#include "sotalign/io/safetensors.h"
#include "support/compare.h"
#include "support/temporary_directory.h"

namespace sotalign {
namespace lib_io_safetensors_test {

using testing::message_of;
using testing::random_normal;
using testing::read_file;
using testing::TemporaryDirectory;
using testing::write_file;

std::string safetensors(const std::string& header, const std::string& data) {
  std::string file;
  for (int i = 0; i < 8; ++i)
    file += static_cast<char>((static_cast<uint64_t>(header.size()) >> (8 * i)) & 0xff);
  return file + header + data;
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape, int64_t begin,
                  int64_t end) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
         std::to_string(begin) + "," + std::to_string(end) + "]}";
}

TEST(Safetensors, RoundTripIsBitwise) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.safetensors";
  const std::vector<float> floats = random_normal(33 * 17, 1);
  const std::vector<float> special{0.0f, -0.0f, std::nanf(""), HUGE_VALF, 1e-45f};
  const std::vector<double> doubles{1e300, -0.1, 3};
  const std::vector<int64_t> steps{std::numeric_limits<int64_t>::min(), 7};
  const float scalar = 2.5f;
  SafetensorsWriter writer;
  writer.add("odd", {5}, special.data());
  writer.add("weight \"1\"\n/\xc3\xa9", {33, 17}, floats.data());
  writer.add("mean", {1, 3, 1}, doubles.data());
  writer.add("steps", {2}, steps.data());
  writer.add("scalar", {}, &scalar);
  writer.add("empty", {0, 4}, static_cast<const float*>(nullptr));
  writer.set_metadata("note", "line\nline \xe2\x82\xac");
  writer.set_metadata("config", "{\"a\": 1}");
  writer.write(path);

  const SafetensorsFile file = SafetensorsFile::open(path);
  // Wider types first, otherwise in the order of addition.
  EXPECT_EQ(file.names(),
            (std::vector<std::string>{"mean", "steps", "odd", "weight \"1\"\n/\xc3\xa9", "scalar", "empty"}));
  EXPECT_EQ(file.read_float("weight \"1\"\n/\xc3\xa9"), floats);
  EXPECT_EQ(std::memcmp(file.read_float("odd").data(), special.data(), 20), 0);
  EXPECT_EQ(file.read_double("mean"), doubles);
  EXPECT_EQ(file.read_double("scalar"), std::vector<double>{2.5});
  EXPECT_EQ(file.read_int64("steps"), steps);
  EXPECT_TRUE(file.read_float("empty").empty());
  EXPECT_EQ(file.shape("mean"), (std::vector<int64_t>{1, 3, 1}));
  EXPECT_TRUE(file.shape("scalar").empty());
  EXPECT_EQ(file.type("mean"), ElementType::kFloat64);
  EXPECT_TRUE(file.contains("steps"));
  EXPECT_FALSE(file.contains("none"));
  EXPECT_EQ(file.metadata().at("note"), "line\nline \xe2\x82\xac");
  EXPECT_EQ(file.metadata().size(), 2u);

  writer.write(directory / "again");
  EXPECT_EQ(read_file(path), read_file(directory / "again"));
}

TEST(Safetensors, BytesAreThoseOfTheFormat) {
  const TemporaryDirectory directory;
  const float values[] = {1, 2};
  SafetensorsWriter writer;
  writer.add("a", {2}, values);
  writer.set_metadata("format", "pt");
  writer.write(directory / "x");
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("a", "F32", "2", 0, 8) + "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  EXPECT_EQ(read_file(directory / "x"),
            safetensors(header, std::string(reinterpret_cast<const char*>(values), 8)));

  SafetensorsWriter().write(directory / "x");
  EXPECT_EQ(read_file(directory / "x"), safetensors("{}      ", ""));
  EXPECT_TRUE(SafetensorsFile::open(directory / "x").names().empty());
}

TEST(Safetensors, SixteenBitTypes) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x";
  std::vector<float> values = random_normal(100'001, 5);
  SafetensorsWriter writer;
  writer.add_as(ElementType::kFloat16, "half", {100'001}, values.data());
  writer.add_as(ElementType::kBfloat16, "brain", {100'001}, values.data());
  writer.add_as(ElementType::kFloat32, "full", {100'001}, values.data());
  writer.write(path);
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.type("half"), ElementType::kFloat16);
  EXPECT_EQ(file.type("brain"), ElementType::kBfloat16);
  EXPECT_EQ(file.read_float("full"), values);
  const std::vector<float> half = file.read_float("half"), brain = file.read_float("brain");
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_WITHIN(std::abs(half[i] - values[i]), std::abs(values[i]) * 0x1p-11 + 0x1p-25);
    EXPECT_WITHIN(std::abs(brain[i] - values[i]), std::abs(values[i]) * 0x1p-8);
  }
  EXPECT_THROW(writer.add_as(ElementType::kInt8, "x", {1}, values.data()), InvalidArgument);
}

TEST(Safetensors, WriterRefusesWhatCannotBeStored) {
  const TemporaryDirectory directory;
  const float value = 1;
  SafetensorsWriter writer;
  writer.add("a", {1}, &value);
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { writer.add("a", {1}, &value); }), "tensor 'a'");
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { writer.add("__metadata__", {1}, &value); }), "reserved");
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { writer.add("b", {-1}, &value); }),
                  "impossible shape [-1]");
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { writer.add("b", {int64_t{1} << 62}, &value); }),
                  "impossible");
  EXPECT_CONTAINS(
      message_of<InvalidArgument>([&] { writer.add("b", {2}, static_cast<const float*>(nullptr)); }),
      "found null");
  writer.set_metadata("key", "\xff");
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { writer.write(directory / "x"); }), "UTF-8");
  EXPECT_EQ(directory.entries(), 0);
}

TEST(Safetensors, ReaderSaysWhatIsThere) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.safetensors";
  write_file(
      path, safetensors("{" + entry("b", "I64", "1", 2, 10) + "," + entry("a", "F8_E4M3", "2", 0, 2) + "} \n",
                        std::string(10, '\0')));
  const SafetensorsFile file = SafetensorsFile::open(path);
  EXPECT_EQ(file.names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(file.read_int64("b"), std::vector<int64_t>{0});
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { file.read_float("c"); }), "no tensor 'c', found a, b");
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { file.shape("c"); }), "no tensor 'c'");
  EXPECT_CONTAINS(message_of<IoError>([&] { file.read_float("a"); }),
                  "x.safetensors: tensor 'a': expected F16, BF16, F32 or F64, found F8_E4M3");
  EXPECT_CONTAINS(message_of<IoError>([&] { file.read_double("b"); }), "found I64");
  EXPECT_CONTAINS(message_of<IoError>([&] { file.read_int64("a"); }), "expected I64, found F8_E4M3");
}

TEST(Safetensors, RefusesHeadersThatBreakTheRules) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.safetensors";
  const auto message = [&](const std::string& content) {
    write_file(path, content);
    const std::string text = message_of<IoError>([&] { SafetensorsFile::open(path); });
    EXPECT_CONTAINS(text, path);
    return text;
  };
  const auto one = [&](const std::string& tensor, const std::string& data = "xxxx") {
    return message(safetensors("{" + tensor + "}", data));
  };
  EXPECT_CONTAINS(message("1234567"), "truncated: 7 bytes");
  EXPECT_CONTAINS(message(std::string("\xff\xff\xff\xff\xff\xff\xff\xff{}", 10)), "at most 100000000");
  EXPECT_CONTAINS(message(std::string("\x03\0\0\0\0\0\0\0{}", 10)), "expected a header of 3 bytes, found 2");
  EXPECT_CONTAINS(message(safetensors("", "")), "start with '{'");
  EXPECT_CONTAINS(message(safetensors(" {}", "")), "start with '{'");
  EXPECT_CONTAINS(message(safetensors("{} x", "")), "not JSON at byte 4");
  EXPECT_CONTAINS(message(safetensors(std::string("{}\0x", 4), "")), "not JSON at byte 2");
  EXPECT_CONTAINS(one("\"a\":{\"x\":{}}"), "x: expected a value or a list, found an object");
  std::string ones = "1";
  for (int i = 0; i < 64; ++i) ones += ",1";
  EXPECT_CONTAINS(one(entry("a", "F32", ones, 0, 4)), "at most 64 numbers");
  EXPECT_CONTAINS(message(safetensors("{\"\xff\":1}", "")), "not JSON");
  EXPECT_CONTAINS(message(safetensors("{\"a\":1e999}", "")), "malformed safetensors header");
  const std::string brackets(100'000, '[');
  EXPECT_CONTAINS(message(safetensors("{\"a\":" + brackets, "")), "expected an object with the key dtype");
  EXPECT_CONTAINS(message(safetensors("{\"a\":{\"shape\":" + brackets, "")), "nested deeper");
  EXPECT_CONTAINS(one("\"a\":1"), "tensor 'a': expected an object with the key dtype");
  EXPECT_CONTAINS(one("\"a\":{\"dtype\":4}"), "dtype: expected a string");
  EXPECT_CONTAINS(one("\"a\":{\"dtype\":\"F32\"}"), "the key shape");
  EXPECT_CONTAINS(one("\"a\":{\"dtype\":\"F32\",\"shape\":[1]}"), "the key data_offsets");
  EXPECT_CONTAINS(one("\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}"),
                  "expected [begin, end]");
  EXPECT_CONTAINS(one(entry("a", "Q5\\n", "1", 0, 4)), "unknown dtype 'Q5?'");
  EXPECT_CONTAINS(one(entry("a", "F32", "-1", 0, 4)), "shape: expected integers");
  EXPECT_CONTAINS(one(entry("a", "F32", "1.0", 0, 4)), "shape: expected integers");
  EXPECT_CONTAINS(one(entry("a", "F32", "18446744073709551615", 0, 4)), "shape: expected integers");
  EXPECT_CONTAINS(one(entry("a", "F32", "4294967296, 4294967296", 0, 0)), "overflows");
  EXPECT_CONTAINS(one(entry("a", "F4", "3", 0, 2)), "not a whole number of bytes");
  EXPECT_CONTAINS(one(entry("a", "F32", "2", 0, 4)), "F32 [2]: expected 8 bytes, found 4");
  EXPECT_CONTAINS(one(entry("a", "F32", "1", 4, 0)), "run backwards");
  EXPECT_CONTAINS(one(entry("a", "F32", "1", 0, 4), "xxx"), "truncated: expected data up to byte 4, found 3");
  EXPECT_CONTAINS(one(entry("a", "F32", "1", 0, 4), "xxxxx"),
                  "trailing bytes: expected 4 bytes of data, found 5");
  EXPECT_CONTAINS(one(entry("a", "U8", "3", 1, 4)), "from byte 0 on, found 1 (hole)");
  EXPECT_CONTAINS(one(entry("a", "U8", "3", 0, 3) + "," + entry("b", "U8", "2", 2, 4)), "found 2 (overlap)");
  EXPECT_CONTAINS(one(entry("a", "U8", "2", 0, 2) + "," + entry("a", "U8", "2", 2, 4)), "found 'a' twice");
  EXPECT_CONTAINS(one("\"a\":{\"dtype\":\"F32\",\"dtype\":\"F64\"}"), "found 'dtype' twice");
  EXPECT_CONTAINS(one("\"__metadata__\":[]", ""), "__metadata__: expected an object");
  EXPECT_CONTAINS(one("\"__metadata__\":{\"epoch\":3}", ""), "expected a string for 'epoch'");
}

// A callback-based JSON parser would take a minute for this header.
TEST(Safetensors, ManyTensorsTakeLinearTime) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.safetensors";
  const auto header = [](int64_t count) {
    std::string text = "{";
    for (int64_t i = 0; i < count; ++i)
      text += (i > 0 ? "," : "") + entry(std::to_string(i), "U8", "1", i, i + 1);
    return text + "}";
  };
  write_file(path, safetensors(header(100'000), std::string(100'000, 'x')));
  EXPECT_EQ(SafetensorsFile::open(path).names().size(), 100'000u);
  write_file(path, safetensors(header(100'001), std::string(100'001, 'x')));
  EXPECT_CONTAINS(message_of<IoError>([&] { SafetensorsFile::open(path); }), "at most 100000 tensors");

  SafetensorsWriter writer;
  const float value = 1;
  for (int64_t i = 0; i < 100'000; ++i) writer.add(std::to_string(i), {1}, &value);
  EXPECT_THROW(writer.add("one more", {1}, &value), InvalidArgument);
  writer.add_checksums();
  writer.write(path);
  SafetensorsFile::open(path).verify();
}

TEST(Safetensors, ChecksumsFindDamage) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.safetensors";
  const std::vector<float> values = random_normal(200'001, 1);
  SafetensorsWriter writer;
  writer.add("a", {3, 5}, values.data());
  writer.add_as(ElementType::kBfloat16, "b", {200'001}, values.data());
  writer.add("nothing", {0}, static_cast<const float*>(nullptr));
  writer.set_metadata("k", "v");
  writer.write(path);
  EXPECT_FALSE(SafetensorsFile::open(path).has_checksums());
  EXPECT_CONTAINS(message_of<IoError>([&] { SafetensorsFile::open(path).verify(); }), "found none");
  writer.add_checksums();
  writer.write(path);
  EXPECT_TRUE(SafetensorsFile::open(path).has_checksums());
  SafetensorsFile::open(path).verify();

  const std::string good = read_file(path);
  const auto message = [&](std::string bytes, size_t at, char value) {
    bytes[at] = value;
    write_file(path, bytes);
    return message_of<IoError>([&] { SafetensorsFile::open(path).verify(); });
  };
  EXPECT_CONTAINS(message(good, good.size() - 1, '!'), "tensor 'b': damaged");
  EXPECT_CONTAINS(message(good, good.find("\"v\"") + 1, 'w'), "header: damaged");
  EXPECT_CONTAINS(message(good, good.find("\"a\":{\"dtype") + 1, 'c'), "header: damaged");
  EXPECT_CONTAINS(message(good, good.find("[3,5]") + 1, '5'), "expected 100 bytes");
  std::string swapped = good;
  swapped.replace(good.find("[3,5]"), 5, "[5,3]");
  write_file(path, swapped);
  EXPECT_CONTAINS(message_of<IoError>([&] { SafetensorsFile::open(path).verify(); }), "header: damaged");
}

TEST(Safetensors, DamagedFilesThrowOrSucceed) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.safetensors";
  const std::vector<float> values = random_normal(15, 1);
  SafetensorsWriter writer;
  writer.add("a", {5, 3}, values.data());
  writer.add_as(ElementType::kFloat16, "b", {15}, values.data());
  writer.set_metadata("k", "v");
  writer.write(path);
  const std::string good = read_file(path);
  std::mt19937 random(20250102);
  int succeeded = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    std::string bytes = good;
    for (unsigned changes = 1 + random() % 3; changes > 0; --changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    write_file(path, bytes);
    try {
      const SafetensorsFile file = SafetensorsFile::open(path);
      for (const std::string& name : file.names()) file.read_float(name);
      read_matrix(path);
      ++succeeded;
    } catch (const Error&) {
    }
  }
  EXPECT_GT(succeeded, 0);
  EXPECT_LT(succeeded, 2000);
}

TEST(Embeddings, FormatIsFoundInTheContent) {
  const TemporaryDirectory directory;
  const std::vector<float> values = random_normal(6, 2);
  write_npy(directory / "renamed.bin", ConstMatrixF(values.data(), 2, 3));
  EXPECT_EQ(read_matrix(directory / "renamed.bin").view().row(1)[2], values[5]);

  const std::string path = directory / "x.safetensors";
  SafetensorsWriter writer;
  writer.add("mean", {3}, values.data());
  writer.add_as(ElementType::kBfloat16, "images", {3, 2}, values.data());
  writer.write(path);
  EXPECT_EQ(read_matrix(path).cols(), 2);
  EXPECT_EQ(read_matrix(path + ":images").rows(), 3);
  EXPECT_CONTAINS(message_of<IoError>([&] { read_matrix(path + ":mean"); }),
                  "x.safetensors: tensor 'mean': expected a matrix (2 dimensions), found 1 dimensions [3]");
  EXPECT_CONTAINS(message_of<InvalidArgument>([&] { read_matrix(path + ":text"); }), "no tensor 'text'");
  writer.add("texts", {2, 3}, values.data());
  writer.write(path);
  EXPECT_CONTAINS(message_of<IoError>([&] { read_matrix(path); }), "found 2; choose one by");
  EXPECT_EQ(read_matrix(path + ":texts").cols(), 3);
}

TEST(Embeddings, ErrorsNameFileAndTensor) {
  const TemporaryDirectory directory;
  const std::string path = directory / "x.safetensors";
  const std::vector<double> values{1, 2, 3, 1e39};
  SafetensorsWriter writer;
  writer.add("images", {2, 2}, values.data());
  writer.write(path);
  EXPECT_CONTAINS(
      message_of<IoError>([&] { read_matrix(path); }),
      "x.safetensors: tensor 'images': row 1, column 1 is 1e+39, expected values within the range");
  SafetensorsWriter vectors;
  vectors.add("v", {4}, values.data());
  vectors.write(path);
  EXPECT_CONTAINS(message_of<IoError>([&] { read_matrix(path); }), "found none among 1 tensors");
  EXPECT_CONTAINS(message_of<IoError>([&] { read_matrix(directory / "none.safetensors:x"); }),
                  "none.safetensors: no such file");
  write_file(directory / "x.npz", "PK\3\4 and more");
  EXPECT_CONTAINS(message_of<IoError>([&] { read_matrix(directory / "x.npz"); }), "a zip archive");
  write_file(directory / "x.txt", "1 2 3");
  EXPECT_CONTAINS(message_of<IoError>([&] { read_matrix(directory / "x.txt"); }),
                  "expected a .npy or .safetensors");
}

}  // namespace lib_io_safetensors_test
}  // namespace sotalign
