#include "train/teacher_rows.h"

#include "sotalign/linalg/row_products.h"

namespace sotalign::detail {

TeacherRows::TeacherRows(Context& context, const Teacher& teacher, Side side, const RowSet& rows,
                         int64_t batch, bool takes_all, int64_t most_projections)
    : context_(&context), side_(side) {
  const int64_t dim = teacher.dim();
  if (projects_all(rows.rows(), dim, takes_all, most_projections)) {
    all_ = Matrix<float>(context, rows.rows(), dim, "teacher's projections");
    // A multiple of the tiles of Teacher::project(), so that the bits are those of one call.
    constexpr int64_t kRowsAtOnce = 4096;
    rows.for_each(context, kRowsAtOnce, [&](int64_t first, ConstMatrixF x) {
      teacher.project(context, side, x, all_.view().row_range(first, x.rows));
    });
  }
  if (!takes_all) batch_ = Matrix<float>(context, batch, dim, "batch of the teacher's projections");
}

ConstMatrixF TeacherRows::project(const Teacher& teacher, const StepRows& rows) {
  if (batch_.rows() == 0) return all_;
  if (all_.rows() == 0)
    teacher.project(*context_, side_, rows.unpaired(rows.x), batch_);
  else
    gather_rows(*context_, all_, rows.unpaired_index, batch_);
  return batch_;
}

}  // namespace sotalign::detail
