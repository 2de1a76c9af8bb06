#include "sotalign/train/model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/text.h"
#include "sotalign/core/error.h"
#include "sotalign/io/json_text.h"
#include "sotalign/io/safetensors.h"
#include "sotalign/linalg/row_products.h"
#include "train/bank_file.h"
#include "train/finite.h"
#include "train/model_tensors.h"
#include "train/teacher_heads.h"

namespace sotalign {

using namespace detail;

namespace {

constexpr const char* kModelFormat = "sotalign-model-2";
constexpr const char* kModelFormatWithoutChecksums = "sotalign-model-1";  // sotalign 0.1
constexpr int64_t kEmbedTile = 4096;                                      // rows preprocessed at a time

const char* side_name(Side side) { return side == Side::kX ? "image" : "text"; }

// The file says in words what embed() computes, for readers of the file that have no other source.
constexpr const char* kTermsText =
    "SIDE is image or text; x is a row; unit(v) = v / |v|, and 0 stays 0; weights of heads are [out, in], "
    "those of the teacher [in, out]";
constexpr const char* kHeadsText =
    "z = unit(x - SIDE.mean); h = z; for each layer l from 0: h = h @ SIDE_head.l.weight.T + "
    "SIDE_head.l.bias, then the activation unless l is the last; if there is SIDE_head.residual.weight: "
    "h = h + z @ SIDE_head.residual.weight.T; result: unit(h)";
constexpr const char* kActivationsText =
    "activation_name of SIDE_head; none: x; relu: max(x, 0); gelu: x (1 + erf(x / sqrt(2))) / 2; tanh: "
    "tanh(x)";
constexpr const char* kTeacherText =
    "z = unit(x - SIDE.mean); result: unit((z - teacher.SIDE.mean) @ teacher.SIDE.weight)";

std::string head_to_json(const HeadOptions& o) {
  return nlohmann::json{{"input_dim", o.input_dim},
                        {"hidden", o.hidden},
                        {"output_dim", o.output_dim},
                        {"activation", static_cast<int>(o.activation)},
                        {"activation_name", to_string(o.activation)},
                        {"residual", o.residual}}
      .dump();
}

// `where` names the file and the head in errors. Allows at most `most_layers` hidden layers: the file has no
// tensors for more.
HeadOptions head_from_json(const std::string& where, const std::string& text, int64_t most_layers) {
  const auto fail = [&](const char* key, const std::string& expected) {
    throw IoError(fmt::format("{}: {}: expected {}", where, key, expected));
  };
  check_json_text(text, where, 3);
  const nlohmann::json json = nlohmann::json::parse(text);
  const auto member = [&](const char* key) {
    return json.is_object() && json.contains(key) ? json[key] : nlohmann::json();
  };
  const auto integer = [&](const char* key, const nlohmann::json& value, int64_t least, int64_t most) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() < static_cast<uint64_t>(least) ||
        value.get<uint64_t>() > static_cast<uint64_t>(most))
      fail(key, fmt::format("an integer from {} to {}", least, most));
    return value.get<int64_t>();
  };
  constexpr int64_t kWidest = std::numeric_limits<int64_t>::max();

  HeadOptions options;
  options.input_dim = integer("input_dim", member("input_dim"), 1, kWidest);
  options.output_dim = integer("output_dim", member("output_dim"), 1, kWidest);
  const nlohmann::json hidden = member("hidden"), residual = member("residual");
  if (!hidden.is_array() || static_cast<int64_t>(hidden.size()) > most_layers)
    fail("hidden", fmt::format("a list of at most {} widths", most_layers));
  for (const nlohmann::json& width : hidden) options.hidden.push_back(integer("hidden", width, 1, kWidest));
  options.activation = static_cast<Activation>(
      integer("activation", member("activation"), 0, static_cast<int64_t>(Activation::kTanh)));
  if (!residual.is_null() && !residual.is_boolean()) fail("residual", "true or false");
  options.residual = residual == true;
  return options;
}

}  // namespace

// SigLIP's logits: t cosine + c with t = exp(log_scale). c starts at -10 as in Zhai et al. 2023, t at 20.
void detail::add_loss_parameters(ParameterSet& parameters) {
  parameters.add_scalar("log_scale", static_cast<float>(std::log(20.0)));
  parameters.add_scalar("bias", -10.0f);
}

Model::Model(Context& context, const HeadOptions& image, const HeadOptions& text, uint64_t seed)
    : Model(context) {
  add_heads(image, text);
  parameters.allocate(*context_);
  parameters.initialize(seed);
}

Model::Model(Context& context, Teacher fitted) : Model(context) { teacher = std::move(fitted); }

void Model::add_heads(const HeadOptions& image, const HeadOptions& text) {
  if (image.output_dim != text.output_dim)
    throw InvalidArgument(fmt::format("heads: expected one output dimension, found {} and {}",
                                      image.output_dim, text.output_dim));
  heads_.emplace_back(image, "image_head", parameters);
  heads_.emplace_back(text, "text_head", parameters);
  detail::add_loss_parameters(parameters);
}

bool Model::has(Projection projection) const {
  return projection == Projection::kHeads ? !heads_.empty() : teacher.has_value();
}

int64_t Model::input_dim(Side side) const {
  if (!heads_.empty()) return head(side).options().input_dim;
  return side == Side::kX ? teacher->wx.rows() : teacher->wy.rows();
}

int64_t Model::dim(Projection projection) const {
  if (!has(projection))
    throw InvalidArgument(projection == Projection::kHeads
                              ? "projection: this model is a teacher alone, it has no heads"
                              : "projection: this model was saved without a teacher");
  return projection == Projection::kHeads ? heads_[0].options().output_dim : teacher->dim();
}

void Model::check_embed(Side side, Projection projection, ConstMatrixF x, MatrixF out) const {
  if (x.cols != input_dim(side))
    throw InvalidArgument(fmt::format("{} embeddings: the model expects {} columns, found {}",
                                      side_name(side), input_dim(side), x.cols));
  if (out.rows != x.rows || out.cols != dim(projection))
    throw InvalidArgument(fmt::format("output: expected [{}, {}], found [{}, {}]", x.rows, dim(projection),
                                      out.rows, out.cols));
}

void Model::embed(Side side, Projection projection, ConstMatrixF x, MatrixF out) const {
  check_embed(side, projection, x, out);
  const Preprocessing& preprocessing = side == Side::kX ? image_preprocessing : text_preprocessing;
  for (int64_t first = 0; first < x.rows; first += kEmbedTile) {
    const int64_t rows = std::min(kEmbedTile, x.rows - first);
    Workspace workspace(*context_);
    const MatrixF prepared = workspace.take_matrix<float>(rows, x.cols);
    preprocess(*context_, preprocessing, x.row_range(first, rows), prepared);
    embed_preprocessed(side, projection, prepared, out.row_range(first, rows));
  }
}

void Model::embed_preprocessed(Side side, Projection projection, ConstMatrixF x, MatrixF out) const {
  check_embed(side, projection, x, out);
  if (projection == Projection::kHeads) {
    head(side).embed(*context_, parameters, x, out);
  } else {
    teacher->project(*context_, side, x, out);
  }
}

HubnessCorrection Model::make_bank(Projection projection, const RowSet& images, const RowSet& texts,
                                   const HubnessOptions& options) const {
  const auto embedded = [&](Side side, const RowSet& x) {
    const std::vector<int64_t> index = hubness_bank_rows(side, x.rows(), options);
    Workspace workspace(*context_);
    const MatrixF rows = workspace.take_matrix<float>(static_cast<int64_t>(index.size()), x.cols());
    x.gather(*context_, index, rows);
    Matrix<float> out(*context_, rows.rows, dim(projection), "bank");
    embed_preprocessed(side, projection, rows, out);
    return out;
  };
  return HubnessCorrection(*context_, embedded(Side::kX, images), embedded(Side::kY, texts), options);
}

Projection Model::hubness_projection() const {
  return has(Projection::kHeads) ? Projection::kHeads : Projection::kTeacher;
}

void Model::save(const std::string& path, const std::map<std::string, std::string>& notes) const {
  SafetensorsWriter writer;
  std::vector<std::vector<float>> kept;  // the writer points into these until write()
  std::optional<BankTensors> bank;       // and into this
  const auto add = [&](const std::string& name, std::vector<int64_t> shape, std::vector<float> values) {
    if (const auto bad = detail::first_not_finite(values))
      throw NumericalError(fmt::format("{}: not written: entry {} of '{}' is not finite", path, *bad, name));
    kept.push_back(std::move(values));
    writer.add(name, std::move(shape), kept.back().data());
  };
  for (const auto& [key, value] : notes) writer.set_metadata(key, value);
  writer.set_metadata("format", kModelFormat);
  writer.set_metadata("formula.terms", kTermsText);
  writer.add_checksums();
  add("image.mean", {static_cast<int64_t>(image_preprocessing.mean.size())}, image_preprocessing.mean);
  add("text.mean", {static_cast<int64_t>(text_preprocessing.mean.size())}, text_preprocessing.mean);
  if (has(Projection::kHeads)) {
    writer.set_metadata("image_head", head_to_json(heads_[0].options()));
    writer.set_metadata("text_head", head_to_json(heads_[1].options()));
    writer.set_metadata("formula.heads", kHeadsText);
    writer.set_metadata("formula.activation", kActivationsText);
    for (int i = 0; i < parameters.count(); ++i)
      add(parameters[i].name, parameters[i].shape, parameters.download(parameters[i].name));
  }
  if (teacher) {
    writer.set_metadata("teacher", to_string(teacher->kind));
    writer.set_metadata("formula.teacher", kTeacherText);
    add("teacher.image.mean", {teacher->wx.rows()}, teacher->mean_x.download());
    add("teacher.image.weight", {teacher->wx.rows(), teacher->dim()}, teacher->wx.download());
    add("teacher.text.mean", {teacher->wy.rows()}, teacher->mean_y.download());
    add("teacher.text.weight", {teacher->wy.rows(), teacher->dim()}, teacher->wy.download());
    if (!teacher->correlations.empty())
      writer.add("teacher.correlations", {static_cast<int64_t>(teacher->correlations.size())},
                 teacher->correlations.data());
  }
  if (hubness) {
    if (hubness->dim() != dim(hubness_projection()))
      throw InvalidArgument(fmt::format("hubness: expected a bank of the model's {} dimensions, found {}",
                                        dim(hubness_projection()), hubness->dim()));
    bank.emplace(*context_, *hubness);
    bank->add_to(writer);
  }
  writer.write(path);
}

Model Model::load(Context& context, const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  const std::map<std::string, std::string>& notes = file.metadata();
  const auto note = [&](const std::string& key) {
    const auto found = notes.find(key);
    return found == notes.end() ? std::string() : found->second;
  };
  const std::string format = note("format");
  if (format != kModelFormat && format != kModelFormatWithoutChecksums)
    throw IoError(fmt::format("{}: expected a model written by sotalign (format {}), found format '{}'", path,
                              kModelFormat, io::printable(format)));

  Model model(context);
  model.verified_ = format == kModelFormat || file.has_checksums();
  if (model.verified_) file.verify();
  model.image_preprocessing.mean = read_floats(file, path, "image.mean", {-1});
  model.text_preprocessing.mean = read_floats(file, path, "text.mean", {-1});
  const int64_t dx = static_cast<int64_t>(model.image_preprocessing.mean.size());
  const int64_t dy = static_cast<int64_t>(model.text_preprocessing.mean.size());
  if (!note("image_head").empty()) {
    const int64_t most_layers = static_cast<int64_t>(file.names().size());
    const HeadOptions image = head_from_json(path + ": image_head", note("image_head"), most_layers),
                      text = head_from_json(path + ": text_head", note("text_head"), most_layers);
    if (image.input_dim != dx || text.input_dim != dy)
      throw IoError(fmt::format("{}: heads of {} and {} columns do not fit means of {} and {}", path,
                                image.input_dim, text.input_dim, dx, dy));
    try {
      model.add_heads(image, text);
    } catch (const InvalidArgument& error) {
      throw IoError(fmt::format("{}: {}", path, error.what()));
    }
    // Check shapes before allocating: every parameter must be a tensor of the file.
    for (int i = 0; i < model.parameters.count(); ++i)
      check_shape(file, path, model.parameters[i].name, model.parameters[i].shape);
    model.parameters.allocate(context);
    for (int i = 0; i < model.parameters.count(); ++i) {
      const Parameter& parameter = model.parameters[i];
      model.parameters.upload(parameter.name, read_floats(file, path, parameter.name, parameter.shape));
    }
  }
  if (!note("teacher").empty()) {
    Teacher teacher;
    try {
      teacher.kind = parse_teacher_kind(io::printable(note("teacher")));
    } catch (const InvalidArgument& error) {
      throw IoError(fmt::format("{}: {}", path, error.what()));
    }
    teacher.mean_x = Buffer<float>(context, read_floats(file, path, "teacher.image.mean", {dx}));
    teacher.mean_y = Buffer<float>(context, read_floats(file, path, "teacher.text.mean", {dy}));
    const std::vector<float> wx = read_floats(file, path, "teacher.image.weight", {dx, -1});
    const int64_t k = static_cast<int64_t>(wx.size()) / dx;
    teacher.wx = Matrix<float>(context, wx.data(), dx, k);
    teacher.wy =
        Matrix<float>(context, read_floats(file, path, "teacher.text.weight", {dy, k}).data(), dy, k);
    if (file.contains("teacher.correlations")) {
      check_shape(file, path, "teacher.correlations", {k});
      teacher.correlations = file.read_double("teacher.correlations");
      check_finite(path, "teacher.correlations", teacher.correlations);
    }
    model.teacher = std::move(teacher);
  }
  if (!model.has(Projection::kHeads) && !model.has(Projection::kTeacher))
    throw IoError(fmt::format("{}: expected heads or a teacher, found neither", path));
  if (!note("hubness").empty())
    model.hubness = read_bank(context, file, path, model.dim(model.hubness_projection()));
  file.require_unchanged();
  return model;
}

}  // namespace sotalign
