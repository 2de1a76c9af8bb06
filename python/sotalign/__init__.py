"""SOTAlign: alignment of two embedding spaces with few known pairs, and fast entropic optimal transport.

    import sotalign

    solution = sotalign.sinkhorn(K, epsilon=0.05)        # u, v, plan(), apply(V)
    loss = sotalign.klot(K, K_teacher)                   # value and gradient
    aligner = sotalign.Aligner().fit(pair_images, pair_texts, images, texts)
    scores, rows = sotalign.search(aligner.transform(queries, "text"), gallery, k=10)

Arrays are NumPy arrays, PyTorch tensors, or anything with DLPack; results are of the same kind. float32 goes in
without a copy, float64 and float16 are converted. Arrays on a CUDA device are computed there, on the caller's
current stream. `device="cuda"` computes host arrays on a GPU. sotalign.torch has functions with gradients.
"""

import os as _os

# OpenMP reads its settings when it is loaded, with the compiled module. Its threads spin at barriers, by default for
# so long that other processes on the same cores multiply the time of a call: spin briefly, unless the user decides.
_spin = not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(_os.environ)
if _spin:
    _os.environ["GOMP_SPINCOUNT"] = "1000"
from sotalign._core import __version__

if _spin:
    del _os.environ["GOMP_SPINCOUNT"]
from sotalign._context import free_memory, set_threads
from sotalign._errors import DeviceError, Error, InvalidArgument, IoError, NumericalError, OutOfMemory
from sotalign import metrics
from sotalign._aligner import Aligner
from sotalign._klot import EmbeddingKlotResult, KlotResult, klot, klot_embeddings
from sotalign._model import Model
from sotalign._search import SearchResult, search
from sotalign._sinkhorn import Sinkhorn, sinkhorn

__all__ = [
    "Aligner",
    "DeviceError",
    "EmbeddingKlotResult",
    "Error",
    "InvalidArgument",
    "IoError",
    "KlotResult",
    "Model",
    "NumericalError",
    "OutOfMemory",
    "SearchResult",
    "Sinkhorn",
    "__version__",
    "free_memory",
    "klot",
    "klot_embeddings",
    "metrics",
    "search",
    "set_threads",
    "sinkhorn",
]
