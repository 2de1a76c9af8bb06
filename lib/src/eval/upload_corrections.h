// Corrections of a gallery's scores, as the caller gives them, in the memory of a context.
#pragma once

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "core/plain_nan.h"
#include "sotalign/core/buffer.h"
#include "sotalign/core/error.h"

namespace sotalign {

/// One correction per gallery row; without corrections an empty buffer, whose data() is null. Throws
/// InvalidArgument for another number of them, and unless all are finite. The message begins with `name`,
/// such as "retrieval: text_corrections", and calls the rows `rows_name`.
inline Buffer<float> upload_corrections(Context& context, const char* name,
                                        const std::vector<float>& corrections, int64_t rows,
                                        const char* rows_name) {
  if (corrections.empty()) return {};
  if (static_cast<int64_t>(corrections.size()) != rows)
    throw InvalidArgument(fmt::format("{}, expected one for each of the {} {}, found {}", name, rows,
                                      rows_name, corrections.size()));
  for (size_t i = 0; i < corrections.size(); ++i)
    if (!std::isfinite(corrections[i]))
      throw InvalidArgument(fmt::format("{}, expected finite numbers, found {} at {}", name,
                                        plain_nan(static_cast<double>(corrections[i])), i));
  return Buffer<float>(context, corrections, "corrections");
}

}  // namespace sotalign
