#include "sotalign/loss/divergence.h"

#include "core/registry.h"
#include "sotalign/linalg/row_products.h"
#include "sotalign/loss/cka.h"
#include "sotalign/loss/infonce.h"
#include "sotalign/ot/embedding_klot.h"

namespace sotalign {

namespace {

DivergenceResult result_of(const KlotResult& result) { return {"klot", result.value, result}; }
DivergenceResult result_of(const Klot& klot) { return result_of(klot.result()); }
DivergenceResult result_of(const InfoNce& infonce) { return {"infonce", infonce.value()}; }
DivergenceResult result_of(const Cka& cka) { return {"cka", cka.value()}; }

template <class Kind>
class Of : public Divergence {
 public:
  template <class... Options>
  explicit Of(Context& context, int64_t rows, int64_t cols, const Options&... options)
      : divergence_(context, rows, cols, options...) {}
  void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double scale) override {
    divergence_.run(student, teacher, gradient, scale);
  }
  DivergenceResult result() const override { return result_of(divergence_); }

 private:
  Kind divergence_;
};

class KlotOfEmbeddings : public EmbeddingDivergence {
 public:
  KlotOfEmbeddings(Context& context, int64_t rows, int64_t cols, const KlotOptions& options,
                   KlotMemory memory)
      : klot_(context, rows, cols, options, memory) {}
  void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
           double scale) override {
    klot_.run(student, teacher, dx, dy, scale);
  }
  void keep_teacher() override { klot_.keep_teacher(); }
  DivergenceResult result() const override { return result_of(klot_.result()); }

 private:
  EmbeddingKlot klot_;
};

/// Stores both affinities; the gradient overwrites the student's.
class StoredAffinities : public EmbeddingDivergence {
 public:
  StoredAffinities(Context& context, int64_t rows, int64_t cols, const DivergenceOptions& options)
      : context_(&context),
        affinity_(context, rows, cols, "student's affinity"),
        teacher_affinity_(context, rows, cols, "teacher's affinity"),
        divergence_(make_divergence(context, rows, cols, options)) {}
  void run(const Embeddings& student, const Embeddings& teacher, MatrixF dx, MatrixF dy,
           double scale) override {
    cosines(*context_, student.x, student.y, affinity_);
    if (!has_teacher_) cosines(*context_, teacher.x, teacher.y, teacher_affinity_);
    has_teacher_ = keep_teacher_;
    divergence_->run(affinity_, teacher_affinity_, affinity_, scale);
    cosines_backward(*context_, student.x, student.y, affinity_, dx, dy);
  }
  void keep_teacher() override { keep_teacher_ = true, has_teacher_ = false; }
  DivergenceResult result() const override { return divergence_->result(); }

 private:
  Context* context_;
  Matrix<float> affinity_, teacher_affinity_;
  bool keep_teacher_ = false, has_teacher_ = false;
  std::unique_ptr<Divergence> divergence_;
};

using Options = DivergenceOptions;

std::vector<DivergenceInfo> built_in() {
  return {
      {.name = "klot",
       .title = "KLOT",
       .summary = "transport plans",
       .uses_epsilons = true,
       .uses_solver = true,
       .make =
           [](Context& context, int64_t rows, int64_t cols, const Options& options) {
             return std::make_unique<Of<Klot>>(context, rows, cols, options.klot());
           },
       .make_on_embeddings =
           [](Context& context, int64_t rows, int64_t cols, const Options& options, KlotMemory memory) {
             return std::make_unique<KlotOfEmbeddings>(context, rows, cols, options.klot(), memory);
           }},
      {.name = "infonce",
       .title = "InfoNCE",
       .summary = "softmaxes",
       .uses_epsilons = true,
       .make =
           [](Context& context, int64_t rows, int64_t cols, const Options& options) {
             const InfoNceOptions temperatures{.epsilon_student = options.epsilon_student,
                                               .epsilon_teacher = options.epsilon_teacher};
             return std::make_unique<Of<InfoNce>>(context, rows, cols, temperatures);
           }},
      {.name = "cka",
       .title = "CKA",
       .summary = "centred products",
       .make = [](Context& context, int64_t rows, int64_t cols,
                  const Options&) { return std::make_unique<Of<Cka>>(context, rows, cols); }},
  };
}

detail::Registry<DivergenceInfo>& registry() {
  static detail::Registry<DivergenceInfo> registry("divergence", built_in());
  return registry;
}

/// Throws InvalidArgument for an unknown name and for bad values.
const DivergenceInfo& checked(const DivergenceOptions& options) {
  registry().check(options.values);
  return find_divergence(options.name);
}

}  // namespace

void register_divergence(DivergenceInfo info) { registry().add(std::move(info)); }
std::vector<std::string> divergence_names() { return registry().names(); }
const DivergenceInfo& find_divergence(const std::string& name) { return registry().find(name); }

template <class T>
T divergence_option(const DivergenceOptions& options, const std::string& key) {
  return registry().value<T>(options.values, key);
}
template int64_t divergence_option(const DivergenceOptions&, const std::string&);
template double divergence_option(const DivergenceOptions&, const std::string&);
template std::string divergence_option(const DivergenceOptions&, const std::string&);

std::unique_ptr<Divergence> make_divergence(Context& context, int64_t rows, int64_t cols,
                                            const DivergenceOptions& options) {
  return checked(options).make(context, rows, cols, options);
}

std::unique_ptr<EmbeddingDivergence> make_embedding_divergence(Context& context, int64_t rows, int64_t cols,
                                                               const DivergenceOptions& options,
                                                               KlotMemory memory) {
  const DivergenceInfo& info = checked(options);
  if (info.make_on_embeddings) return info.make_on_embeddings(context, rows, cols, options, memory);
  return std::make_unique<StoredAffinities>(context, rows, cols, options);
}

}  // namespace sotalign
