"""Arrays of NumPy, PyTorch and of any library with DLPack: how they reach the compiled module and come back.

An array stays where it is. Its rows must be contiguous and its type float32; others are copied and converted.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol, Union

import numpy as np
import numpy.typing as npt

from sotalign._context import Allocator, context_for
from sotalign._errors import InvalidArgument


class SupportsDLPack(Protocol):
    """PyTorch's tensors and the arrays of other libraries."""

    def __dlpack__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __dlpack_device__(self) -> Any: ...


# What functions take, and what they return: an array of the caller's kind, which types cannot tell.
ArrayLike = Union[npt.ArrayLike, SupportsDLPack]
Array = Any

_CPU, _CUDA, _CUDA_HOST, _CUDA_MANAGED = 1, 2, 3, 13  # DLDeviceType


def is_torch(array: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def _device_of(array: Any) -> tuple[int, int]:
    """(device, index) as in DLPack; host memory for everything that has no DLPack."""
    if isinstance(array, np.ndarray) or not hasattr(array, "__dlpack_device__"):
        return _CPU, 0
    kind, index = array.__dlpack_device__()
    if int(kind) in (_CPU, _CUDA_HOST):
        return _CPU, 0
    if int(kind) in (_CUDA, _CUDA_MANAGED):
        return _CUDA, index
    raise InvalidArgument(f"expected an array in host memory or on a CUDA device, found DLPack device {int(kind)}")


def _numpy(name: str, array: Any, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """A NumPy view or copy, of `dtype`. Complex numbers and strings are refused."""
    if not isinstance(array, np.ndarray):
        array = np.from_dlpack(array) if hasattr(array, "__dlpack__") else np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise InvalidArgument(f"{name}: expected numbers, found an array of {array.dtype}")
    return array.astype(dtype, copy=False)


class Call:
    """The arrays of one call. They must be on one device; the call runs there, or on `device` if they are on the
    host.

        call = Call(device, K=K)
        context, k = call.context, call.inputs["K"]
        plan, result = call.output(*call.shapes["K"])   # what the compiled module writes to, what the caller gets
    """

    def __init__(self, device: str | None = None, **arrays: Any) -> None:
        arrays = {name: array for name, array in arrays.items() if array is not None}
        places = {name: _device_of(array) for name, array in arrays.items()}
        first = next(iter(arrays))
        self._like = arrays[first]
        for name, place in places.items():
            if place != places[first]:
                raise InvalidArgument(f"{name}: expected an array on the device of {first}")
        kind, index = places[first]
        self._on_device = kind == _CUDA
        if self._on_device:
            if device not in (None, "cuda", f"cuda:{index}"):
                raise InvalidArgument(f"device: expected cuda:{index}, where {first} is, found {device}")
            stream, allocator = self._stream(index)
            self.context = context_for(f"cuda:{index}", stream, allocator)
        else:
            self.context = context_for(device or "cpu")
        self.shapes: dict[str, tuple[int, int]] = {}  # by name: (rows, columns)
        self.inputs = {name: self._matrix(name, array) for name, array in arrays.items()}

    def _stream(self, index: int) -> tuple[int | None, Allocator | None]:
        """The caller's current stream, and its allocator if it is PyTorch."""
        if not is_torch(self._like):
            return None, None
        import torch

        device = self._like.device

        def allocate(size: int, stream: int) -> int:
            return torch.cuda.caching_allocator_alloc(size, device, stream)

        stream = torch.cuda.current_stream(index).cuda_stream
        return stream, (allocate, torch.cuda.caching_allocator_delete)

    def _matrix(self, name: str, array: Any) -> Any:
        if is_torch(array):
            import torch

            array = array.detach()
            if not (array.dtype.is_floating_point or array.dtype in (torch.int8, torch.int16, torch.int32, torch.int64)):
                raise InvalidArgument(f"{name}: expected numbers, found a tensor of {array.dtype}")
            array = array.to(torch.float32)
        elif not self._on_device:
            array = _numpy(name, array, np.float32)
        elif str(array.dtype).rpartition(".")[2] != "float32":
            raise InvalidArgument(f"{name}: expected float32 on the device, found {array.dtype}")
        if len(array.shape) != 2:
            raise InvalidArgument(f"{name}: expected a matrix, found shape {list(array.shape)}")
        self.shapes[name] = tuple(array.shape)
        if is_torch(array):
            usable = array.shape[1] <= 1 or (array.stride(1) == 1 and array.stride(0) >= array.shape[1])
            array = array if usable else array.contiguous()
            # The tensor's work is queued on the stream that this call uses: there is nothing to wait for.
            return array.__dlpack__(stream=-1) if self._on_device else array
        if self._on_device:
            return array.__dlpack__()
        item = array.dtype.itemsize
        usable = array.shape[1] <= 1 or (array.strides[1] == item and array.strides[0] >= item * array.shape[1])
        return array if usable and array.flags.aligned else np.ascontiguousarray(array)

    def output(self, rows: int, cols: int) -> tuple[Any, Array]:
        """A new float32 matrix of the caller's kind: (for the compiled module, for the caller)."""
        like = self._like
        result: Any
        if is_torch(like):
            import torch

            result = torch.empty((rows, cols), dtype=torch.float32, device=like.device)
            return (result.__dlpack__(stream=-1) if self._on_device else result), result
        if self._on_device:
            space = like.__array_namespace__()
            result = space.empty((rows, cols), dtype=space.float32, device=like.device)
            return result.__dlpack__(), result
        result = np.empty((rows, cols), dtype=np.float32)
        return result, result

    def give(self, result: Any) -> Array:
        """A host array of ours as the caller's kind. Call it after the compiled module has written."""
        like = self._like
        if is_torch(like):
            import torch

            if isinstance(result, torch.Tensor):
                return result
            return torch.from_numpy(result).to(like.device)
        if self._on_device or isinstance(like, np.ndarray) or not hasattr(like, "__array_namespace__"):
            return result
        return like.__array_namespace__().asarray(result)


def vector(name: str, values: Any, dtype: npt.DTypeLike = np.float64) -> Any:
    """A contiguous host vector, or None."""
    if values is None:
        return None
    if is_torch(values):
        values = values.detach().cpu().numpy()
    values = np.ascontiguousarray(_numpy(name, values, dtype))
    if values.ndim != 1:
        raise InvalidArgument(f"{name}: expected a vector, found shape {list(values.shape)}")
    return values
