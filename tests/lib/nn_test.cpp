// The parameter set, and heads against an oracle in double precision with finite-difference gradients.
#include <gtest/gtest.h>

#include <limits>
#include <map>

#include "sotalign/nn/head.h"
#include "support/activations.h"
#include "support/compare.h"
#include "support/devices.h"
#include "support/error_message.h"

namespace sotalign {
namespace lib_nn_test {

using testing::activate;
using testing::error_message;
using testing::kActivations;
using testing::max_difference;
using testing::random_normal;
using testing::relative_l1;

class ParametersTest : public testing::DeviceTest {};
SOTALIGN_ON_EVERY_DEVICE(ParametersTest);

TEST_P(ParametersTest, DecayedTensorsComeFirst) {
  ParameterSet set;
  const Head images({.input_dim = 5, .hidden = {7}, .output_dim = 3}, "image_head", set);
  const int scale = set.add_scalar("log_scale", 3.0f);
  const Head texts({.input_dim = 4, .output_dim = 3}, "text_head", set);
  set.allocate(context);
  std::map<int64_t, std::string> layout;
  for (int i = 0; i < set.count(); ++i) layout[set.offset(i)] = set[i].name;
  EXPECT_EQ(layout, (std::map<int64_t, std::string>{{0, "image_head.0.weight"},
                                                    {35, "image_head.1.weight"},
                                                    {56, "text_head.0.weight"},
                                                    {68, "image_head.0.bias"},
                                                    {75, "image_head.1.bias"},
                                                    {78, "log_scale"},
                                                    {79, "text_head.0.bias"}}));
  EXPECT_EQ(set.decayed_size(), 68);
  EXPECT_EQ(set.size(), 82);
  EXPECT_EQ(set.value(scale).size(), 1);
  const ConstMatrixF weight = set.value(set.find("image_head.1.weight"));
  EXPECT_EQ(weight.data, set.values() + 35);
  EXPECT_EQ(weight.rows, 3);
  EXPECT_EQ(weight.cols, 7);
}

TEST_P(ParametersTest, InitialValuesDependOnSeedAndNameAlone) {
  const auto initial = [&](uint64_t seed, bool with_text_head) {
    ParameterSet set;
    if (with_text_head) Head({.input_dim = 9, .output_dim = 2}, "text_head", set);
    Head({.input_dim = 100, .output_dim = 50}, "image_head", set);
    set.add_scalar("log_scale", 3.0f);
    set.allocate(context);
    set.initialize(seed);
    EXPECT_EQ(set.download("log_scale"), std::vector<float>{3.0f});
    return set.download("image_head.0.weight");
  };
  const std::vector<float> values = initial(1, true);
  EXPECT_EQ(values, initial(1, false));
  EXPECT_NE(values, initial(2, true));
  double sum = 0, squares = 0, largest = 0;
  for (const double v : values) {
    sum += v, squares += v * v;
    largest = std::max(largest, std::abs(v));
  }
  const double count = static_cast<double>(values.size());
  EXPECT_WITHIN(largest, 0.1 * (1 + 1e-6));
  EXPECT_TRUE(largest > 0.0999) << largest;
  EXPECT_WITHIN(std::abs(sum / count), 5 * 0.1 / std::sqrt(3 * count));
  EXPECT_WITHIN(std::abs(squares / count / (0.01 / 3) - 1), 5 * std::sqrt(0.8 / count));
}

TEST_P(ParametersTest, UploadAndDownloadByName) {
  ParameterSet set;
  set.add({.name = "a", .shape = {2, 3}});
  set.add({.name = "b", .shape = {2}});
  EXPECT_EQ(error_message([&] { set.add({.name = "a", .shape = {1}}); }), "parameter 'a': the name is taken");
  EXPECT_EQ(error_message([&] {
              set.add({.name = "c", .shape = {2, 0}});
            }),
            "parameter 'c': expected positive extents, found [2, 0]");
  EXPECT_EQ(error_message([&] { set.download("a"); }), "parameters: allocate() was not called");
  set.allocate(context);
  EXPECT_EQ(error_message([&] { set.allocate(context); }), "parameters: allocate() was called twice");
  EXPECT_EQ(error_message([&] { set.add_scalar("s", 1); }),
            "parameter 's': expected before allocate(), found after it");
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  set.upload("a", values);
  EXPECT_EQ(set.download("a"), values);
  EXPECT_EQ(set.download("b"), (std::vector<float>{0, 0}));
  EXPECT_EQ(error_message([&] { set.upload("b", values); }), "parameter 'b': expected 2 values, found 6");
  EXPECT_EQ(error_message([&] { set.find("x"); }), "parameter 'x': not in this model, which has a, b");
  EXPECT_EQ(error_message([&] { (void)set[2]; }), "parameter index: expected one of 2, found 2");
}

/// The head in double precision, from a ParameterSet's tensors by name.
struct Oracle {
  HeadOptions options;
  std::map<std::string, std::vector<double>> tensors;

  Oracle(const HeadOptions& head_options, const ParameterSet& set) : options(head_options) {
    for (int i = 0; i < set.count(); ++i) {
      const std::vector<float> values = set.download(set[i].name);
      tensors[set[i].name] = {values.begin(), values.end()};
    }
  }

  std::vector<double> unit_rows(const std::vector<float>& x, int64_t rows) const {
    std::vector<int64_t> widths = options.hidden;
    widths.push_back(options.output_dim);
    std::vector<double> input(x.begin(), x.end());
    int64_t in = options.input_dim;
    for (size_t l = 0; l < widths.size(); ++l) {
      const int64_t out = widths[l];
      const std::vector<double>&w = tensors.at("head." + std::to_string(l) + ".weight"),
            &b = tensors.at("head." + std::to_string(l) + ".bias");
      std::vector<double> y(static_cast<size_t>(rows * out));
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < out; ++j) {
          double sum = b[j];
          for (int64_t k = 0; k < in; ++k) sum += input[i * in + k] * w[j * in + k];
          if (l + 1 < widths.size())
            sum = activate(options.activation, sum);
          else if (options.residual)
            for (int64_t k = 0; k < options.input_dim; ++k)
              sum += x[i * options.input_dim + k] *
                     tensors.at("head.residual.weight")[j * options.input_dim + k];
          y[i * out + j] = sum;
        }
      input = y;
      in = out;
    }
    for (int64_t i = 0; i < rows; ++i) {
      double square = 0;
      for (int64_t j = 0; j < in; ++j) square += input[i * in + j] * input[i * in + j];
      for (int64_t j = 0; j < in; ++j) input[i * in + j] *= square > 0 ? 1 / std::sqrt(square) : 0;
    }
    return input;
  }

  /// d/d tensor of sum_ij c_ij unit_ij, by central differences.
  std::vector<double> gradient(const std::string& name, const std::vector<float>& x,
                               const std::vector<float>& c) {
    const int64_t rows = static_cast<int64_t>(c.size()) / options.output_dim;
    const auto loss = [&] {
      const std::vector<double> y = unit_rows(x, rows);
      double sum = 0;
      for (size_t i = 0; i < y.size(); ++i) sum += c[i] * y[i];
      return sum;
    };
    std::vector<double>& tensor = tensors.at(name);
    std::vector<double> result;
    for (double& value : tensor) {
      const double h = 1e-6, saved = value;
      value = saved + h;
      const double above = loss();
      value = saved - h;
      result.push_back((above - loss()) / (2 * h));
      value = saved;
    }
    return result;
  }
};

class HeadTest : public testing::DeviceTest {
 protected:
  struct Model {
    ParameterSet parameters;
    Head head;
    Model(Context& context, const HeadOptions& options, uint64_t seed = 1)
        : head(options, "head", parameters) {
      parameters.allocate(context);
      parameters.initialize(seed);
    }
  };

  /// Forward and backward on host data: returns the unit rows and all gradients concatenated.
  std::pair<std::vector<float>, std::vector<float>> pass(Context& where, Model& model, Activations& saved,
                                                         const std::vector<float>& x,
                                                         const std::vector<float>& c) {
    const HeadOptions& options = model.head.options();
    const int64_t rows = static_cast<int64_t>(c.size()) / options.output_dim;
    const Matrix<float> dx(where, x.data(), rows, options.input_dim);
    const Matrix<float> dc(where, c.data(), rows, options.output_dim);
    const ConstMatrixF unit = model.head.forward(where, model.parameters, dx, saved);
    std::vector<float> y(c.size());
    if (!y.empty()) where.copy_to_host(y.data(), unit.data, y.size() * sizeof(float));
    model.head.backward(where, model.parameters, dx, saved, dc);
    std::vector<float> gradients(static_cast<size_t>(model.parameters.size()));
    where.copy_to_host(gradients.data(), model.parameters.gradients(), gradients.size() * sizeof(float));
    return {y, gradients};
  }

  void check(const HeadOptions& options, int64_t rows) {
    Model model(context, options);
    Activations saved(context, model.head, rows + 5);
    const std::vector<float> x = random_normal(rows * options.input_dim, 11),
                             c = random_normal(rows * options.output_dim, 12);
    Oracle oracle(options, model.parameters);
    // The previous content of the gradient buffer must not matter.
    pass(context, model, saved, random_normal(rows * options.input_dim, 13), c);
    const auto [y, gradients] = pass(context, model, saved, x, c);
    EXPECT_WITHIN(max_difference(y, oracle.unit_rows(x, rows)), 2e-6);
    for (int i = 0; i < model.parameters.count(); ++i) {
      const std::string& name = model.parameters[i].name;
      EXPECT_WITHIN(relative_l1(model.parameters.download_gradient(name), oracle.gradient(name, x, c), 1e-2),
                    5e-6)
          << name << " rows " << rows << " activation " << static_cast<int>(options.activation);
    }
  }
};
SOTALIGN_ON_EVERY_DEVICE(HeadTest);

TEST_P(HeadTest, LinearGradientsAreFiniteDifferences) {
  for (const int64_t rows : {1, 2, 31, 33, 127}) {
    check({.input_dim = 7, .output_dim = 5}, rows);
    check({.input_dim = 1, .output_dim = 2}, rows);
    check({.input_dim = 32, .output_dim = 31}, rows);
  }
}

TEST_P(HeadTest, HiddenLayersGradientsAreFiniteDifferences) {
  for (const Activation activation : kActivations) {
    for (const int64_t rows : {1, 2, 33}) {
      check({.input_dim = 7, .hidden = {11}, .output_dim = 5, .activation = activation}, rows);
      check({.input_dim = 9, .hidden = {13, 5}, .output_dim = 3, .activation = activation}, rows);
    }
    check({.input_dim = 3, .hidden = {4, 9, 1, 6}, .output_dim = 33, .activation = activation}, 31);
  }
}

TEST_P(HeadTest, ResidualGradientsAreFiniteDifferences) {
  for (const Activation activation : kActivations)
    for (const int64_t rows : {1, 33}) {
      check({.input_dim = 7, .hidden = {11}, .output_dim = 5, .activation = activation, .residual = true},
            rows);
      check({.input_dim = 9,
             .hidden = {13, 5, 4},
             .output_dim = 12,
             .activation = activation,
             .residual = true},
            rows);
    }
}

TEST_P(HeadTest, ZeroRowsGiveZeroGradient) {
  const HeadOptions options{.input_dim = 6, .output_dim = 4};
  Model model(context, options);
  model.parameters.upload("head.0.bias", {0, 0, 0, 0});
  Activations saved(context, model.head, 3);
  std::vector<float> x = random_normal(3 * 6, 1);
  std::fill(x.begin() + 6, x.begin() + 12, 0.0f);
  const std::vector<float> c = random_normal(3 * 4, 2);
  const auto [y, gradients] = pass(context, model, saved, x, c);
  EXPECT_EQ(std::vector<float>(y.begin() + 4, y.begin() + 8), std::vector<float>(4));
  // The same data without that row.
  std::vector<float> x2(x.begin(), x.begin() + 6), c2(c.begin(), c.begin() + 4);
  x2.insert(x2.end(), x.begin() + 12, x.end());
  c2.insert(c2.end(), c.begin() + 8, c.end());
  EXPECT_WITHIN(max_difference(gradients, pass(context, model, saved, x2, c2).second), 1e-6);

  model.parameters.upload("head.0.weight", std::vector<float>(24));
  const auto [zeros, no_gradient] = pass(context, model, saved, x, c);
  EXPECT_EQ(zeros, std::vector<float>(12));
  EXPECT_EQ(no_gradient, std::vector<float>(28));
}

TEST_P(HeadTest, NoRowsGiveZeroGradient) {
  for (const std::vector<int64_t>& hidden : {std::vector<int64_t>{}, {5}}) {
    Model model(context, {.input_dim = 6, .hidden = hidden, .output_dim = 4});
    Activations saved(context, model.head, 3);
    pass(context, model, saved, random_normal(12, 1), random_normal(8, 2));
    const std::vector<float> gradients = pass(context, model, saved, {}, {}).second;
    EXPECT_EQ(gradients, std::vector<float>(gradients.size()));
    model.head.embed(context, model.parameters, {nullptr, 0, 6}, {nullptr, 0, 4});
  }
}

TEST_P(HeadTest, NanInputIsNotHidden) {
  for (const Activation activation : kActivations) {
    Model model(context, {.input_dim = 6, .hidden = {5}, .output_dim = 4, .activation = activation});
    Activations saved(context, model.head, 2);
    std::vector<float> x = random_normal(12, 1);
    x[3] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<float> y = pass(context, model, saved, x, random_normal(8, 2)).first;
    for (size_t i = 0; i < 8; ++i) EXPECT_EQ(std::isnan(y[i]), i < 4) << i;
  }
}

TEST_P(HeadTest, EmbedAgreesWithTheOracleAcrossTiles) {
  const int64_t rows = 4096 + 33;
  for (const std::vector<int64_t>& hidden : {std::vector<int64_t>{}, {9}, {9, 17}, {9, 17, 3}})
    for (const Activation activation : kActivations) {
      const HeadOptions options{.input_dim = 7,
                                .hidden = hidden,
                                .output_dim = 5,
                                .activation = activation,
                                .residual = hidden.size() == 2};
      Model model(context, options);
      // Strided input and output: column ranges of wider matrices.
      const std::vector<float> wide = random_normal(rows * 10, 3);
      const Matrix<float> x(context, wide.data(), rows, 10);
      Matrix<float> out(context, rows, 8);
      model.head.embed(context, model.parameters, {x.data(), rows, 7, 10}, {out.data(), rows, 5, 8});
      std::vector<float> dense;
      for (int64_t i = 0; i < rows; ++i)
        dense.insert(dense.end(), wide.begin() + i * 10, wide.begin() + i * 10 + 7);
      const std::vector<double> expected = Oracle(options, model.parameters).unit_rows(dense, rows);
      const std::vector<float> actual = out.download();
      double worst = 0;
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < 8; ++j) {
          const double error = std::abs(actual[i * 8 + j] - (j < 5 ? expected[i * 5 + j] : 0.0));
          if (!(error <= worst)) worst = error;
        }
      // Scaling a short row to unit length magnifies the rounding of its entries.
      EXPECT_WITHIN(worst, 5e-5);
    }
}

TEST_P(HeadTest, RepeatsBitForBitWithoutAllocating) {
  for (const std::vector<int64_t>& hidden : {std::vector<int64_t>{}, {65, 33}}) {
    Model model(context, {.input_dim = 127, .hidden = hidden, .output_dim = 64});
    Activations saved(context, model.head, 500);
    const Matrix<float> x(context, random_normal(500 * 127, 1).data(), 500, 127),
        c(context, random_normal(500 * 64, 2).data(), 500, 64);
    const auto step = [&](int64_t rows) {
      const ConstMatrixF y =
          model.head.forward(context, model.parameters, x.view().row_range(0, rows), saved);
      model.head.backward(context, model.parameters, x.view().row_range(0, rows), saved,
                          c.view().row_range(0, rows));
      std::vector<float> result(static_cast<size_t>(y.size() + model.parameters.size()));
      context.copy_to_host(result.data(), y.data, static_cast<size_t>(y.size()) * sizeof(float));
      context.copy_to_host(result.data() + y.size(), model.parameters.gradients(),
                           static_cast<size_t>(model.parameters.size()) * sizeof(float));
      return result;
    };
    const std::vector<float> first = step(500);
    const int64_t allocations = context.allocations();
    step(123);
    EXPECT_EQ(step(500), first);
    EXPECT_EQ(context.allocations(), allocations);
  }
}

TEST_P(HeadTest, ThreadsChangeNoMoreThanRounding) {
  const HeadOptions options{.input_dim = 127, .hidden = {65}, .output_dim = 64};
  const std::vector<float> x = random_normal(300 * 127, 1), c = random_normal(300 * 64, 2);
  Context single(GetParam(), 1), several(GetParam(), 3);
  Model a(single, options), b(several, options);
  Activations saved_a(single, a.head, 300), saved_b(several, b.head, 300);
  const auto first = pass(single, a, saved_a, x, c), second = pass(several, b, saved_b, x, c);
  EXPECT_WITHIN(relative_l1(second.first, first.first), 1e-6);
  EXPECT_WITHIN(relative_l1(second.second, first.second), 1e-6);
}

TEST_P(HeadTest, BadArgumentsAreNamed) {
  Model model(context, {.input_dim = 6, .hidden = {5}, .output_dim = 4});
  Model other(context, {.input_dim = 6, .hidden = {5}, .output_dim = 4, .activation = Activation::kTanh});
  Activations saved(context, model.head, 3);
  const Matrix<float> x(context, 4, 6), c(context, 4, 4);
  const auto forward = [&](ConstMatrixF input) {
    return error_message([&] { model.head.forward(context, model.parameters, input, saved); });
  };
  EXPECT_EQ(forward(c), "x: expected [4, 6], found [4, 4]");
  EXPECT_EQ(forward(x), "x: expected at most the 3 rows that the activations are sized for, found 4");
  EXPECT_EQ(forward(x.view().row_range(0, 2)), "no exception");
  EXPECT_EQ(error_message(
                [&] { model.head.backward(context, model.parameters, x.view().row_range(0, 2), saved, c); }),
            "d_unit_rows: expected [2, 4], found [4, 4]");
  EXPECT_EQ(error_message([&] { other.head.forward(context, other.parameters, x, saved); }),
            "saved: expected activations made for this head, found those of a different one");
  EXPECT_EQ(error_message([&] { Activations(context, model.head, -1); }),
            "max_rows: expected at least 0, found -1");
  ParameterSet set;
  EXPECT_EQ(error_message([&] { Head({.input_dim = 0, .output_dim = 4}, "h", set); }),
            "h: input_dim: expected at least 1, found 0");
  EXPECT_EQ(error_message([&] {
              Head({.input_dim = 3, .hidden = {2, 0}, .output_dim = 4}, "h", set);
            }),
            "h: layer 1: expected a width of at least 1, found 0");
  ParameterSet another;
  EXPECT_EQ(error_message([&] { Head({.input_dim = 3, .output_dim = 4, .residual = true}, "h", another); }),
            "h: residual: expected hidden layers, found none");
}

}  // namespace lib_nn_test
}  // namespace sotalign
