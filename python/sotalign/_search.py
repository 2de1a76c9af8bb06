"""Exact nearest neighbours by cosine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sotalign import _core
from sotalign._arrays import Array, ArrayLike, Call, vector


class SearchResult(NamedTuple):
    """scores [queries, k]: cosines less corrections, descending; rows [queries, k]: rows of the gallery."""

    scores: Array
    rows: Array


def search(
    queries: ArrayLike,
    gallery: ArrayLike,
    k: int = 10,
    *,
    corrections: ArrayLike | None = None,
    device: str | None = None,
) -> SearchResult:
    """The k gallery rows of highest cosine for every query; ties go to the lower row.

    Args:
        queries: [n, d]; rows need not have unit length
        gallery: [m, d]
        k: 1 ... m
        corrections: [m], subtracted from the cosines of each gallery row; see Model.corrections()

    Returns: SearchResult, host arrays as NumPy
    """
    call = Call(device, queries=queries, gallery=gallery)
    rows, scores = _core.search(
        call.context,
        call.inputs["queries"],
        call.inputs["gallery"],
        k,
        vector("corrections", corrections, np.float32),
    )
    return SearchResult(call.give(scores), call.give(rows))
