"""How well two spaces are aligned. Rows need not have unit length; results are Python numbers."""

from __future__ import annotations

import dataclasses

import numpy as np

from sotalign import _core
from sotalign._arrays import ArrayLike, Call, vector

__all__ = [
    "LinearCka",
    "Recall",
    "Retrieval",
    "SlicedWasserstein",
    "ZeroShot",
    "linear_cka",
    "mutual_knn",
    "retrieval",
    "sliced_wasserstein",
    "zero_shot",
]


@dataclasses.dataclass
class Recall:
    """Fractions of the queries with a rank of at most 1, 5, 10; the median rank; the mean of 1 / rank."""

    r1: float
    r5: float
    r10: float
    median_rank: float
    mean_reciprocal_rank: float
    queries: int


@dataclasses.dataclass
class Retrieval:
    """Recall in both directions, and the means over them."""

    image_to_text: Recall
    text_to_image: Recall
    mean_r1: float
    mean_reciprocal_rank: float


@dataclasses.dataclass
class ZeroShot:
    """Fractions of right images; classes: {id: {"images", "top1", "top5"}} in counts."""

    top1: float
    top5: float
    mean_class_top1: float
    images: int
    classes: dict[int, dict[str, int]]


@dataclasses.dataclass
class LinearCka:
    """biased: in [0, 1]; unbiased: at most 1, near 0 for unrelated sets, None for fewer than 4 rows."""

    biased: float
    unbiased: float | None


@dataclasses.dataclass
class SlicedWasserstein:
    """distance: in [0, 1/2]; standard_error: of the distance, due to the random planes."""

    distance: float
    standard_error: float


def retrieval(
    images: ArrayLike,
    texts: ArrayLike,
    *,
    image_ids: ArrayLike | None = None,
    text_ids: ArrayLike | None = None,
    image_corrections: ArrayLike | None = None,
    text_corrections: ArrayLike | None = None,
    device: str | None = None,
) -> Retrieval:
    """Cross-modal retrieval by cosine: recall, median rank and mean reciprocal rank in both directions.

    images [n, d] and texts [m, d] match where their ids are equal; without ids, row i matches row i. The rank of a
    query is 1 plus the number of wrong rows that score at least as high as the best right one: ties count against the
    model. Corrections are subtracted from the cosines of each gallery row; see Model.corrections().
    """
    call = Call(device, images=images, texts=texts)
    found = _core.retrieval(
        call.context,
        call.inputs["images"],
        call.inputs["texts"],
        vector("image_ids", image_ids, np.int64),
        vector("text_ids", text_ids, np.int64),
        vector("image_corrections", image_corrections, np.float32),
        vector("text_corrections", text_corrections, np.float32),
    )
    return Retrieval(
        Recall(**found["image_to_text"]),
        Recall(**found["text_to_image"]),
        found["mean_r1"],
        found["mean_reciprocal_rank"],
    )


def zero_shot(
    images: ArrayLike,
    labels: ArrayLike,
    prompts: ArrayLike,
    prompt_classes: ArrayLike,
    *,
    device: str | None = None,
) -> ZeroShot:
    """Zero-shot classification: the class whose mean prompt is nearest.

    images [n, d] with labels [n]; prompts [p, d] with the class of each, prompt_classes [p]. Classes are integers.
    """
    call = Call(device, images=images, prompts=prompts)
    found = _core.zero_shot(
        call.context,
        call.inputs["images"],
        vector("labels", labels, np.int64),
        call.inputs["prompts"],
        vector("prompt_classes", prompt_classes, np.int64),
    )
    return ZeroShot(**found)


def mutual_knn(x: ArrayLike, y: ArrayLike, *, k: int = 10, device: str | None = None) -> float:
    """The mean share of common k nearest neighbours of row i in x [n, dx] and in y [n, dy], in [0, 1]."""
    call = Call(device, x=x, y=y)
    return _core.mutual_knn(call.context, call.inputs["x"], call.inputs["y"], k)


def linear_cka(x: ArrayLike, y: ArrayLike, *, device: str | None = None) -> LinearCka:
    """Linear centred kernel alignment of x [n, dx] and y [n, dy], row by row the same items, in float64."""
    call = Call(device, x=x, y=y)
    return LinearCka(*_core.linear_cka(call.context, call.inputs["x"], call.inputs["y"]))


def sliced_wasserstein(
    x: ArrayLike, y: ArrayLike, *, projections: int = 500, seed: int = 0, device: str | None = None
) -> SlicedWasserstein:
    """Spherical sliced Wasserstein distance of x [n, d] and y [m, d] as distributions of directions."""
    call = Call(device, x=x, y=y)
    found = _core.sliced_wasserstein(call.context, call.inputs["x"], call.inputs["y"], projections, seed)
    return SlicedWasserstein(*found)
