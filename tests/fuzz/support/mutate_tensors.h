// Mutations that every safetensors file has in common.
#pragma once

#include "support/tensor_file.h"

namespace sotalign::fuzz {

/// Changes one thing: a note of the metadata, JSON within a note, a name, type, shape, offset or the bytes of
/// a tensor, or how the file is framed. Mostly the rest follows, so that the change gets past the parser.
void mutate_file(Dice& dice, TensorFile& file, size_t most);

/// One element becomes NaN, an infinity, a number beyond float16, a denormal, or zero.
void spoil_element(Dice& dice, Tensor& tensor);

/// What a format adds: changes that keep several parts of the file in step.
using Coordinated = void (*)(Dice& dice, TensorFile& file, size_t most);

/// The body of LLVMFuzzerCustomMutator for safetensors files: takes `data` apart, makes one to four changes,
/// and puts it together again. Bytes that are no such file are mutated as bytes.
size_t mutate_tensors(uint8_t* data, size_t size, size_t max_size, unsigned seed, Coordinated coordinated);

}  // namespace sotalign::fuzz
