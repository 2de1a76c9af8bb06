"""KLOT: how far the plan of a student affinity is from the plan of a teacher affinity (arXiv 2602.23353)."""

import dataclasses
from typing import Any

from sotalign import _core
from sotalign._arrays import Call, vector
from sotalign._sinkhorn import solve_options


@dataclasses.dataclass
class KlotResult:
    """value: KL(P* || P); gradient: its gradient with respect to K, or None; student, teacher: how each solve ended
    (status, iterations, row_error, column_error, marginal_error)."""

    value: float
    gradient: Any
    student: Any
    teacher: Any


@dataclasses.dataclass
class EmbeddingKlotResult:
    """value: KL(P* || P); dx, dy: its gradients with respect to x and y; memory: how affinities were held; student,
    teacher: how each solve ended."""

    value: float
    dx: Any
    dy: Any
    memory: str
    student: Any
    teacher: Any


def klot(
    K,
    K_teacher,
    *,
    epsilon_student=0.05,
    epsilon_teacher=0.01,
    a=None,
    b=None,
    iterations=100,
    tolerance=0.0,
    check_every=5,
    relaxation=1.0,
    epsilon_scaling=1.0,
    symmetrize=True,
    form="auto",
    storage="float",
    gradient=True,
    gradient_scale=1.0,
    device=None,
):
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
    x,
    y,
    x_teacher,
    y_teacher,
    *,
    epsilon_student=0.05,
    epsilon_teacher=0.01,
    a=None,
    b=None,
    memory="auto",
    iterations=100,
    tolerance=0.0,
    check_every=5,
    relaxation=1.0,
    symmetrize=True,
    gradient_scale=1.0,
    device=None,
):
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
        *call.inputs.values(),
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
