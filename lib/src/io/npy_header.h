// The header of a .npy file: magic, version, header length, and a Python dictionary literal such as
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
#pragma once

#include <memory>

#include "io/host_matrix.h"
#include "io/mapped_file.h"
#include "sotalign/io/npy.h"

namespace sotalign::io {

struct NpyHeader {
  NpyInfo info;
  size_t data_offset = 0;  ///< of the first element, in bytes from the start of the file
};

/// Throws IoError if the header is malformed, or if the type is known and the size of the data does not match
/// type and shape exactly.
NpyHeader parse_npy_header(const MappedFile& file);

/// The array in a .npy file as a matrix. Throws IoError, in addition, for a type that is no float.
MatrixSource npy_matrix_source(std::shared_ptr<const MappedFile> file);

}  // namespace sotalign::io
