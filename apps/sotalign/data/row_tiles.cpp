#include "data/row_tiles.h"

#include <algorithm>
#include <utility>

namespace sotalign::app {

RowTiles::RowTiles(Context& context, const std::string& path, const RowMaps& maps, int64_t rows)
    : RowTiles(context, input_name(path), open_rows(path), maps, rows) {}

RowTiles::RowTiles(Context& context, std::string name, MatrixRows file, const RowMaps& maps, int64_t rows)
    : context_(context), maps_(maps), name_(std::move(name)), file_(std::move(file)) {
  tile_ = std::min(rows, file_.rows());
  if (maps_.model != nullptr) {
    require_projection(*maps_.model, maps_.projection);
    require_model_cols(*maps_.model, maps_.side, name_, file_.cols());
    out_ = Matrix<float>(context, tile_, cols(), "projected embeddings");
  }
  if (context.device().kind != DeviceKind::kCpu)
    raw_ = Matrix<float>(context, tile_, file_.cols(), "embeddings");
}

int64_t RowTiles::cols() const {
  return maps_.model != nullptr ? maps_.model->dim(maps_.projection) : file_.cols();
}

RowTiles::Tile RowTiles::next() {
  if (next_ > 0) file_.release(std::max<int64_t>(next_ - tile_, 0), std::min(tile_, next_));
  const int64_t first = next_, count = std::min(tile_, file_.rows() - first);
  if (count == 0) {
    file_.require_unchanged();
    return {};
  }
  next_ += count;
  const bool on_cpu = context_.device().kind == DeviceKind::kCpu;
  Tile tile{.first = first};
  tile.host = tile.device = file_.read(first, count, read_);
  require_lengths(name_, tile.host, first);
  if (!on_cpu) {
    tile.device = raw_.view().row_range(0, count);
    context_.copy_to_device(raw_.data(), tile.host.data,
                            static_cast<size_t>(tile.host.size()) * sizeof(float));
  }
  if (maps_.model == nullptr) return tile;
  const MatrixF out = out_.view().row_range(0, count);
  maps_.model->embed(maps_.side, maps_.projection, tile.device, out);
  tile.host = tile.device = out;
  if (!on_cpu) {
    embedded_.resize(static_cast<size_t>(tile_ * cols()));
    context_.copy_to_host(embedded_.data(), out.data, static_cast<size_t>(out.size()) * sizeof(float));
    tile.host = {embedded_.data(), count, cols()};
  }
  require_finite_rows(name_, tile.host, first);
  require_directions(name_, tile.host, first);
  return tile;
}

Matrix<float> all_rows(Context& context, RowTiles& tiles, const char* purpose) {
  Matrix<float> rows(context, tiles.rows(), tiles.cols(), purpose);
  for (RowTiles::Tile tile = tiles.next(); tile.host.rows > 0; tile = tiles.next()) {
    float* destination = rows.view().row(tile.first);
    const size_t bytes = static_cast<size_t>(tile.device.size()) * sizeof(float);
    context.copy_on_device(destination, tile.device.data, bytes);
  }
  return rows;
}

}  // namespace sotalign::app
