#include "sotalign/train/step_time.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>

#include "sotalign/core/error.h"
#include "sotalign/core/product_math.h"
#include "sotalign/core/random.h"
#include "sotalign/linalg/gemm.h"
#include "sotalign/loss/siglip.h"
#include "sotalign/ot/embedding_klot.h"
#include "train/teacher_heads.h"

namespace sotalign {

namespace {

// What is measured is no larger than this.
constexpr double kMostOperations = 2e9;  // of the forward pass of a head
constexpr int64_t kMostProductRows = 1024, kMostSiglipRows = 2048, kMostKlotRows = 4096,
                  kMostStreamedRows = 512;
constexpr int64_t kKlotDim = 8;                               // its products take no time
constexpr int64_t kFewIterations = 10, kManyIterations = 30;  // enough to be worth a density
constexpr StepIterations kTypical{.student = 5, .teacher = 20};

/// Median of three, after a first run that allocates.
template <class Function>
double seconds_of(Context& context, Function&& run) {
  std::array<double, 3> times{};
  run();
  context.synchronize();
  for (double& time : times) {
    const auto start = std::chrono::steady_clock::now();
    run();
    context.synchronize();
    time = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  std::sort(times.begin(), times.end());
  return times[1];
}

Matrix<float> unit_rows(Context& context, int64_t rows, int64_t cols, const char* stream) {
  const RandomStream random(0, stream_id(stream));
  std::vector<float> values(static_cast<size_t>(rows * cols));
  for (size_t i = 0; i < values.size(); ++i) values[i] = 2 * random.uniform(i) - 1;
  for (int64_t i = 0; i < rows; ++i) {
    float* row = values.data() + i * cols;
    double square = 1e-30;
    for (int64_t j = 0; j < cols; ++j) square += static_cast<double>(row[j]) * static_cast<double>(row[j]);
    for (int64_t j = 0; j < cols; ++j) row[j] = static_cast<float>(row[j] / std::sqrt(square));
  }
  return Matrix<float>(context, values.data(), rows, cols, "synthetic rows");
}

std::string rate(double operations, double seconds) {
  return fmt::format("{:.3g} GFLOP at {:.3g} GFLOP/s", operations * 1e-9, operations / seconds * 1e-9);
}

double ratio(int64_t all, int64_t measured) {
  return static_cast<double>(all) / static_cast<double>(measured);
}

class Measurement {
 public:
  Measurement(Context& context, const TrainingPlan& plan)
      : context_(context), plan_(plan), options_(plan.options), step_(plan.step) {}

  StepTime run() {
    const ProductMathScope math(context_, options_.math);
    heads();
    products();
    siglip();
    batches();
    if (plan_.has_klot) klot();
    return std::move(time_);
  }

 private:
  void add(std::string name, double seconds, std::string how) {
    time_.parts.push_back({std::move(name), seconds, std::move(how)});
  }

  /// Forward and backward pass of both heads, and the update.
  void heads() {
    ParameterSet parameters;
    const Head image(head_options(options_, step_.image_dim), "image_head", parameters),
        text(head_options(options_, step_.text_dim), "text_head", parameters);
    detail::add_loss_parameters(parameters);
    parameters.allocate(context_);
    parameters.initialize(0);
    double operations = 0, seconds = 0;
    const auto measure = [&](const Head& head, int64_t rows) {
      const double each = forward_operations(head);
      const int64_t most = std::max<int64_t>(64, static_cast<int64_t>(kMostOperations / each)),
                    measured = std::min(rows, most);
      const Matrix<float> x = unit_rows(context_, measured, head.options().input_dim, "plan.rows"),
                          d = unit_rows(context_, measured, step_.dim, "plan.gradients");
      Activations saved(context_, head, measured);
      seconds += ratio(rows, measured) * seconds_of(context_, [&] {
                   head.forward(context_, parameters, x, saved);
                   head.backward(context_, parameters, x, saved, d);
                 });
      // The backward pass has as many products as the forward pass for weights, and again for inputs, but not
      // for those of the first layer and of the residual map.
      operations += static_cast<double>(rows) * (3 * each - input_operations(head));
    };
    measure(image, step_.batch_images());
    measure(text, step_.batch_texts());
    add("heads", seconds, rate(operations, seconds));
    Optimizer optimizer(context_, parameters.size(), options_.optimizer);
    add("update",
        seconds_of(context_,
                   [&] {
                     optimizer.step(parameters.values(), parameters.gradients(), parameters.size(),
                                    parameters.decayed_size(), 0.0);
                   }),
        fmt::format("{} parameters", parameters.size()));
  }

  /// Operations for one row.
  static double forward_operations(const Head& head) {
    const HeadOptions& o = head.options();
    int64_t sum = o.residual ? o.input_dim * o.output_dim : 0, inputs = o.input_dim;
    for (const int64_t width : o.hidden) sum += inputs * width, inputs = width;
    return 2.0 * static_cast<double>(sum + inputs * o.output_dim);
  }
  /// Operations for one row that read the head's input.
  static double input_operations(const Head& head) {
    const HeadOptions& o = head.options();
    const int64_t first = o.hidden.empty() ? o.output_dim : o.hidden.front();
    return 2.0 * static_cast<double>(o.input_dim * (first + (o.residual ? o.output_dim : 0)));
  }

  /// Affinities and their gradients.
  void products() {
    double operations = 0;
    const PlannedProduct* largest = nullptr;
    for (const PlannedProduct& product : plan_.products) {
      operations += product.operations();
      if (largest == nullptr || product.operations() > largest->operations()) largest = &product;
    }
    if (largest == nullptr) return;
    const int64_t m = std::min(largest->m, kMostProductRows), n = std::min(largest->n, kMostProductRows);
    const Matrix<float> x = unit_rows(context_, m, largest->k, "plan.x"),
                        y = unit_rows(context_, n, largest->k, "plan.y");
    Matrix<float> k(context_, m, n, "affinity"), dx(context_, m, largest->k, "gradient");
    const double measured = seconds_of(context_, [&] {
      gemm(context_, Op::kNone, Op::kTranspose, 1.0f, x, y, 0.0f, k);
      gemm(context_, Op::kNone, Op::kNone, 1.0f, k, y, 0.0f, dx);
    });
    const PlannedProduct both{.name = "", .m = m, .n = n, .k = largest->k, .count = 2};
    const double seconds = operations * measured / both.operations();
    add("affinities", seconds, rate(operations, seconds));
  }

  void siglip() {
    if (plan_.siglip_entries == 0) return;
    const int64_t rows = std::min(step_.pairs, kMostSiglipRows);
    Matrix<float> k(context_, rows, rows, "affinity");
    const Buffer<float> parameters(context_, {3.0f, -10.0f}, "siglip parameters");
    Buffer<float> gradients(context_, 2, "siglip parameter gradients");
    Buffer<double> value(context_, 1, "siglip value");
    const double measured = seconds_of(context_, [&] {
      siglip_of_cosines(context_, k, parameters.data(), parameters.data() + 1, {},
                        {.grad_k = k,
                         .value = value.data(),
                         .grad_log_scale = gradients.data(),
                         .grad_bias = gradients.data() + 1});
    });
    const double entries = static_cast<double>(rows) * static_cast<double>(rows);
    add("SigLIP", measured * plan_.siglip_entries / entries,
        fmt::format("{:.3g} million entries at {:.3g} ns", plan_.siglip_entries * 1e-6,
                    measured / entries * 1e9));
  }

  /// Rows are gathered into a batch.
  void batches() {
    constexpr size_t kBytes = size_t{16} << 20;
    Buffer<float> from(context_, kBytes / sizeof(float)), to(context_, kBytes / sizeof(float));
    const double per_byte =
        seconds_of(context_, [&] { context_.copy_on_device(to.data(), from.data(), kBytes); }) /
        static_cast<double>(kBytes);
    const double bytes =
        static_cast<double>(sizeof(float)) *
        static_cast<double>(step_.batch_images() * step_.image_dim + step_.batch_texts() * step_.text_dim);
    add("batches", bytes * per_byte,
        fmt::format("{:.3g} MB copied at {:.3g} GB/s", bytes * 1e-6, 1e-9 / per_byte));
  }

  /// The fixed part of KLOT, and an iteration: two runs differ only in the number of iterations.
  void klot() {
    const KlotMemory memory = plan_.affinity_memory->memory;
    // Streamed iterations have products of their own: these are measured with their true dimensions.
    const bool streamed = memory == KlotMemory::kStreamed;
    const int64_t most = streamed ? kMostStreamedRows : kMostKlotRows, dim = streamed ? step_.dim : kKlotDim,
                  teacher_dim = streamed ? step_.teacher_dim : kKlotDim;
    const int64_t rows = std::min(step_.unpaired_images, most), cols = std::min(step_.unpaired_texts, most);
    const double scale = ratio(step_.unpaired_images, rows) * ratio(step_.unpaired_texts, cols);
    const bool keeps_teacher = step_.all_unpaired;
    const Matrix<float> x = unit_rows(context_, rows, dim, "plan.x"),
                        y = unit_rows(context_, cols, dim, "plan.y"),
                        teacher_x = unit_rows(context_, rows, teacher_dim, "plan.teacher_x"),
                        teacher_y = unit_rows(context_, cols, teacher_dim, "plan.teacher_y");
    Matrix<float> dx(context_, rows, dim), dy(context_, cols, dim);
    const auto measure = [&](int64_t iterations, int64_t& done) {
      KlotOptions o = options_.divergence.klot();
      for (SolveOptions* solve : {&o.student, &o.teacher}) {
        solve->iterations = iterations;
        if (solve->tolerance > 0) solve->tolerance = 1e-30;  // checks, and goes on
      }
      EmbeddingKlot klot(context_, rows, cols, o, memory);
      if (keeps_teacher) klot.keep_teacher();
      const double seconds = seconds_of(context_, [&] { klot.run({x, y}, {teacher_x, teacher_y}, dx, dy); });
      const KlotResult result = klot.result();
      done = result.student.iterations + (keeps_teacher ? 0 : result.teacher.iterations);
      return seconds;
    };
    int64_t few = 0, many = 0;
    const double short_run = measure(streamed ? 2 : kFewIterations, few),
                 long_run = measure(streamed ? 6 : kManyIterations, many);
    double iteration =
        std::max(0.0, (long_run - short_run) / static_cast<double>(std::max<int64_t>(many - few, 1)));
    const double fixed = std::max(0.0, short_run - static_cast<double>(few) * iteration);
    add("value and gradient of KLOT", fixed * scale,
        fmt::format("without its {}iterations, affinities {}", streamed ? "" : "products and ",
                    to_string(memory)));
    iteration *= scale;
    const double entries =
        static_cast<double>(step_.unpaired_images) * static_cast<double>(step_.unpaired_texts);
    time_.seconds_per_iteration = iteration;
    time_.iteration_bytes = streamed                        ? 0
                            : memory == KlotMemory::kStored ? entries * sizeof(float)
                                                            : entries * sizeof(int16_t);
    const auto typical = [](const SolveOptions& solve, int64_t count) {
      return solve.tolerance > 0 ? std::min(count, solve.iterations) : solve.iterations;
    };
    const DivergenceOptions& o = options_.divergence;
    time_.most = {.student = o.student.iterations, .teacher = keeps_teacher ? 0 : o.teacher.iterations};
    time_.typical = {.student = typical(o.student, kTypical.student),
                     .teacher = keeps_teacher ? 0 : typical(o.teacher, kTypical.teacher)};
  }

  Context& context_;
  const TrainingPlan& plan_;
  const TrainOptions& options_;
  const StepShape& step_;
  StepTime time_;
};

}  // namespace

double StepTime::seconds_without_sinkhorn() const {
  double sum = 0;
  for (const StepPart& part : parts) sum += part.seconds;
  return sum;
}

StepTime predict_step_time(Context& context, const TrainingPlan& plan) {
  if (!plan.objective_known)
    throw InvalidArgument(
        fmt::format("plan: the time of a step of {} is not known", find_method(plan.options.method).title));
  return Measurement(context, plan).run();
}

}  // namespace sotalign
