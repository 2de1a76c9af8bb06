#include "sotalign/train/siglip_term.h"

#include "sotalign/core/checked.h"
#include "sotalign/loss/siglip.h"
#include "sotalign/train/plan.h"
#include "train/methods.h"

namespace sotalign {

SiglipTerm::SiglipTerm(Context& context, int64_t rows, int64_t cols, int64_t pairs)
    : context_(&context),
      pairs_(pairs),
      affinity_(context, rows, cols, "affinity for SigLIP"),
      value_(context, 1) {}

int64_t SiglipTerm::memory_bytes(int64_t rows, int64_t cols) {
  return checked_product("affinity for SigLIP", checked_product("affinity for SigLIP", rows, cols),
                         sizeof(float)) +
         static_cast<int64_t>(sizeof(double));
}

void SiglipTerm::run(ParameterSet& parameters, ConstMatrixF f, ConstMatrixF g, MatrixF d_f, MatrixF d_g,
                     double weight, Write write) {
  const int64_t scale = parameters.offset(parameters.find("log_scale")),
                bias = parameters.offset(parameters.find("bias"));
  cosines(*context_, f, g, affinity_);
  siglip_of_cosines(
      *context_, affinity_, parameters.values() + scale, parameters.values() + bias,
      {.pairs = pairs_, .weight = static_cast<float>(weight), .add_grad_parameters = write == Write::kAdd},
      {.grad_k = affinity_,
       .value = value_.data(),
       .grad_log_scale = parameters.gradients() + scale,
       .grad_bias = parameters.gradients() + bias});
  cosines_backward(*context_, f, g, affinity_, d_f, d_g, write);
}

void SiglipTerm::run_on_pairs(const Step& step) {
  const StepRows &image = step.image, &text = step.text;
  run(step.parameters, image.paired(image.f), text.paired(text.f), image.paired(image.d_f),
      text.paired(text.d_f));
}

void detail::plan_siglip(TrainingPlan& plan, const char* name, int64_t rows, int64_t cols) {
  plan.add_bytes(name, SiglipTerm::memory_bytes(rows, cols));
  plan.products.push_back({.name = "SigLIP", .m = rows, .n = cols, .k = plan.step.dim, .count = 3});
  plan.siglip_entries += static_cast<double>(rows) * static_cast<double>(cols);
  plan.objective_known = true;
}

}  // namespace sotalign
