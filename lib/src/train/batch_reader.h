// Reads the streamed rows of each training step ahead of time, in a thread of its own.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "core/early_copies.h"
#include "sotalign/core/context.h"
#include "sotalign/io/embedding_rows.h"

namespace sotalign::detail {

/// While the device works on a step, the thread gathers the raw rows of the next one in the other of two
/// slots.
class BatchReader {
 public:
  /// Chooses the rows of a step. Called by the thread.
  using Pick = std::function<void(int64_t step, std::vector<int64_t>& images, std::vector<int64_t>& texts)>;
  struct Setup {
    EmbeddingRows images, texts;
    int64_t batch_images = 0, batch_texts = 0;  ///< rows of a step
    int64_t steps = 0;                          ///< no row is read for a step from this number on
    Pick pick;
  };
  struct Batch {
    ConstMatrixF images, texts;  ///< raw rows, in the memory of the context
  };

  /// The context must outlive the reader. Throws OutOfMemory.
  BatchReader(Context& context, Setup setup);
  /// Bytes that a reader of batches with so many numbers takes from the context, and on CUDA on the host as
  /// well.
  static int64_t memory_bytes(int64_t floats);
  ~BatchReader();
  BatchReader(const BatchReader&) = delete;
  BatchReader& operator=(const BatchReader&) = delete;

  /// The rows of `step`, valid for work that is queued before done(). Waits for the thread, and starts it on
  /// step + 1. Steps need not follow each other, but are ready only if they do. Throws what
  /// EmbeddingRows::gather() does; the next call then reads again.
  Batch take(int64_t step);
  /// All work that reads the batch is queued.
  void done();

 private:
  static constexpr int64_t kNone = -1, kSlots = 2;
  static int64_t slot_of(int64_t step) { return step % kSlots; }
  /// Starts the thread on a step. Precondition: it is idle.
  void request(int64_t step);
  void run();
  void gather(int64_t step, float* to);

  Setup setup_;
  std::unique_ptr<EarlyCopies> copies_;
  int64_t taken_ = kNone;                // the step of the last take()
  std::vector<int64_t> images_, texts_;  // the thread's

  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t wanted_ = kNone, ready_ = kNone;  // steps
  float* to_ = nullptr;                     // where `wanted_` goes
  std::exception_ptr error_;                // of the step `ready_`
  bool stop_ = false;
  std::thread thread_;  // last: it uses all others
};

}  // namespace sotalign::detail
