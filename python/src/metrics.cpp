// Evaluation: retrieval, nearest neighbours, zero-shot classification, and similarity of spaces.
#include <fmt/format.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <string>
#include <tuple>

#include "arrays.h"
#include "bindings.h"
#include "context.h"
#include "sotalign/core/error.h"
#include "sotalign/eval/linear_cka.h"
#include "sotalign/eval/mutual_knn.h"
#include "sotalign/eval/retrieval.h"
#include "sotalign/eval/sliced_wasserstein.h"
#include "sotalign/eval/top_k.h"
#include "sotalign/eval/zero_shot.h"

namespace sotalign::python {

namespace {

nb::dict to_dict(const RecallAtK& recall) {
  nb::dict result;
  result["r1"] = recall.r1;
  result["r5"] = recall.r5;
  result["r10"] = recall.r10;
  result["median_rank"] = recall.median_rank;
  result["mean_reciprocal_rank"] = recall.mean_reciprocal_rank;
  result["queries"] = recall.queries;
  return result;
}

nb::dict retrieval_metrics(PythonContext& context, const InputArray& images, const InputArray& texts,
                           const std::optional<Integers>& image_ids, const std::optional<Integers>& text_ids,
                           const std::optional<Floats>& image_corrections,
                           const std::optional<Floats>& text_corrections) {
  const RetrievalResult r = compute(context, [&](Context& c) {
    return retrieval(c, Input(c, images, "images").view(), Input(c, texts, "texts").view(),
                     {.image_ids = values<int64_t>(image_ids),
                      .text_ids = values<int64_t>(text_ids),
                      .image_corrections = values<float>(image_corrections),
                      .text_corrections = values<float>(text_corrections)});
  });
  nb::dict result;
  result["image_to_text"] = to_dict(r.image_to_text);
  result["text_to_image"] = to_dict(r.text_to_image);
  result["mean_r1"] = r.mean_r1;
  result["mean_reciprocal_rank"] = r.mean_reciprocal_rank;
  return result;
}

nb::tuple search(PythonContext& context, const InputArray& queries, const InputArray& gallery, int64_t k,
                 const std::optional<Floats>& corrections) {
  TopKResult found = compute(context, [&](Context& c) {
    return top_k(c, Input(c, queries, "queries").view(), Input(c, gallery, "gallery").view(), k,
                 {.corrections = values<float>(corrections)});
  });
  const size_t rows = queries.shape(0);
  return nb::make_tuple(numpy(std::move(found.indices), rows), numpy(std::move(found.scores), rows));
}

nb::dict zero_shot_accuracy(PythonContext& context, const InputArray& images, const Integers& labels,
                            const InputArray& prompts, const Integers& prompt_classes) {
  const ZeroShotResult r = compute(context, [&](Context& c) {
    return zero_shot(c, Input(c, images, "images").view(), values<int64_t>(labels),
                     Input(c, prompts, "prompts").view(), values<int64_t>(prompt_classes));
  });
  nb::dict result, classes;
  for (const ClassAccuracy& one : r.classes) {
    nb::dict accuracy;
    accuracy["images"] = one.images;
    accuracy["top1"] = one.top1;
    accuracy["top5"] = one.top5;
    classes[nb::int_(one.id)] = accuracy;
  }
  result["top1"] = r.top1;
  result["top5"] = r.top5;
  result["mean_class_top1"] = r.mean_class_top1;
  result["images"] = r.images;
  result["classes"] = classes;
  return result;
}

double knn(PythonContext& context, const InputArray& x, const InputArray& y, int64_t k) {
  return compute(context, [&](Context& c) {
    return mutual_knn(c, Input(c, x, "x").view(), Input(c, y, "y").view(), {.k = k});
  });
}

std::tuple<double, std::optional<double>> cka(PythonContext& context, const InputArray& x,
                                              const InputArray& y) {
  const LinearCka result = compute(context, [&](Context& c) {
    return linear_cka(c, Input(c, x, "x").view(), Input(c, y, "y").view(), {.x_name = "x", .y_name = "y"});
  });
  return {result.biased, result.unbiased};
}

std::tuple<double, double> sliced_wasserstein(PythonContext& context, const InputArray& x,
                                              const InputArray& y, int64_t projections, uint64_t seed) {
  const SlicedWasserstein result = compute(context, [&](Context& c) {
    return spherical_sliced_wasserstein(c, Input(c, x, "x").view(), Input(c, y, "y").view(),
                                        {.projections = projections, .seed = seed});
  });
  return {result.distance, result.standard_error};
}

}  // namespace

void bind_metrics(nanobind::module_& module) {
  const auto x = nb::arg("x").noconvert(), y = nb::arg("y").noconvert();
  module.def("retrieval", &retrieval_metrics, nb::arg("context"), nb::arg("images").noconvert(),
             nb::arg("texts").noconvert(), nb::arg("image_ids").none(), nb::arg("text_ids").none(),
             nb::arg("image_corrections").none(), nb::arg("text_corrections").none());
  module.def("search", &search, nb::arg("context"), nb::arg("queries").noconvert(),
             nb::arg("gallery").noconvert(), nb::arg("k"), nb::arg("corrections").none());
  module.def("zero_shot", &zero_shot_accuracy, nb::arg("context"), nb::arg("images").noconvert(),
             nb::arg("labels"), nb::arg("prompts").noconvert(), nb::arg("prompt_classes"));
  module.def("mutual_knn", &knn, nb::arg("context"), x, y, nb::arg("k"));
  module.def("linear_cka", &cka, nb::arg("context"), x, y);
  module.def("sliced_wasserstein", &sliced_wasserstein, nb::arg("context"), x, y, nb::arg("projections"),
             nb::arg("seed"));
}

}  // namespace sotalign::python
