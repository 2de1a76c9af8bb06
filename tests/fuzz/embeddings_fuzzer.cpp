// The array readers either reject a file with a one-line message or return as many finite values as its shape
// says.
#include <cmath>
#include <cstring>

#include "sotalign/io/embeddings.h"
#include "sotalign/io/npy.h"
#include "sotalign/io/npy_vector.h"
#include "sotalign/io/safetensors.h"
#include "support/input_file.h"
#include "support/mutate_tensors.h"
#include "support/npy_file.h"

using namespace sotalign;

namespace {

void check_matrix(const HostMatrix& matrix) {
  if (matrix.rows() < 1 || matrix.cols() < 1) fuzz::finding("a matrix without rows or columns", "");
  for (int64_t i = 0; i < matrix.rows() * matrix.cols(); ++i)
    if (!std::isfinite(matrix.data()[i])) fuzz::finding("a matrix with a value that is not finite", "");
}

void read_tensors(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  for (const std::string& name : file.names()) {
    fuzz::accepted([&] { check_matrix(file.read_matrix(name)); });
    fuzz::accepted([&] { file.read_float(name); });
    fuzz::accepted([&] { file.read_double(name); });
    fuzz::accepted([&] { file.read_int64(name); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string& path = fuzz::input_file(data, size);
  fuzz::accepted([&] { check_matrix(read_matrix(path)); });
  if (size > 0 && data[0] == 0x93) {
    fuzz::accepted([&] { inspect_npy(path); });
    fuzz::accepted([&] {
      for (const double value : read_npy_vector(path))
        if (!std::isfinite(value)) fuzz::finding("a vector with an entry that is not finite", "");
    });
    fuzz::accepted([&] {
      if (read_npy_integers(path).empty()) fuzz::finding("a vector without entries", "");
    });
  } else {
    fuzz::accepted([&] { read_tensors(path); });
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  fuzz::Dice dice(seed);
  std::optional<fuzz::NpyFile> file = fuzz::take_npy_apart({reinterpret_cast<const char*>(data), size});
  if (!file || dice.one_in(50)) return fuzz::mutate_tensors(data, size, max_size, seed, nullptr);
  for (size_t changes = 1 + dice.below(3); changes > 0; --changes) fuzz::mutate_npy(dice, *file, max_size);
  const std::string result = fuzz::put_together(*file);
  if (result.size() > max_size) return size;
  std::memcpy(data, result.data(), result.size());
  return result.size();
}
