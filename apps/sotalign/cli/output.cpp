#include "cli/output.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/io/npy.h"

namespace sotalign::app {

namespace {
[[noreturn]] void fail_output(const char* action) {
  throw IoError(fmt::format("standard output: cannot {}: {}", action, std::strerror(errno)));
}
}  // namespace

Output::Output(const std::string& path) : kept_(nullptr, std::fclose) {
  if (path != "-") {
    file_.emplace(path);
    return;
  }
  kept_.reset(std::tmpfile());
  if (!kept_) fail_output("create a temporary file");
}

void Output::write(const void* data, size_t bytes) {
  if (file_)
    file_->write(data, bytes);
  else if (bytes > 0 && std::fwrite(data, 1, bytes, kept_.get()) != bytes)
    fail_output("write a temporary file");
}

void Output::commit() {
  if (file_) {
    file_->commit();
    return;
  }
  if (std::fflush(kept_.get()) != 0 || std::fseek(kept_.get(), 0, SEEK_SET) != 0)
    fail_output("write a temporary file");
  std::vector<char> chunk(1 << 16);
  while (const size_t bytes = std::fread(chunk.data(), 1, chunk.size(), kept_.get()))
    if (std::fwrite(chunk.data(), 1, bytes, stdout) != bytes) fail_output("write");
  if (std::ferror(kept_.get()) != 0) fail_output("read a temporary file");
  if (std::fflush(stdout) != 0) fail_output("write");
}

void write_matrix(const std::string& path, ConstMatrixF matrix) {
  Output output(path);
  output.write(npy_header(ElementType::kFloat32, {matrix.rows, matrix.cols}));
  for (int64_t i = 0; i < matrix.rows; ++i)
    output.write(matrix.row(i), static_cast<size_t>(matrix.cols) * sizeof(float));
  output.commit();
}

}  // namespace sotalign::app
