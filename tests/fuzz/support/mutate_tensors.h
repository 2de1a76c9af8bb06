// Mutations common to all safetensors files.
#pragma once

#include "support/tensor_file.h"

namespace sotalign::fuzz {

/// Changes one thing: a metadata note, JSON within a note, a tensor's name, type, shape, offset or bytes, or
/// the framing of the file. The rest is usually adapted, so that the change gets past the parser.
void mutate_file(Dice& dice, TensorFile& file, size_t most);

/// Sets one element to NaN, an infinity, a number beyond float16, a denormal, or zero.
void spoil_element(Dice& dice, Tensor& tensor);

/// Format-specific changes that keep several parts of the file consistent.
using Coordinated = void (*)(Dice& dice, TensorFile& file, size_t most);

/// The body of LLVMFuzzerCustomMutator for safetensors files: takes `data` apart, makes one to four changes,
/// and puts it together again. Bytes that are not such a file are mutated as bytes.
size_t mutate_tensors(uint8_t* data, size_t size, size_t max_size, unsigned seed, Coordinated coordinated);

}  // namespace sotalign::fuzz
