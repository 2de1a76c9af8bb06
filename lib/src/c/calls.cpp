#include "c/calls.h"

#include <fmt/format.h>

#include <exception>
#include <new>
#include <string>

#include "sotalign/core/error.h"

namespace sotalign::c {

namespace {

thread_local std::string last_error;

int keep(int status, const char* message) noexcept {
  try {
    last_error = message;
  } catch (const std::bad_alloc&) {
    last_error.clear();
  }
  return status;
}

/// The view of a matrix that may be in host memory.
template <class T, class CMatrix>
MatrixView<T> checked_view(const CMatrix* matrix, const char* name) {
  require(matrix, name);
  require_one_of(matrix->memory, 2, "memory");
  checked_product(name, matrix->rows, matrix->stride);
  checked_product(name, matrix->rows, matrix->cols);
  if (matrix->stride < matrix->cols)
    throw InvalidArgument(fmt::format("{}: expected a stride of at least {} columns, found {}", name,
                                      matrix->cols, matrix->stride));
  const MatrixView<T> view(matrix->data, matrix->rows, matrix->cols, matrix->stride);
  if (!view.empty()) require(matrix->data, name);
  return view;
}

bool needs_copy(const Context& context, int memory) {
  return context.device().kind == DeviceKind::kCuda && memory == SOTALIGN_HOST_MEMORY;
}

void reserve(Context& context, std::optional<Matrix<float>>& copy, ConstMatrixF shape, const char* name) {
  if (!copy || copy->rows() != shape.rows || copy->cols() != shape.cols)
    copy.emplace(context, shape.rows, shape.cols, name);
}

}  // namespace

int keep_error() noexcept {
  try {
    throw;
  } catch (const InvalidArgument& error) {
    return keep(SOTALIGN_INVALID_ARGUMENT, error.what());
  } catch (const IoError& error) {
    return keep(SOTALIGN_IO_ERROR, error.what());
  } catch (const OutOfMemory& error) {
    return keep(SOTALIGN_OUT_OF_MEMORY, error.what());
  } catch (const NumericalError& error) {
    return keep(SOTALIGN_NUMERICAL_ERROR, error.what());
  } catch (const DeviceError& error) {
    return keep(SOTALIGN_DEVICE_ERROR, error.what());
  } catch (const std::bad_alloc&) {
    return keep(SOTALIGN_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return keep(SOTALIGN_OTHER_ERROR, error.what());
  } catch (...) {
    return keep(SOTALIGN_OTHER_ERROR, "unknown error");
  }
}

void require(const void* pointer, const char* name) {
  if (pointer == nullptr) throw InvalidArgument(fmt::format("{}: expected a pointer, found null", name));
}

void require_one_of(int value, int count, const char* name) {
  if (value < 0 || value >= count)
    throw InvalidArgument(fmt::format("{}: expected 0 to {}, found {}", name, count - 1, value));
}

ConstMatrixF Input::view(Context& context, const sotalign_const_matrix* matrix, const char* name) {
  const auto view = checked_view<const float>(matrix, name);
  if (!needs_copy(context, matrix->memory)) return view;
  reserve(context, copy_, view, name);
  copy_->upload(view);
  return copy_->view();
}

MatrixF Output::view(Context& context, const sotalign_matrix* matrix, const char* name) {
  host_ = checked_view<float>(matrix, name);
  if (!needs_copy(context, matrix->memory)) {
    copy_.reset();
    return host_;
  }
  reserve(context, copy_, host_, name);
  return copy_->view();
}

void Output::finish() {
  if (copy_) copy_->download(host_);
}

SolveOptions solve_options(const sotalign_solve_options* options, const char* name) {
  if (options == nullptr) return {};
  require_one_of(options->form, 3, fmt::format("{}: form", name).c_str());
  require_one_of(options->storage, 2, fmt::format("{}: storage", name).c_str());
  return {.iterations = options->iterations,
          .tolerance = options->tolerance,
          .check_every = options->check_every,
          .relaxation = options->relaxation,
          .epsilon_scaling = options->epsilon_scaling,
          .form = static_cast<SinkhornForm>(options->form),
          .storage = static_cast<SinkhornStorage>(options->storage)};
}

Symmetrize symmetrize(int value) { return value != 0 ? Symmetrize::kYes : Symmetrize::kNo; }

sotalign_solve_result solve_result(const SinkhornResult& result) {
  return {.iterations = result.iterations,
          .row_error = result.row_error,
          .column_error = result.column_error,
          .marginal_error = result.marginal_error,
          .status = static_cast<int>(result.status)};
}

std::vector<double> values(const double* first, int64_t size) {
  return first == nullptr ? std::vector<double>() : std::vector<double>(first, first + size);
}

// The enumerations of C are those of C++.
static_assert(static_cast<int>(SinkhornForm::kLogDomain) == SOTALIGN_FORM_LOG_DOMAIN);
static_assert(static_cast<int>(SinkhornForm::kScaling) == SOTALIGN_FORM_SCALING);
static_assert(static_cast<int>(SinkhornStorage::kLadder) == SOTALIGN_STORAGE_LADDER);
static_assert(static_cast<int>(SinkhornStatus::kFixed) == SOTALIGN_FIXED);
static_assert(static_cast<int>(SinkhornStatus::kConverged) == SOTALIGN_CONVERGED);
static_assert(static_cast<int>(SinkhornStatus::kStalled) == SOTALIGN_STALLED);
static_assert(static_cast<int>(SinkhornStatus::kIterationLimit) == SOTALIGN_ITERATION_LIMIT);

}  // namespace sotalign::c

const char* sotalign_last_error(void) { return sotalign::c::last_error.c_str(); }

void sotalign_solve_options_init(sotalign_solve_options* options) {
  const sotalign::SolveOptions d;
  *options = {.iterations = d.iterations,
              .tolerance = d.tolerance,
              .check_every = d.check_every,
              .relaxation = d.relaxation,
              .epsilon_scaling = d.epsilon_scaling,
              .form = static_cast<int>(d.form),
              .storage = static_cast<int>(d.storage)};
}
