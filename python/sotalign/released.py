"""The names and signatures of the file that the authors of SOTAlign released, src/klot.py, on this engine.

    from sotalign.released import KLOT, sinkhorn    # instead of: from klot import KLOT, sinkhorn

Computed in float32. sinkhorn() is without gradient, as KLOT calls it there.
"""

from __future__ import annotations

from typing import Any

import torch

import sotalign
from sotalign.torch import KLOT

__all__ = ["KLOT", "sinkhorn"]


def sinkhorn(
    cost: torch.Tensor,
    epsilon: float,
    max_iter: int,
    check_convergence_every: int | None = None,
    tol: float = 1e-6,
    symmetric: bool = True,
) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """(plan, its logarithm, {"n_iters", "err"}) of a cost [n, m] with uniform weights.

    "n_iters" counts from 0, and "err" is the mean absolute error of the row sums. With check_convergence_every = k the
    solve stops once that error is below tol; it is checked after every k iterations.
    """
    with torch.no_grad():
        affinity = -cost
        stop: dict[str, Any] = {} if check_convergence_every is None else {
            "tolerance": tol * cost.shape[0],
            "check_every": check_convergence_every,
        }
        solution = sotalign.sinkhorn(affinity, epsilon, iterations=max_iter, symmetrize=symmetric, **stop)
        log_plan = affinity / epsilon + solution.u.to(affinity)[:, None] + solution.v.to(affinity)[None, :]
        error = torch.tensor(solution.row_error / cost.shape[0], dtype=cost.dtype, device=cost.device)
    return solution.plan().to(cost.dtype), log_plan, {"n_iters": solution.iterations - 1, "err": error}
