#include "train/teacher_heads.h"

#include <fmt/format.h>

#include <cmath>

namespace sotalign::detail {

namespace {

// Root mean square of the weights of a head that starts from the teacher. Cosines do not depend on it, but
// Lion's updates have a constant magnitude: at this scale, learning rates for random heads work here, too.
constexpr double kTeacherWeightScale = 0.02;

void set_head(ParameterSet& parameters, const std::string& head, const HeadOptions& options,
              const Matrix<float>& projection, const Buffer<float>& mean_buffer) {
  const int64_t inputs = projection.rows(), columns = projection.cols(), outputs = options.output_dim;
  const std::vector<float> w = projection.download(), mean = mean_buffer.download();
  double squares = 0;
  for (const float x : w) squares += static_cast<double>(x) * static_cast<double>(x);
  const double scale = kTeacherWeightScale / std::sqrt(squares / static_cast<double>(w.size()));
  std::vector<float> weight(static_cast<size_t>(inputs * outputs)), bias(static_cast<size_t>(outputs));
  for (int64_t o = 0; o < columns; ++o) {
    double sum = 0;
    for (int64_t i = 0; i < inputs; ++i) {
      const double value = scale * static_cast<double>(w[i * columns + o]);
      weight[o * inputs + i] = static_cast<float>(value);
      sum += value * static_cast<double>(mean[i]);
    }
    bias[o] = static_cast<float>(-sum);
  }
  const std::string last = fmt::format("{}.{}", head, options.hidden.size());
  parameters.upload(last + ".bias", bias);
  parameters.upload(options.residual ? head + ".residual.weight" : last + ".weight", weight);
  if (options.residual)
    parameters.upload(last + ".weight",
                      std::vector<float>(static_cast<size_t>(outputs * options.hidden.back())));
}

}  // namespace

HeadOptions head_options(const TrainOptions& options, int64_t input_dim) {
  return {.input_dim = input_dim,
          .hidden = options.hidden,
          .output_dim = options.dim,
          .activation = options.activation,
          .residual = options.residual};
}

void set_teacher_heads(ParameterSet& parameters, const TrainOptions& options, const Teacher& teacher) {
  const auto set = [&](const char* head, const Matrix<float>& projection, const Buffer<float>& mean) {
    set_head(parameters, head, head_options(options, projection.rows()), projection, mean);
  };
  set("image_head", teacher.wx, teacher.mean_x);
  set("text_head", teacher.wy, teacher.mean_y);
}

}  // namespace sotalign::detail
