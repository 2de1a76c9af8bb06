"""Trained models: they map raw embeddings of both modalities into a shared space, where cosines compare them."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from sotalign import _core
from sotalign._arrays import Array, ArrayLike, Call
from sotalign._context import context_for
from sotalign._errors import InvalidArgument

if TYPE_CHECKING:
    import torch

Side = Literal["image", "text"]
Projection = Literal["heads", "teacher"]
Path = str | os.PathLike[str]

_TILE = 1 << 16  # rows that are embedded at a time


def _metadata(path: str) -> dict[str, str]:
    """The notes in a model file: what trained it, with which options."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        metadata = json.loads(file.read(length)).get("__metadata__", {})
    return {key: metadata[key] for key in ("sotalign", "options", "step") if key in metadata}


class Model:
    """A model that `sotalign train` or Aligner has trained. Sides are "image", the first modality, and "text"."""

    def __init__(self, core: _core.Model, notes: dict[str, str], device: str) -> None:
        self._core, self._notes, self._device = core, notes, device

    @classmethod
    def load(cls, path: Path, *, device: str = "cpu") -> Model:
        """Reads a model file. Raises IoError, naming the part, if it is missing, damaged or not finite."""
        path = os.fspath(path)
        core = _core.Model.load(context_for(device), path)
        return cls(core, _metadata(path), device)

    def save(self, path: Path) -> None:
        """Writes a model file: safetensors with checksums. An existing file is replaced at once or not at all."""
        self._core.save(os.fspath(path), self._notes)

    @property
    def options(self) -> dict[str, Any]:
        """The options of its training, by the names of `sotalign train`; empty if the file has none."""
        return json.loads(self._notes.get("options", "{}"))

    @property
    def projection(self) -> Projection:
        """The default of the methods below: "heads", or "teacher" if the model has no heads."""
        return "heads" if self._core.has("heads") else "teacher"

    def dim(self, projection: Projection | None = None) -> int:
        """Columns of the shared space."""
        return self._core.dim(projection or self.projection)

    def input_dim(self, side: Side) -> int:
        """Columns of the raw embeddings of one side."""
        return self._core.input_dim(side)

    def embed(
        self,
        side: Side,
        x: ArrayLike,
        *,
        projection: Projection | None = None,
        dtype: Literal["float32", "float16"] = "float32",
    ) -> Array:
        """Maps raw embeddings x [n, input_dim] of a side to unit rows [n, dim].

        x may be a memory-mapped array (np.load(..., mmap_mode="r")): it is read 65536 rows at a time. dtype "float16"
        halves the result.
        """
        projection = projection or self.projection
        if dtype not in ("float32", "float16"):
            raise InvalidArgument(f"dtype: expected 'float32' or 'float16', found {dtype!r}")
        shape = getattr(x, "shape", (0, 0))  # lists and DLPack's are looked at as arrays
        if len(shape) != 2:
            raise InvalidArgument(f"x: expected a matrix, found shape {list(shape)}")
        if isinstance(x, np.ndarray):
            result = np.empty((x.shape[0], self.dim(projection)), dtype)
            for begin in range(0, x.shape[0], _TILE):
                rows = slice(begin, begin + _TILE)
                result[rows] = self._embed(side, x[rows], projection)
            return result
        result = self._embed(side, x, projection)
        if dtype == "float32":
            return result
        return result.half() if hasattr(result, "half") else result.astype(dtype)

    def _embed(self, side: Side, x: ArrayLike, projection: Projection) -> Array:
        call = Call(None, x=x)
        out, result = call.output(call.shapes["x"][0], self.dim(projection))
        self._core.embed(side, projection, call.inputs["x"], out)
        return call.give(result)

    def corrections(
        self, side: Side, rows: ArrayLike, *, kind: Literal["dbs", "inverted_softmax", "csls"] = "dbs"
    ) -> npt.NDArray[np.float32]:
        """Hubness corrections [n] of a gallery of shared-space rows [n, dim], for search() and metrics.retrieval().

        They come from the model's bank of unpaired training rows. kind: "dbs", "inverted_softmax" or "csls".
        """
        return self._core.corrections(side, Call(None, rows=rows).inputs["rows"], kind)

    @property
    def has_bank(self) -> bool:
        """Whether the model can correct hubness."""
        return self._core.has_bank

    def arrays(self, side: Side, projection: Projection | None = None) -> dict[str, npt.NDArray[np.float32]]:
        """The weights of one side as NumPy arrays by name, and the mean that is subtracted first.

        heads: "0.weight" [out, in], "0.bias" [out], ..., "residual.weight"; teacher: "teacher.mean" [in],
        "teacher.weight" [in, dim]. docs/python.md has the formulas.
        """
        return self._core.tensors(side, projection or self.projection)

    def to_torch(self, side: Side, projection: Projection | None = None) -> torch.nn.Sequential:
        """One side as a torch.nn.Module from raw embeddings to unit rows, with trainable weights."""
        from sotalign.torch import module_of

        return module_of(self, side, projection or self.projection)

    def __getstate__(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory(prefix="sotalign-") as folder:
            path = os.path.join(folder, "model.safetensors")
            self.save(path)
            with open(path, "rb") as file:
                return {"file": file.read()}

    def __setstate__(self, state: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory(prefix="sotalign-") as folder:
            path = os.path.join(folder, "model.safetensors")
            with open(path, "wb") as file:
                file.write(state["file"])
            self.__dict__ = type(self).load(path).__dict__

    def __repr__(self) -> str:
        dims = f"image_dim={self.input_dim('image')}, text_dim={self.input_dim('text')}, dim={self.dim()}"
        return f"Model({dims}, projection={self.projection!r})"
