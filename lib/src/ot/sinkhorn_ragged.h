// What a solver stores for a ragged batch.
#pragma once

#include <vector>

#include "kernels/entropic_batch.h"
#include "kernels/sinkhorn_plan.h"
#include "sotalign/core/buffer.h"
#include "sotalign/ot/sinkhorn.h"

namespace sotalign::detail {

struct Ragged {
  /// A table with a copy on the device. update() uploads it, and synchronizes, only if it changed.
  template <class T>
  class Mirrored {
   public:
    Mirrored() = default;
    Mirrored(Context& context, const std::vector<T>& values) : host_(values), device_(context, values) {}
    void update(const std::vector<T>& values) {
      if (values == host_) return;
      host_ = values;
      device_.upload(host_.data());
    }
    const T* data() const { return device_.data(); }

   private:
    std::vector<T> host_;
    Buffer<T> device_;
  };

  std::vector<SinkhornShape> shapes;            // [batch]
  std::vector<kernels::ProblemLayout> layouts;  // [batch]; each call fills in the affinities
  std::vector<kernels::PlanLayout> plans;       // [batch]
  Mirrored<kernels::ProblemLayout> solved, planned;
  Mirrored<kernels::PlanLayout> planned_to;
  Buffer<int32_t> chunk_problems;
  int64_t chunks = 0, partials = 0, density_bytes = 0;  // totals

  Ragged(Context& context, const std::vector<SinkhornShape>& shapes);
  /// Sets the affinities and updates the table `on_device`.
  void place(const std::vector<ConstMatrixF>& affinities, Mirrored<kernels::ProblemLayout>& on_device);
  /// Turns `problems`, which have the largest shape, into the ragged batch of `on_device`.
  void apply(kernels::EntropicBatch& problems, const Mirrored<kernels::ProblemLayout>& on_device) const;
};

}  // namespace sotalign::detail
