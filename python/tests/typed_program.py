"""What a user writes. test_types.py lets mypy check it, if mypy is there; it is not run."""

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import sotalign

rows: npt.NDArray[np.float64] = np.random.default_rng(0).normal(size=(40, 8))
solution = sotalign.sinkhorn(rows @ rows.T, epsilon=0.1, form="scaling")
assert_type(solution.iterations, int)
loss = sotalign.klot([[0.1, 0.2], [0.3, 0.4]], np.eye(2))
assert_type(loss.value + loss.student.row_error, float)
aligner = sotalign.Aligner(steps=20).fit(rows, rows, rows, rows, val=(rows, rows))
assert_type(aligner, sotalign.Aligner)
scores, found = sotalign.search(aligner.transform(rows, "text"), rows, k=3)
assert_type(sotalign.metrics.retrieval(rows, rows).image_to_text.r1, float)
corrections: npt.NDArray[np.float32] = aligner.model.corrections("image", rows, kind="csls")

sotalign.sinkhorn(rows)  # type: ignore[call-arg]
sotalign.sinkhorn(rows, 0.1, form="fast")  # type: ignore[arg-type]
aligner.transform(rows, "sound")  # type: ignore[arg-type]
sotalign.klot(rows, rows).value.upper()  # type: ignore[attr-defined]
