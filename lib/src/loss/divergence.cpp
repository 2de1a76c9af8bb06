#include "sotalign/loss/divergence.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sotalign/core/error.h"

namespace sotalign {

class Divergence::Implementation {
 public:
  virtual ~Implementation() = default;
  virtual void run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double scale) = 0;
  virtual DivergenceResult result() const = 0;
};

namespace {

DivergenceResult result_of(const Klot& klot) {
  const KlotResult result = klot.result();
  return {DivergenceKind::kKlot, result.value, result};
}
DivergenceResult result_of(const InfoNce& infonce) { return {DivergenceKind::kInfoNce, infonce.value()}; }
DivergenceResult result_of(const Cka& cka) { return {DivergenceKind::kCka, cka.value()}; }

template <class Kind>
class Of : public Divergence::Implementation {
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

using Pointer = std::unique_ptr<Divergence::Implementation>;
using Options = DivergenceOptions;

Pointer make_klot(Context& context, int64_t rows, int64_t cols, const Options& options) {
  return std::make_unique<Of<Klot>>(context, rows, cols, options.klot);
}
Pointer make_infonce(Context& context, int64_t rows, int64_t cols, const Options& options) {
  return std::make_unique<Of<InfoNce>>(context, rows, cols, options.infonce);
}
Pointer make_cka(Context& context, int64_t rows, int64_t cols, const Options&) {
  return std::make_unique<Of<Cka>>(context, rows, cols);
}

struct Entry {
  DivergenceKind kind;
  const char* name;
  Pointer (*make)(Context&, int64_t, int64_t, const Options&);
};
constexpr Entry kDivergences[] = {
    {DivergenceKind::kKlot, "klot", make_klot},
    {DivergenceKind::kInfoNce, "infonce", make_infonce},
    {DivergenceKind::kCka, "cka", make_cka},
};

const Entry& entry_of(DivergenceKind kind) {
  for (const Entry& entry : kDivergences)
    if (entry.kind == kind) return entry;
  throw InvalidArgument(fmt::format("divergence: no kind has the number {}", static_cast<int>(kind)));
}

}  // namespace

std::vector<std::string> divergence_names() {
  std::vector<std::string> names;
  for (const Entry& entry : kDivergences) names.emplace_back(entry.name);
  return names;
}

DivergenceKind parse_divergence_kind(const std::string& name) {
  for (const Entry& entry : kDivergences)
    if (name == entry.name) return entry.kind;
  throw InvalidArgument(
      fmt::format("divergence: expected one of {}, found '{}'", fmt::join(divergence_names(), ", "), name));
}

std::string to_string(DivergenceKind kind) { return entry_of(kind).name; }

Divergence::Divergence(Context& context, int64_t rows, int64_t cols, const DivergenceOptions& options)
    : kind_(options.kind), implementation_(entry_of(options.kind).make(context, rows, cols, options)) {}
Divergence::~Divergence() = default;
Divergence::Divergence(Divergence&&) noexcept = default;
Divergence& Divergence::operator=(Divergence&&) noexcept = default;

void Divergence::run(ConstMatrixF student, ConstMatrixF teacher, MatrixF gradient, double gradient_scale) {
  implementation_->run(student, teacher, gradient, gradient_scale);
}

DivergenceResult Divergence::result() const { return implementation_->result(); }

}  // namespace sotalign
