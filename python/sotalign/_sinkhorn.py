"""Entropic optimal transport by Sinkhorn's algorithm."""

from __future__ import annotations

from typing import Any, Literal

from sotalign import _core
from sotalign._arrays import Array, ArrayLike, Call, vector

Form = Literal["auto", "scaling", "log_domain"]
Storage = Literal["float", "ladder"]


class Sinkhorn:
    """A solved problem: P_ij = exp(K_ij / epsilon + u_i + v_j) with row sums a and column sums b, total mass 1.

    Attributes:
        u, v: potentials [n] and [m], float64; -inf where the weight is 0
        status: "fixed" (no tolerance was given), "converged", "stalled" or "iteration limit"
        iterations: full iterations that ran
        row_error, column_error, marginal_error: L1 errors of the row sums, of the column sums, and their sum
    """

    def __init__(self, call: Call, solution: _core.Solution, shape: tuple[int, int]) -> None:
        self._call, self._solution, self._shape = call, solution, shape
        result = solution.result
        self.status: str = result.status
        self.iterations: int = result.iterations
        self.row_error: float = result.row_error
        self.column_error: float = result.column_error
        self.marginal_error: float = result.marginal_error

    @property
    def u(self) -> Array:
        return self._call.give(self._solution.u())

    @property
    def v(self) -> Array:
        return self._call.give(self._solution.v())

    def plan(self) -> Array:
        """The plan P [n, m], float32."""
        out, plan = self._call.output(*self._shape)
        self._solution.plan(out)
        return self._call.give(plan)

    def apply(self, V: ArrayLike, *, transpose: bool = False) -> Array:
        """P V for V [m, d], or P' V for V [n, d], with only a few rows of P in memory at a time."""
        call = Call(self._call.context.device, V=V)
        rows = self._shape[1] if transpose else self._shape[0]
        out, result = call.output(rows, call.shapes["V"][1])
        self._solution.apply(call.inputs["V"], out, transpose)
        return call.give(result)

    def describe(self) -> str:
        """One line: the form of the solve and why, its memory, and how it maps to the machine."""
        return self._solution.describe()

    def __repr__(self) -> str:
        return (
            f"Sinkhorn(shape={list(self._shape)}, status='{self.status}', iterations={self.iterations}, "
            f"marginal_error={self.marginal_error:.3g})"
        )


def solve_options(
    iterations: int,
    tolerance: float,
    check_every: int,
    relaxation: float,
    epsilon_scaling: float,
    form: Form,
    storage: Storage,
) -> dict[str, Any]:
    return {
        "iterations": iterations,
        "tolerance": tolerance,
        "check_every": check_every,
        "relaxation": relaxation,
        "epsilon_scaling": epsilon_scaling,
        "form": form,
        "storage": storage,
    }


def sinkhorn(
    K: ArrayLike,
    epsilon: float,
    *,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    start: ArrayLike | None = None,
    iterations: int = 100,
    tolerance: float = 0.0,
    check_every: int = 5,
    relaxation: float = 1.0,
    epsilon_scaling: float = 1.0,
    symmetrize: bool = False,
    form: Form = "auto",
    storage: Storage = "float",
    device: str | None = None,
) -> Sinkhorn:
    """Solves max_P <P, K> - epsilon KL(P || a b') over plans P with row sums a and column sums b.

    One iteration sets u_i = log a_i - LSE_j(K_ij / epsilon + v_j), then v likewise. Safe at any epsilon.

    Args:
        K: affinity [n, m], the negative cost
        epsilon: > 0, in the units of K
        a, b: weights [n] and [m], >= 0, scaled to sum to 1; None: uniform
        start: column potentials [m] to start from; None: 0
        iterations: full iterations; with a tolerance, the limit
        tolerance: stops once the L1 error of the row sums is below; 0: runs all iterations
        check_every: iterations between two checks of that error
        relaxation: over-relaxation in (0, 2); 1.3 to 1.7 saves iterations at small epsilon
        epsilon_scaling: above 1, starts at this multiple of epsilon and about halves it every 5 iterations
        symmetrize: averages u with one further update, as the authors of SOTAlign do
        form: "auto", "scaling" (one more matrix in memory, fastest) or "log_domain"
        storage: "float", or "ladder": bfloat16 until the last iterations
        device: where to compute arrays in host memory, "cpu" or "cuda"; None: the CPU

    Returns: Sinkhorn

    Raises:
        InvalidArgument: for options, weights and shapes out of range
        NumericalError: if K has a row or column that is not finite
    """
    call = Call(device, K=K)
    options = solve_options(iterations, tolerance, check_every, relaxation, epsilon_scaling, form, storage)
    solution = _core.Solution(
        call.context,
        call.inputs["K"],
        epsilon,
        symmetrize,
        options,
        vector("a", a),
        vector("b", b),
        vector("start", start),
    )
    return Sinkhorn(call, solution, call.shapes["K"])
