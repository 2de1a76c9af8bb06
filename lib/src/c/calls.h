// What every function of sotalign/c.h does: exceptions become a status and a message, null handles and
// pointers are refused, and the caller's matrices become views in the memory of the context.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sotalign/c.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/context.h"
#include "sotalign/ot/sinkhorn.h"

namespace sotalign::c {

/// Keeps the message of the exception being handled for sotalign_last_error(), and returns its status.
int keep_error() noexcept;

/// Runs `function` and returns its status.
template <class Function>
int call(Function&& function) noexcept {
  try {
    function();
    return SOTALIGN_OK;
  } catch (...) {
    return keep_error();
  }
}

/// Throws InvalidArgument "NAME: expected a pointer, found null".
void require(const void* pointer, const char* name);
/// Throws InvalidArgument unless `value` is one of an enumeration's 0 ... count - 1.
void require_one_of(int value, int count, const char* name);

/// A matrix that a function reads, and its copy in the context's memory if it needs one, which serves later
/// calls, too.
class Input {
 public:
  /// Throws InvalidArgument, starting with `name`, for null pointers and impossible shapes.
  ConstMatrixF view(Context& context, const sotalign_const_matrix* matrix, const char* name);

 private:
  std::optional<Matrix<float>> copy_;
};

/// The same for a matrix that a function writes. Call finish() after the function.
class Output {
 public:
  MatrixF view(Context& context, const sotalign_matrix* matrix, const char* name);
  /// Copies the result to host memory if the matrix is there.
  void finish();

 private:
  std::optional<Matrix<float>> copy_;
  MatrixF host_;
};

/// The options' C++ form; the defaults for null.
SolveOptions solve_options(const sotalign_solve_options* options, const char* name);
Symmetrize symmetrize(int value);
sotalign_solve_result solve_result(const SinkhornResult& result);
/// `size` values; none for null.
std::vector<double> values(const double* first, int64_t size);

}  // namespace sotalign::c

// Handles. Work on them goes through their context.
struct sotalign_context {
  std::unique_ptr<sotalign::MemoryResource> memory;  // null: the context's own
  sotalign::Context context;
  std::string device;
};
