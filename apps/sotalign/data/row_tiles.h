// Embeddings on their way from a file to the shared space, some rows at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "data/inputs.h"
#include "sotalign/core/buffer.h"
#include "sotalign/io/matrix_rows.h"
#include "sotalign/train/model.h"

namespace sotalign::app {

/// The maps that rows go through; without a model they stay as they are.
struct RowMaps {
  const Model* model = nullptr;
  Side side = Side::kX;
  Projection projection = Projection::kHeads;
};

/// Rows of a file, mapped and checked as read_embeddings() and embed() do, to the same bits. Memory does not
/// depend on the size of the file.
class RowTiles {
 public:
  /// A multiple of the tiles of Model::embed() and of top_k(), so that tiles give the bits of the whole.
  static constexpr int64_t kRows = 4096;

  /// Opens `path`; "-" is standard input. Throws what open_rows() throws, and InvalidArgument, naming the
  /// file, if the model has another input dimension. The context must outlive this object.
  /// @param rows of a tile, a multiple of kRows
  RowTiles(Context& context, const std::string& path, const RowMaps& maps, int64_t rows = kRows);
  /// The same for a file that is open; `name` stands for its path in messages.
  RowTiles(Context& context, std::string name, MatrixRows file, const RowMaps& maps, int64_t rows = kRows);

  int64_t rows() const { return file_.rows(); }
  /// Columns of the mapped rows.
  int64_t cols() const;
  const std::string& name() const { return name_; }

  struct Tile {
    int64_t first = 0;         ///< row of the file
    ConstMatrixF device = {};  ///< the rows, in the memory of the context
    ConstMatrixF host = {};    ///< the same on the host
  };
  /// The next rows, valid until the next call; no rows at the end. Throws for rows that read_embeddings() or
  /// embed() reject, and at the end if the file was written to meanwhile.
  Tile next();

 private:
  Context& context_;
  RowMaps maps_;
  std::string name_;
  MatrixRows file_;
  int64_t tile_, next_ = 0;
  std::vector<float> read_, embedded_;  // on the host
  Matrix<float> raw_, out_;             // in the memory of the context
};

/// All tiles together, in the memory of the context. Call it before the first next().
Matrix<float> all_rows(Context& context, RowTiles& tiles, const char* purpose);

}  // namespace sotalign::app
