#include "sotalign/train/model.h"

#include "c/calls.h"

using namespace sotalign;

struct sotalign_model {
  Context& context;
  Model model;
};

namespace {

Side parse_side(int side) {
  c::require_one_of(side, 2, "side");
  return side == SOTALIGN_IMAGE ? Side::kX : Side::kY;
}

Projection parse_projection(int projection) {
  c::require_one_of(projection, 2, "projection");
  return projection == SOTALIGN_HEADS ? Projection::kHeads : Projection::kTeacher;
}

}  // namespace

int sotalign_model_load(sotalign_context* context, const char* path, sotalign_model** model) {
  return c::call([&] {
    c::require(context, "context");
    c::require(path, "path");
    c::require(model, "model");
    *model = new sotalign_model{context->context, Model::load(context->context, path)};
  });
}

void sotalign_model_destroy(sotalign_model* model) { delete model; }

int sotalign_model_input_dim(const sotalign_model* model, int side, int64_t* dim) {
  return c::call([&] {
    c::require(model, "model");
    c::require(dim, "dim");
    *dim = model->model.input_dim(parse_side(side));
  });
}

int sotalign_model_output_dim(const sotalign_model* model, int projection, int64_t* dim) {
  return c::call([&] {
    c::require(model, "model");
    c::require(dim, "dim");
    const Projection which = parse_projection(projection);
    *dim = model->model.has(which) ? model->model.dim(which) : 0;
  });
}

int sotalign_model_embed(sotalign_model* model, int side, int projection, const sotalign_const_matrix* x,
                         const sotalign_matrix* out) {
  return c::call([&] {
    c::require(model, "model");
    c::Input input;
    c::Output output;
    const ConstMatrixF rows = input.view(model->context, x, "x");
    model->model.embed(parse_side(side), parse_projection(projection), rows,
                       output.view(model->context, out, "out"));
    output.finish();
  });
}
