"""Exact nearest neighbours by cosine."""

from typing import Any, NamedTuple

import numpy as np

from sotalign import _core
from sotalign._arrays import Call, vector


class SearchResult(NamedTuple):
    """scores [queries, k]: cosines less corrections, descending; rows [queries, k]: rows of the gallery."""

    scores: Any
    rows: Any


def search(queries, gallery, k=10, *, corrections=None, device=None):
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
