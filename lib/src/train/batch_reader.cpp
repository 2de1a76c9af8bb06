#include "train/batch_reader.h"

#include <fmt/format.h>

#include <system_error>
#include <utility>

#include "sotalign/core/checked.h"
#include "sotalign/core/error.h"

namespace sotalign::detail {

namespace {

size_t floats(const BatchReader::Setup& s) {
  return static_cast<size_t>(s.batch_images * s.images.cols() + s.batch_texts * s.texts.cols());
}

}  // namespace

BatchReader::BatchReader(Context& context, Setup setup)
    : setup_(std::move(setup)), copies_(make_early_copies(context, floats(setup_) * sizeof(float), kSlots)) {
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw Error(fmt::format("cannot start the thread that reads batches: {}", error.what()));
  }
}

int64_t BatchReader::memory_bytes(int64_t floats) {
  return checked_product("batches on their way", floats, kSlots * static_cast<int64_t>(sizeof(float)));
}

BatchReader::~BatchReader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BatchReader::request(int64_t step) {
  auto* to = static_cast<float*>(copies_->host(slot_of(step)));
  {
    const std::lock_guard lock(mutex_);
    wanted_ = step, to_ = to, error_ = nullptr, ready_ = kNone;
  }
  changed_.notify_all();
}

BatchReader::Batch BatchReader::take(int64_t step) {
  std::unique_lock lock(mutex_);
  const auto wait = [&] { changed_.wait(lock, [&] { return wanted_ == kNone; }); };
  wait();
  if (ready_ != step) {  // the first step, or the one after a checkpoint was loaded
    lock.unlock();
    request(step);
    lock.lock();
    wait();
  }
  if (error_) {
    ready_ = kNone;
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
  lock.unlock();
  const auto* rows = static_cast<const float*>(copies_->begin(slot_of(step)));
  taken_ = step;
  if (step + 1 < setup_.steps) request(step + 1);
  const ConstMatrixF images(rows, setup_.batch_images, setup_.images.cols()),
      texts(rows + images.size(), setup_.batch_texts, setup_.texts.cols());
  return {images, texts};
}

void BatchReader::done() { copies_->end(slot_of(taken_)); }

void BatchReader::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || wanted_ != kNone; });
    if (stop_) return;
    const int64_t step = wanted_;
    float* to = to_;
    lock.unlock();
    std::exception_ptr error;
    try {
      gather(step, to);
    } catch (...) {
      error = std::current_exception();
    }
    lock.lock();
    wanted_ = kNone, ready_ = step, error_ = error;
    changed_.notify_all();
  }
}

void BatchReader::gather(int64_t step, float* to) {
  setup_.pick(step, images_, texts_);
  setup_.images.gather(images_.data(), setup_.batch_images, to);
  setup_.texts.gather(texts_.data(), setup_.batch_texts, to + setup_.batch_images * setup_.images.cols());
}

}  // namespace sotalign::detail
