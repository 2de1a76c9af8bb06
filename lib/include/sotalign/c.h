// The library from C (C99), and from languages that call C: contexts, Sinkhorn, KLOT, and trained models.
//
// Functions that can fail return a sotalign_status: SOTALIGN_OK is 0, and sotalign_last_error() describes any
// other one. A failed call leaves its handles usable and creates none; what it should have written is then
// undefined. Handles are created by NAME_create or NAME_load and freed by NAME_destroy, which ignores null. A
// context must outlive what was created with it, and only one thread at a time may use a context and the
// handles created with it.
//
// As in C++, a CUDA context queues its work on its stream: functions return before the work is done unless
// they return numbers on the host, or read or write a matrix in host memory. The C++ headers, named in each
// section, have the details.
//
// Structures may gain members with the second number of the version, which the name of the shared library
// (libsotalign.so.0.2) contains.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "sotalign/version.h"  // SOTALIGN_VERSION_NUMBER

#define SOTALIGN_C_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

// --- errors (core/error.h) --------------------------------------------------------------------------------

/// What functions return.
enum sotalign_status {
  SOTALIGN_OK = 0,
  SOTALIGN_INVALID_ARGUMENT = 1,  ///< a value, shape or option that the function does not accept
  SOTALIGN_IO_ERROR = 2,          ///< a file that cannot be read, or is malformed
  SOTALIGN_OUT_OF_MEMORY = 3,
  SOTALIGN_NUMERICAL_ERROR = 4,  ///< a number that is not finite or beyond what single precision resolves
  SOTALIGN_DEVICE_ERROR = 5,     ///< a failed call of CUDA, cuBLAS or cuSOLVER
  SOTALIGN_OTHER_ERROR = 6
};

/// The message of this thread's last failed call, one line; "" before the first failure. Valid until the next
/// failure of this thread.
SOTALIGN_C_API const char* sotalign_last_error(void);

/// The version of the compiled library, such as "0.2.0".
SOTALIGN_C_API const char* sotalign_version(void);

// --- contexts (core/context.h) ----------------------------------------------------------------------------

/// A device with its stream, memory and scratch space.
typedef struct sotalign_context sotalign_context;

/// Returns `bytes` bytes aligned to `alignment`, in memory of the context's device, or null. `stream` is the
/// context's cudaStream_t, null on the CPU; `user` that of the options.
typedef void* (*sotalign_allocate)(size_t bytes, size_t alignment, void* stream, void* user);
/// Frees what sotalign_allocate returned. Queued work may still use the memory: reuse it in stream order.
typedef void (*sotalign_deallocate)(void* pointer, size_t bytes, size_t alignment, void* stream, void* user);

/// What a context runs on.
typedef struct sotalign_context_options {
  const char* device;  ///< "cpu", "cuda", "cuda:1", or "auto": the first usable CUDA device, else the CPU
  int threads;         ///< CPU: threads per operation, 1 to 4096; 0: OpenMP's default
  int adopt_stream;    ///< nonzero: queue all work on `stream`
  void* stream;  ///< the caller's cudaStream_t, which must outlive the context; null: the default stream
  sotalign_allocate allocate;      ///< the source of all memory; null: cudaMalloc, or the heap
  sotalign_deallocate deallocate;  ///< null exactly if `allocate` is
  void* user;                      ///< passed to both
} sotalign_context_options;

/// Sets the defaults: the CPU, all threads, a stream and memory of the context's own.
SOTALIGN_C_API void sotalign_context_options_init(sotalign_context_options* options);

/// Creates a context; `options` null: with the defaults.
SOTALIGN_C_API int sotalign_context_create(const sotalign_context_options* options,
                                           sotalign_context** context);
SOTALIGN_C_API void sotalign_context_destroy(sotalign_context* context);
/// The name of the context's device, "cpu" or "cuda:0"; valid as long as the context.
SOTALIGN_C_API const char* sotalign_context_device(const sotalign_context* context);
/// Waits for all work on the context's stream.
SOTALIGN_C_API int sotalign_context_synchronize(sotalign_context* context);

// --- matrices (core/matrix_view.h) ------------------------------------------------------------------------

/// Where a matrix is.
enum sotalign_memory {
  SOTALIGN_CONTEXT_MEMORY = 0,  ///< memory of the context's device: host memory on the CPU
  SOTALIGN_HOST_MEMORY = 1      ///< host memory; a CUDA context copies it to or from its device
};

/// A matrix of the caller that functions read, row-major: element (i, j) is data[i * stride + j], with stride
/// >= cols. In context memory it must live until the queued work is done. Padding is not read.
typedef struct sotalign_const_matrix {
  const float* data;
  int64_t rows, cols, stride;
  int memory;  ///< a sotalign_memory
} sotalign_const_matrix;

/// The same for a matrix that functions write. Padding is not written.
typedef struct sotalign_matrix {
  float* data;
  int64_t rows, cols, stride;
  int memory;  ///< a sotalign_memory
} sotalign_matrix;

// --- solves (ot/solve_options.h, ot/sinkhorn.h) -----------------------------------------------------------

/// How iterations run.
enum sotalign_form { SOTALIGN_FORM_AUTO = 0, SOTALIGN_FORM_SCALING = 1, SOTALIGN_FORM_LOG_DOMAIN = 2 };
/// What the density of the scaling form holds: float, or bfloat16 until the last iterations.
enum sotalign_storage { SOTALIGN_STORAGE_FLOAT = 0, SOTALIGN_STORAGE_LADDER = 1 };

/// Iterations, stopping rule, acceleration and form of a solve.
typedef struct sotalign_solve_options {
  int64_t iterations;      ///< with a tolerance, the most
  double tolerance;        ///< stop at this L1 error of the row sums; 0: never
  int64_t check_every;     ///< iterations between convergence checks
  double relaxation;       ///< over-relaxation, in (0, 2); 1: plain Sinkhorn
  double epsilon_scaling;  ///< start at this multiple of epsilon; 1: no epsilon scaling
  int form;                ///< a sotalign_form
  int storage;             ///< a sotalign_storage
} sotalign_solve_options;

/// Sets the defaults: 100 iterations, no tolerance, no relaxation.
SOTALIGN_C_API void sotalign_solve_options_init(sotalign_solve_options* options);

/// Why a solve ended.
enum sotalign_solve_status {
  SOTALIGN_FIXED = 0,           ///< no tolerance: all iterations ran
  SOTALIGN_CONVERGED = 1,       ///< the marginal error meets the tolerance
  SOTALIGN_STALLED = 2,         ///< it does not, and stopped falling
  SOTALIGN_ITERATION_LIMIT = 3  ///< it does not, and the iterations ran out
};

/// How a solve ended.
typedef struct sotalign_solve_result {
  int64_t iterations;
  double row_error, column_error;  ///< L1 errors of the plan's row sums and column sums
  double marginal_error;           ///< their sum
  int status;                      ///< a sotalign_solve_status
} sotalign_solve_result;

// --- Sinkhorn (ot/sinkhorn.h) -----------------------------------------------------------------------------

/// A solver for a batch of entropic transport problems of one shape [rows, cols]. For an affinity K (cost
/// -K), weights a, b and epsilon, the plan is P_ij = exp(K_ij / epsilon + u_i + v_j), with row sums a, column
/// sums b and total mass 1. Solves after the first allocate nothing.
typedef struct sotalign_sinkhorn sotalign_sinkhorn;

/// Creates a solver of `problems` problems. epsilon: [problems], each > 0, in the units of K. `symmetrize`
/// nonzero: replace u, after the last iteration, by the mean of itself and its next update. `options` null:
/// the defaults.
SOTALIGN_C_API int sotalign_sinkhorn_create(sotalign_context* context, int64_t problems, int64_t rows,
                                            int64_t cols, const double* epsilon, int symmetrize,
                                            const sotalign_solve_options* options,
                                            sotalign_sinkhorn** solver);
SOTALIGN_C_API void sotalign_sinkhorn_destroy(sotalign_sinkhorn* solver);

/// Sets the weights of one problem, a [rows] and b [cols] in host memory: finite, >= 0, not all zero; they
/// are scaled to sum to 1. Null: uniform weights, the default.
SOTALIGN_C_API int sotalign_sinkhorn_set_weights(sotalign_sinkhorn* solver, int64_t problem, const double* a,
                                                 const double* b);
/// Sets the column potentials v [cols], in host memory, from which later solves start: finite or -inf.
SOTALIGN_C_API int sotalign_sinkhorn_set_start(sotalign_sinkhorn* solver, int64_t problem, const double* v);

/// Solves all problems. affinity: [problems * rows, cols].
SOTALIGN_C_API int sotalign_sinkhorn_solve(sotalign_sinkhorn* solver, const sotalign_const_matrix* affinity);

/// Waits for the last solve and says how one problem ended.
SOTALIGN_C_API int sotalign_sinkhorn_result(sotalign_sinkhorn* solver, int64_t problem,
                                            sotalign_solve_result* result);
/// Waits for the last solve and writes the potentials of one problem to host memory, u [rows] and v [cols];
/// either may be null.
SOTALIGN_C_API int sotalign_sinkhorn_potentials(sotalign_sinkhorn* solver, int64_t problem, double* u,
                                                double* v);
/// Writes the plans of the last solve, [problems * rows, cols]. `affinity` is that of the solve. `plan` may
/// overwrite it, must have its stride, and must be in the same memory.
SOTALIGN_C_API int sotalign_sinkhorn_plan(sotalign_sinkhorn* solver, const sotalign_const_matrix* affinity,
                                          const sotalign_matrix* plan);

// --- KLOT (ot/klot.h) -------------------------------------------------------------------------------------

/// KLOT(K || K*) = KL(P* || P), where P and P* are the plans of a student affinity K and a teacher affinity
/// K*, both [rows, cols]. Its gradient is dKLOT/dK = (P - P*) / epsilon_student.
typedef struct sotalign_klot sotalign_klot;

/// The authors' code has epsilons 0.05 and 0.01 and symmetrizes. `student` and `teacher` null: the defaults.
SOTALIGN_C_API int sotalign_klot_create(sotalign_context* context, int64_t rows, int64_t cols,
                                        double epsilon_student, double epsilon_teacher, int symmetrize,
                                        const sotalign_solve_options* student,
                                        const sotalign_solve_options* teacher, sotalign_klot** klot);
SOTALIGN_C_API void sotalign_klot_destroy(sotalign_klot* klot);

/// Sets the weights of both sides, as sotalign_sinkhorn_set_weights() does.
SOTALIGN_C_API int sotalign_klot_set_weights(sotalign_klot* klot, const double* a, const double* b);

/// gradient = gradient_scale * dKLOT/dK, [rows, cols]; null: only the value. It may overwrite `student` or
/// `teacher`.
SOTALIGN_C_API int sotalign_klot_run(sotalign_klot* klot, const sotalign_const_matrix* student,
                                     const sotalign_const_matrix* teacher, const sotalign_matrix* gradient,
                                     double gradient_scale);

/// Waits for the last run. Any of the three pointers may be null.
SOTALIGN_C_API int sotalign_klot_result(sotalign_klot* klot, double* value, sotalign_solve_result* student,
                                        sotalign_solve_result* teacher);

// --- models (train/model.h) -------------------------------------------------------------------------------

/// The modality of rows.
enum sotalign_side { SOTALIGN_IMAGE = 0, SOTALIGN_TEXT = 1 };
/// A model's two maps: the trained heads, and the linear teacher that guided their training.
enum sotalign_projection { SOTALIGN_HEADS = 0, SOTALIGN_TEACHER = 1 };

/// A trained alignment, as `sotalign train` and `sotalign teacher` write it.
typedef struct sotalign_model sotalign_model;

/// Reads a model file (.safetensors).
SOTALIGN_C_API int sotalign_model_load(sotalign_context* context, const char* path, sotalign_model** model);
SOTALIGN_C_API void sotalign_model_destroy(sotalign_model* model);

/// Columns that sotalign_model_embed() reads for a sotalign_side.
SOTALIGN_C_API int sotalign_model_input_dim(const sotalign_model* model, int side, int64_t* dim);
/// Columns that it writes for a sotalign_projection; 0 if the model lacks that projection.
SOTALIGN_C_API int sotalign_model_output_dim(const sotalign_model* model, int projection, int64_t* dim);

/// Maps an encoder's embeddings x [n, input_dim] to unit rows out [n, output_dim] of the shared space, where
/// inner products are cosines. x and out must not overlap.
SOTALIGN_C_API int sotalign_model_embed(sotalign_model* model, int side, int projection,
                                        const sotalign_const_matrix* x, const sotalign_matrix* out);

#ifdef __cplusplus
}
#endif
