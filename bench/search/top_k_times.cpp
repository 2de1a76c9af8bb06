// Times top_k() on files of unit rows, once for each line "run" on standard input, for compare_faiss.py: it
// lets two programs take turns. Prints the seconds of each call. A line with a path writes the indices of the
// last call there.
//
//   top_k_times GALLERY.npy QUERIES.npy K THREADS
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <iostream>
#include <string>

#include "sotalign/eval/top_k.h"
#include "sotalign/io/npy.h"

namespace {

int run(const std::string& gallery_path, const std::string& queries_path, int64_t k, int threads) {
  using namespace sotalign;
  Context context(Device{}, threads);
  const HostMatrix gallery_file = read_npy_matrix(gallery_path), queries_file = read_npy_matrix(queries_path);
  const Matrix<float> gallery(context, gallery_file.data(), gallery_file.rows(), gallery_file.cols()),
      queries(context, queries_file.data(), queries_file.rows(), queries_file.cols());
  TopKResult result;
  for (std::string line; std::getline(std::cin, line);) {
    if (line != "run") {
      write_npy(line, result.indices);
      fmt::print("written\n");
    } else {
      const std::clock_t cores = std::clock();
      const auto start = std::chrono::steady_clock::now();
      result = top_k(context, queries, gallery, k);
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      fmt::print("{} {}\n", taken.count(), static_cast<double>(std::clock() - cores) / CLOCKS_PER_SEC);
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    fmt::print(stderr, "usage: top_k_times GALLERY.npy QUERIES.npy K THREADS\n");
    return 2;
  }
  try {
    return run(argv[1], argv[2], std::atoll(argv[3]), std::atoi(argv[4]));
  } catch (const std::exception& error) {
    fmt::print(stderr, "top_k_times: {}\n", error.what());
    return 2;
  }
}
