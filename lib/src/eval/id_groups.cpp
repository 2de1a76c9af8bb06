#include "eval/id_groups.h"

#include <fmt/format.h>

#include <numeric>
#include <unordered_map>

#include "sotalign/core/error.h"

namespace sotalign {

IdGroups number_ids(int64_t images, int64_t texts, const RetrievalOptions& options) {
  const auto check_size = [](const char* name, const std::vector<int64_t>& ids, int64_t rows) {
    if (static_cast<int64_t>(ids.size()) != rows)
      throw InvalidArgument(fmt::format("retrieval: {}, expected one id for each of the {} rows, found {}",
                                        name, rows, ids.size()));
  };
  IdGroups groups;
  groups.images.resize(static_cast<size_t>(images));
  groups.texts.resize(static_cast<size_t>(texts));
  if (options.image_ids.empty() && options.text_ids.empty()) {
    if (images != texts)
      throw InvalidArgument(
          fmt::format("retrieval: without ids row i belongs to row i, expected equally many rows, found {} "
                      "images and {} texts",
                      images, texts));
    groups.count = images;
    std::iota(groups.images.begin(), groups.images.end(), 0);
    groups.texts = groups.images;
    return groups;
  }
  check_size("image_ids", options.image_ids, images);
  check_size("text_ids", options.text_ids, texts);
  std::unordered_map<int64_t, int32_t> numbers;
  for (size_t i = 0; i < groups.images.size(); ++i)
    groups.images[i] =
        numbers.emplace(options.image_ids[i], static_cast<int32_t>(numbers.size())).first->second;
  groups.count = static_cast<int64_t>(numbers.size());
  std::vector<bool> found(numbers.size());
  for (size_t j = 0; j < groups.texts.size(); ++j) {
    const auto number = numbers.find(options.text_ids[j]);
    if (number == numbers.end())
      throw InvalidArgument(
          fmt::format("retrieval: text {} (id {}) has no image with its id among the {} images", j,
                      options.text_ids[j], images));
    groups.texts[j] = number->second;
    found[static_cast<size_t>(number->second)] = true;
  }
  for (size_t i = 0; i < groups.images.size(); ++i)
    if (!found[static_cast<size_t>(groups.images[i])])
      throw InvalidArgument(
          fmt::format("retrieval: image {} (id {}) has no text with its id among the {} texts", i,
                      options.image_ids[i], texts));
  return groups;
}

}  // namespace sotalign
