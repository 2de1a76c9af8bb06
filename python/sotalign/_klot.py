"""KLOT: how far the plan of a student affinity is from the plan of a teacher affinity (arXiv 2602.23353)."""

from __future__ import annotations

import dataclasses
from typing import Literal

from sotalign import _core
from sotalign._arrays import Array, ArrayLike, Call, vector
from sotalign._sinkhorn import Form, Storage, solve_options


@dataclasses.dataclass
class KlotResult:
    """value: KL(P* || P); gradient: its gradient with respect to K, or None; student, teacher: how each solve ended
    (status, iterations, row_error, column_error, marginal_error)."""

    value: float
    gradient: Array
    student: _core.SolveResult
    teacher: _core.SolveResult


@dataclasses.dataclass
class EmbeddingKlotResult:
    """value: KL(P* || P); dx, dy: its gradients with respect to x and y; memory: how affinities were held; student,
    teacher: how each solve ended."""

    value: float
    dx: Array
    dy: Array
    memory: str
    student: _core.SolveResult
    teacher: _core.SolveResult


def klot(
    K: ArrayLike,
    K_teacher: ArrayLike,
    *,
    epsilon_student: float = 0.05,
    epsilon_teacher: float = 0.01,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    iterations: int = 100,
    tolerance: float = 0.0,
    check_every: int = 5,
    relaxation: float = 1.0,
    epsilon_scaling: float = 1.0,
    symmetrize: bool = True,
    form: Form = "auto",
    storage: Storage = "float",
    gradient: bool = True,
    gradient_scale: float = 1.0,
    device: str | None = None,
) -> KlotResult:
    """KLOT(K || K*) = KL(P* || P), with P and P* the plans of K and K*, and its gradient (P - P*) / epsilon_student.

    The gradient is exact once the student's solve has converged. Plans have total mass 1; in the paper's text rows
    sum to 1, so its values and gradients are n times these.

    Args:
        K, K_teacher: affinities [n, m] of student and teacher, such as cosines
        epsilon_student, epsilon_teacher: > 0
        a, b: weights [n] and [m]; None: uniform
        gradient: False computes the value alone
        gradient_scale: a factor of the gradient
        symmetrize: True as in the authors' code
        iterations ... device: as for sinkhorn(); they apply to both solves

    Returns: KlotResult
    """
    call = Call(device, K=K, K_teacher=K_teacher)
    out, result = call.output(*call.shapes["K"]) if gradient else (None, None)
    options = solve_options(iterations, tolerance, check_every, relaxation, epsilon_scaling, form, storage)
    found = _core.klot(
        call.context,
        call.inputs["K"],
        call.inputs["K_teacher"],
        epsilon_student,
        epsilon_teacher,
        symmetrize,
        options,
        options,
        vector("a", a),
        vector("b", b),
        out,
        gradient_scale,
    )
    return KlotResult(found.value, call.give(result) if gradient else None, found.student, found.teacher)


def klot_embeddings(
    x: ArrayLike,
    y: ArrayLike,
    x_teacher: ArrayLike,
    y_teacher: ArrayLike,
    *,
    epsilon_student: float = 0.05,
    epsilon_teacher: float = 0.01,
    a: ArrayLike | None = None,
    b: ArrayLike | None = None,
    memory: Literal["auto", "stored", "fixed16", "streamed"] = "auto",
    iterations: int = 100,
    tolerance: float = 0.0,
    check_every: int = 5,
    relaxation: float = 1.0,
    symmetrize: bool = True,
    gradient_scale: float = 1.0,
    device: str | None = None,
) -> EmbeddingKlotResult:
    """KLOT of the affinities K = x y' and K* = x* y*', and its gradients with respect to x and y.

    Args:
        x, y: the student's embeddings [n, d] and [m, d]; unit rows give cosines
        x_teacher, y_teacher: the teacher's, [n, k] and [m, k]
        memory: "stored" (12 bytes for each of n m entries), "fixed16" (4), "streamed" (no affinity is ever held), or
            "auto": the first that fits in 7/8 of the free memory
        the others: as for klot()

    Returns: EmbeddingKlotResult
    """
    call = Call(device, x=x, y=y, x_teacher=x_teacher, y_teacher=y_teacher)
    out_x, dx = call.output(*call.shapes["x"])
    out_y, dy = call.output(*call.shapes["y"])
    options = solve_options(iterations, tolerance, check_every, relaxation, 1.0, "auto", "float")
    found = _core.klot_embeddings(
        call.context,
        call.inputs["x"],
        call.inputs["y"],
        call.inputs["x_teacher"],
        call.inputs["y_teacher"],
        epsilon_student,
        epsilon_teacher,
        symmetrize,
        options,
        options,
        vector("a", a),
        vector("b", b),
        memory,
        out_x,
        out_y,
        gradient_scale,
    )
    result = found.klot
    return EmbeddingKlotResult(
        result.value, call.give(dx), call.give(dy), found.memory, result.student, result.teacher
    )
