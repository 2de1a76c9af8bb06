"""KLOT and Sinkhorn for PyTorch: with gradients, on the tensors' device, in graphs of torch.compile.

    loss = sotalign.torch.KLOT(epsilon_student=0.05, epsilon_teacher=0.01)(x @ y.T, x_teacher @ y_teacher.T)
    loss.backward()

Computed in float32; results have the type of the first argument. Tensors on a CUDA device are computed there, on the
current stream, with PyTorch's allocator.
"""

from typing import TYPE_CHECKING, Any, Literal

import torch

import sotalign

if TYPE_CHECKING:
    from sotalign._model import Projection, Side

__all__ = ["KLOT", "klot", "klot_embeddings", "module_of", "sinkhorn"]

_NO_GRADIENT = "the teacher is not trained: pass it without requires_grad, or detached"


# --- KLOT ---------------------------------------------------------------------------------------------------------


@torch.library.custom_op("sotalign::klot", mutates_args=())
def _klot(
    student: torch.Tensor,
    teacher: torch.Tensor,
    epsilon_student: float,
    epsilon_teacher: float,
    iterations: int,
    tolerance: float,
    relaxation: float,
    symmetrize: bool,
    gradient: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(value, gradient, solves): solves [2, 3] has iterations, row error and marginal error of student and teacher."""
    result = sotalign.klot(
        student,
        teacher,
        epsilon_student=epsilon_student,
        epsilon_teacher=epsilon_teacher,
        iterations=iterations,
        tolerance=tolerance,
        relaxation=relaxation,
        symmetrize=symmetrize,
        gradient=gradient,
    )
    solves = [[s.iterations, s.row_error, s.marginal_error] for s in (result.student, result.teacher)]
    value = torch.tensor(result.value, dtype=student.dtype, device=student.device)
    grad = result.gradient.to(student.dtype) if gradient else student.new_empty((0, 0))
    return value, grad, torch.tensor(solves, dtype=torch.float64)


@_klot.register_fake
def _(student, teacher, epsilon_student, epsilon_teacher, iterations, tolerance, relaxation, symmetrize, gradient):
    shape = student.shape if gradient else (0, 0)
    return student.new_empty(()), student.new_empty(shape), torch.empty((2, 3), dtype=torch.float64)


def _klot_setup(ctx, inputs, output):
    ctx.save_for_backward(output[1])


def _klot_backward(ctx, value, _gradient, _solves):
    (gradient,) = ctx.saved_tensors
    return (value * gradient,) + (None,) * 8


_klot.register_autograd(_klot_backward, setup_context=_klot_setup)


def klot(
    K: torch.Tensor,
    K_teacher: torch.Tensor,
    *,
    epsilon_student: float = 0.05,
    epsilon_teacher: float = 0.01,
    iterations: int = 100,
    tolerance: float = 0.0,
    relaxation: float = 1.0,
    symmetrize: bool = True,
) -> torch.Tensor:
    """KLOT(K || K*) as a scalar tensor. Its gradient with respect to K is (P - P*) / epsilon_student.

    K [n, m]: the student's affinity, K_teacher [n, m]: the teacher's, without gradient; the others as for
    sotalign.klot().
    """
    return _klot_with_log(
        K, K_teacher, epsilon_student, epsilon_teacher, iterations, tolerance, relaxation, symmetrize
    )[0]


def _klot_with_log(
    K: torch.Tensor,
    K_teacher: torch.Tensor,
    epsilon_student: float,
    epsilon_teacher: float,
    iterations: int,
    tolerance: float,
    relaxation: float,
    symmetrize: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    if K_teacher.requires_grad:
        raise sotalign.InvalidArgument(f"K_teacher: {_NO_GRADIENT}")
    needed = K.requires_grad and torch.is_grad_enabled()
    value, _, solves = torch.ops.sotalign.klot(
        K, K_teacher, epsilon_student, epsilon_teacher, iterations, tolerance, relaxation, symmetrize, needed
    )
    return value, solves


class KLOT(torch.nn.Module):
    """KLOT with the signature of the authors' released module: forward(K_student, K_teacher).

    Returns the value; with return_solver_log also two dictionaries, of the student's and of the teacher's solve:
    "n_iters", the number of the last iteration counted from 0, and "err", the mean absolute error of the row sums.
    """

    def __init__(
        self,
        epsilon_student: float = 0.05,
        epsilon_teacher: float = 0.005,
        n_iter: int = 100,
        return_solver_log: bool = False,
    ) -> None:
        super().__init__()
        self.epsilon_student = epsilon_student
        self.epsilon_teacher = epsilon_teacher
        self.n_iter = n_iter
        self.return_solver_log = return_solver_log

    def forward(self, K_student: torch.Tensor, K_teacher: torch.Tensor) -> Any:
        value, solves = _klot_with_log(
            K_student, K_teacher.detach(), self.epsilon_student, self.epsilon_teacher, self.n_iter, 0.0, 1.0, True
        )
        if not self.return_solver_log:
            return value
        rows = K_student.shape[0]
        logs = [{"n_iters": int(solve[0]) - 1, "err": (solve[1] / rows).to(value)} for solve in solves]
        return (value, *logs)

    def extra_repr(self) -> str:
        return f"epsilon_student={self.epsilon_student}, epsilon_teacher={self.epsilon_teacher}, n_iter={self.n_iter}"


# --- KLOT of embeddings -------------------------------------------------------------------------------------------


@torch.library.custom_op("sotalign::klot_embeddings", mutates_args=())
def _klot_embeddings(
    x: torch.Tensor,
    y: torch.Tensor,
    x_teacher: torch.Tensor,
    y_teacher: torch.Tensor,
    epsilon_student: float,
    epsilon_teacher: float,
    iterations: int,
    tolerance: float,
    relaxation: float,
    symmetrize: bool,
    memory: str,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    result = sotalign.klot_embeddings(
        x,
        y,
        x_teacher,
        y_teacher,
        epsilon_student=epsilon_student,
        epsilon_teacher=epsilon_teacher,
        iterations=iterations,
        tolerance=tolerance,
        relaxation=relaxation,
        symmetrize=symmetrize,
        memory=memory,  # type: ignore[arg-type]
    )
    value = torch.tensor(result.value, dtype=x.dtype, device=x.device)
    return value, result.dx.to(x.dtype), result.dy.to(y.dtype)


@_klot_embeddings.register_fake
def _(x, y, x_teacher, y_teacher, epsilon_student, epsilon_teacher, iterations, tolerance, relaxation, symmetrize, memory):
    return x.new_empty(()), x.new_empty(x.shape), y.new_empty(y.shape)


def _embeddings_setup(ctx, inputs, output):
    ctx.save_for_backward(output[1], output[2])


def _embeddings_backward(ctx, value, _dx, _dy):
    dx, dy = ctx.saved_tensors
    return (value * dx, value * dy) + (None,) * 9


_klot_embeddings.register_autograd(_embeddings_backward, setup_context=_embeddings_setup)


def klot_embeddings(
    x: torch.Tensor,
    y: torch.Tensor,
    x_teacher: torch.Tensor,
    y_teacher: torch.Tensor,
    *,
    epsilon_student: float = 0.05,
    epsilon_teacher: float = 0.01,
    iterations: int = 100,
    tolerance: float = 0.0,
    relaxation: float = 1.0,
    symmetrize: bool = True,
    memory: Literal["auto", "stored", "fixed16", "streamed"] = "auto",
) -> torch.Tensor:
    """KLOT of K = x y' and K* = x* y*' as a scalar tensor, with gradients for x and y; see sotalign.klot_embeddings().

    memory="streamed" never holds an affinity [n, m].
    """
    if x_teacher.requires_grad or y_teacher.requires_grad:
        raise sotalign.InvalidArgument(f"x_teacher, y_teacher: {_NO_GRADIENT}")
    return torch.ops.sotalign.klot_embeddings(
        x,
        y,
        x_teacher,
        y_teacher,
        epsilon_student,
        epsilon_teacher,
        iterations,
        tolerance,
        relaxation,
        symmetrize,
        memory,
    )[0]


# --- Sinkhorn -----------------------------------------------------------------------------------------------------


@torch.library.custom_op("sotalign::sinkhorn", mutates_args=())
def _sinkhorn(
    K: torch.Tensor, epsilon: float, iterations: int, tolerance: float, relaxation: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(value, plan)"""
    solution = sotalign.sinkhorn(K, epsilon, iterations=iterations, tolerance=tolerance, relaxation=relaxation)
    plan = solution.plan()
    # P_ij = exp(K_ij / epsilon + u_i + v_j), so <P, K> - epsilon <P, log P - log a b'> needs the potentials alone.
    rows, cols = plan.sum(1, dtype=torch.float64), plan.sum(0, dtype=torch.float64)
    entropy = rows @ solution.u + cols @ solution.v + rows.sum() * (
        torch.tensor(float(K.shape[0])).log() + torch.tensor(float(K.shape[1])).log()
    )
    return (-epsilon * entropy).to(K.dtype), plan.to(K.dtype)


@_sinkhorn.register_fake
def _(K, epsilon, iterations, tolerance, relaxation):
    return K.new_empty(()), K.new_empty(K.shape)


def _sinkhorn_setup(ctx, inputs, output):
    ctx.save_for_backward(output[1])
    ctx.epsilon = inputs[1]


@torch.library.custom_op("sotalign::sinkhorn_backward", mutates_args=())
def _sinkhorn_gradient(plan: torch.Tensor, d_value: torch.Tensor, d_plan: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The envelope theorem for the value; implicit differentiation of the marginal constraints for the plan.

    The plan's part is P * (dP - alpha 1' - 1 beta') / epsilon, with row and column sums of 0: alpha and beta solve
    diag(a) alpha + P beta = (P * dP) 1 and P' alpha + diag(b) beta = (P * dP)' 1. Block Gauss-Seidel in float64, which
    is Sinkhorn's own iteration, linearized, and converges as fast.
    """
    P, inner = plan.double(), d_plan.double()
    weighted, a, b = P * inner, P.sum(1), P.sum(0)
    rows, cols = weighted.sum(1) / a, weighted.sum(0) / b
    alpha, beta = rows, torch.zeros_like(cols)
    for _ in range(10000):
        beta = cols - P.mT @ alpha / b
        updated = rows - P @ beta / a
        change = (updated - alpha).abs().max()
        alpha = updated
        if not change > 1e-10 * (1 + alpha.abs().max()):
            break
    inner = inner - alpha[:, None] - beta[None, :]
    return (d_value.double() * P + P * inner / epsilon).to(plan.dtype)


@_sinkhorn_gradient.register_fake
def _(plan, d_value, d_plan, epsilon):
    return plan.new_empty(plan.shape)


def _sinkhorn_backward(ctx, d_value, d_plan):
    (plan,) = ctx.saved_tensors
    return torch.ops.sotalign.sinkhorn_backward(plan, d_value, d_plan, ctx.epsilon), None, None, None, None


_sinkhorn.register_autograd(_sinkhorn_backward, setup_context=_sinkhorn_setup)


def sinkhorn(
    K: torch.Tensor, epsilon: float, *, iterations: int = 100, tolerance: float = 0.0, relaxation: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """(value, plan) of max_P <P, K> - epsilon KL(P || a b') with uniform weights a and b, both differentiable.

    The gradient of the value is P. That of the plan is exact at convergence, and needs no memory for the iterations.
    """
    value, plan = torch.ops.sotalign.sinkhorn(K, float(epsilon), iterations, tolerance, relaxation)
    return value, plan


# --- models -------------------------------------------------------------------------------------------------------


class _Unit(torch.nn.Module):
    """Rows scaled to unit length; a zero row stays zero."""

    def forward(self, x):
        length = x.norm(dim=1, keepdim=True)
        return torch.where(length > 0, x / length.clamp_min(torch.finfo(x.dtype).tiny), x)


class _Centre(torch.nn.Module):
    def __init__(self, mean):
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(mean.copy()))

    def forward(self, x):
        return x - self.mean


class _Residual(torch.nn.Module):
    """layers(x) + linear(x)"""

    def __init__(self, layers, linear):
        super().__init__()
        self.layers, self.linear = layers, linear

    def forward(self, x):
        return self.layers(x) + self.linear(x)


def _linear(weight, bias=None):
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        if bias is not None:
            layer.bias.copy_(torch.from_numpy(bias.copy()))
    return layer


_ACTIVATIONS = {"relu": torch.nn.ReLU, "gelu": torch.nn.GELU, "tanh": torch.nn.Tanh, "none": torch.nn.Identity}


def module_of(model: sotalign.Model, side: "Side", projection: "Projection") -> torch.nn.Sequential:
    """One side of a sotalign.Model as a torch.nn.Sequential from raw embeddings to unit rows."""
    arrays = model.arrays(side, projection)
    modules = [_Centre(arrays["mean"]), _Unit()]
    if projection == "teacher":
        modules += [_Centre(arrays["teacher.mean"]), _linear(arrays["teacher.weight"].T)]
        return torch.nn.Sequential(*modules, _Unit())
    head = model._core.head(side)
    layers = []
    for i in range(head["layers"]):
        if i > 0:
            layers.append(_ACTIVATIONS[head["activation"]]())
        layers.append(_linear(arrays[f"{i}.weight"], arrays[f"{i}.bias"]))
    body: torch.nn.Module = torch.nn.Sequential(*layers)
    if head["residual"]:
        body = _Residual(body, _linear(arrays["residual.weight"]))
    return torch.nn.Sequential(*modules, body, _Unit())
