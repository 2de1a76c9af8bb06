// Retrieval of the linear teacher and of its self-training, pass by pass, on given embeddings. Row i of both
// files is a true pair. Splits rows at random: 400 test pairs, PAIRS training pairs, the rest unpaired, each
// side in an order of its own. Pass 0 is the first teacher. Prints MeanR@1 and MeanR@5 of the test pairs in
// percent, for each seed and as the mean over seeds with its standard error, and the seconds of a pass.
//
//   build/release/bench/self_training IMAGES.npy TEXTS.npy [PAIRS 100] [SEEDS 3] [NAME=VALUE ...]
//
// NAME is a field of SelfTrainingOptions: passes, batch, unpaired_weight, rate, epsilon, ridge,
// correlation_power, dim.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "sotalign/core/error.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/io/embeddings.h"
#include "sotalign/nn/preprocess.h"
#include "sotalign/teacher/self_training.h"

namespace {

using namespace sotalign;

constexpr int64_t kTestPairs = 400;

struct Split {
  Matrix<float> pairs_x, pairs_y, unpaired_x, unpaired_y, test_x, test_y;
};

Matrix<float> rows(Context& context, const HostMatrix& from, const std::vector<int64_t>& index) {
  std::vector<float> values;
  for (const int64_t i : index)
    values.insert(values.end(), from.view().row(i), from.view().row(i) + from.cols());
  return Matrix<float>(context, values.data(), static_cast<int64_t>(index.size()), from.cols());
}

Split split(Context& context, const HostMatrix& x, const HostMatrix& y, int64_t pairs, uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::vector<int64_t> order(static_cast<size_t>(x.rows()));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), engine);
  const auto part = [&](int64_t begin, int64_t end) {
    return std::vector<int64_t>(order.begin() + begin, order.begin() + end);
  };
  const std::vector<int64_t> test = part(0, kTestPairs), train = part(kTestPairs, kTestPairs + pairs);
  std::vector<int64_t> rest = part(kTestPairs + pairs, x.rows());
  Split s;
  s.test_x = rows(context, x, test), s.test_y = rows(context, y, test);
  s.pairs_x = rows(context, x, train), s.pairs_y = rows(context, y, train);
  s.unpaired_x = rows(context, x, rest);
  std::shuffle(rest.begin(), rest.end(), engine);
  s.unpaired_y = rows(context, y, rest);
  for (const auto& [paired, unpaired, queries] :
       {std::tuple{&s.pairs_x, &s.unpaired_x, &s.test_x}, std::tuple{&s.pairs_y, &s.unpaired_y, &s.test_y}}) {
    const Preprocessing mean = fit_preprocessing(context, {*paired, *unpaired});
    for (Matrix<float>* m : {paired, unpaired, queries}) preprocess(context, mean, *m, *m);
  }
  return s;
}

struct Recall {
  double r1 = 0, r5 = 0, seconds = 0;
};
Recall measure(Context& context, const Teacher& teacher, const Split& s) {
  Matrix<float> f(context, s.test_x.rows(), teacher.dim()), g(context, s.test_y.rows(), teacher.dim());
  teacher.project(context, Side::kX, s.test_x, f);
  teacher.project(context, Side::kY, s.test_y, g);
  const RetrievalResult r = retrieval(context, f, g);
  return {100 * r.mean_r1, 50 * (r.image_to_text.r5 + r.text_to_image.r5), 0};
}

void set(SelfTrainingOptions& o, const std::string& name, double value) {
  const auto whole = static_cast<int64_t>(value);
  if (name == "passes")
    o.passes = whole;
  else if (name == "batch")
    o.batch = whole;
  else if (name == "unpaired_weight")
    o.unpaired_weight = value;
  else if (name == "rate")
    o.rate = value;
  else if (name == "epsilon")
    o.epsilon = value;
  else if (name == "ridge")
    o.ridge = value;
  else if (name == "correlation_power")
    o.correlation_power = value;
  else if (name == "dim")
    o.dim = whole;
  else
    throw InvalidArgument(fmt::format("option: expected a field of SelfTrainingOptions, found '{}'", name));
}

int run(const std::vector<std::string>& arguments) {
  std::vector<std::string> plain;
  SelfTrainingOptions options;
  for (const std::string& argument : arguments)
    if (const size_t equal = argument.find('='); equal == std::string::npos)
      plain.push_back(argument);
    else
      set(options, argument.substr(0, equal), std::stod(argument.substr(equal + 1)));
  if (plain.size() < 2 || plain.size() > 4)
    throw InvalidArgument("usage: self_training IMAGES TEXTS [PAIRS] [SEEDS] [NAME=VALUE ...]");
  const HostMatrix x = read_matrix(plain[0]), y = read_matrix(plain[1]);
  const int64_t pairs = plain.size() > 2 ? std::stoll(plain[2]) : 100,
                seeds = plain.size() > 3 ? std::stoll(plain[3]) : 3;
  if (x.rows() != y.rows() || pairs < 2 || x.rows() <= kTestPairs + pairs || seeds < 1)
    throw InvalidArgument(
        fmt::format("expected row-wise pairs, more than {}, and at least one seed, found {} and "
                    "{} rows, {} seeds",
                    kTestPairs + pairs, x.rows(), y.rows(), seeds));
  Context context;
  std::vector<std::vector<Recall>> passes;  // [pass][seed]
  fmt::print(
      "seed pass MeanR@1 MeanR@5 seconds iterations status     matches change correlations transport\n");
  for (int64_t seed = 0; seed < seeds; ++seed) {
    const Split s = split(context, x, y, pairs, static_cast<uint64_t>(seed));
    options.seed = static_cast<uint64_t>(seed);
    SelfTraining training(context, s.pairs_x, s.pairs_y, s.unpaired_x, s.unpaired_y, options);
    passes.resize(static_cast<size_t>(options.passes) + 1);
    for (size_t pass = 0; pass < passes.size(); ++pass) {
      const auto start = std::chrono::steady_clock::now();
      if (pass > 0) training.pass();
      const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      Recall r = measure(context, training.teacher(), s);
      r.seconds = seconds;
      passes[pass].push_back(r);
      const PassReport& p = training.last();
      fmt::print("{:4} {:4} {:7.1f} {:7.1f} {:7.2f} {:10} {:10} {:7.1f} {:6.3f} {:12.2f} {:9.4f}\n", seed,
                 pass, r.r1, r.r5, seconds, p.sinkhorn.iterations, to_string(p.sinkhorn.status),
                 p.effective_matches, p.change, p.correlation_sum, p.transport);
    }
  }
  const auto mean = [](const std::vector<Recall>& of, double Recall::*field) {
    double sum = 0;
    for (const Recall& r : of) sum += r.*field;
    return sum / static_cast<double>(of.size());
  };
  fmt::print("mean pass MeanR@1 (standard error) MeanR@5 seconds\n");
  for (size_t pass = 0; pass < passes.size(); ++pass) {
    const double r1 = mean(passes[pass], &Recall::r1), n = static_cast<double>(seeds);
    double squares = 0;
    for (const Recall& r : passes[pass]) squares += (r.r1 - r1) * (r.r1 - r1);
    const double error = seeds > 1 ? std::sqrt(squares / (n - 1) / n) : 0;
    fmt::print("mean {:4} {:7.1f} {:16.1f} {:8.1f} {:7.2f}\n", pass, r1, error,
               mean(passes[pass], &Recall::r5), mean(passes[pass], &Recall::seconds));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "self_training: {}\n", error.what());
    return 2;
  }
}
