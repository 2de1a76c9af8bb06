import copy

import numpy as np
import pytest
from conftest import clusters, log_domain

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

import sotalign  # noqa: E402
import sotalign.torch as st  # noqa: E402


def affinities(rng, n=24, m=18):
    return (torch.from_numpy(rng.uniform(-1, 1, (n, m)).astype(np.float32)) for _ in range(2))


def reference(K, K_teacher, epsilon_student, epsilon_teacher, iterations):
    """The formulas of the authors' module in float64: value, gradient, and the mean error of the student's rows."""

    def solve(A, epsilon):
        n, m = A.shape
        L = A / epsilon
        log_a, log_b = -torch.tensor(float(n)).double().log(), -torch.tensor(float(m)).double().log()
        v = torch.zeros(m, dtype=torch.float64)
        for _ in range(iterations):
            u = log_a - torch.logsumexp(L + v, 1)
            v = log_b - torch.logsumexp(L + u[:, None], 0)
        u = (u + log_a - torch.logsumexp(L + v, 1)) / 2
        return L + u[:, None] + v

    log_p, log_t = solve(K.double(), epsilon_student), solve(K_teacher.double(), epsilon_teacher)
    value = (log_t.exp() * (log_t - log_p)).sum()
    error = (log_p.exp().sum(1) - 1 / K.shape[0]).abs().mean()
    return value.item(), (log_p.exp() - log_t.exp()) / epsilon_student, error.item()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_klot_and_its_gradient(rng, dtype):
    K, K_teacher = affinities(rng)
    K = K.to(dtype).requires_grad_()
    loss = st.klot(K, K_teacher, epsilon_teacher=0.05)
    (3 * loss).backward()
    value, gradient, _ = reference(K.detach().float(), K_teacher, 0.05, 0.05, 100)
    tolerance = 1e-3 if dtype == torch.float16 else 1e-5
    assert loss.dtype == K.grad.dtype == dtype
    assert abs(loss.item() - value) <= tolerance * value
    torch.testing.assert_close(K.grad.double(), 3 * gradient, rtol=0, atol=tolerance * 3 * gradient.abs().max().item())


@pytest.mark.parametrize("log", [False, True])
def test_the_module_of_the_authors(rng, log):
    K, K_teacher = affinities(rng)
    K.requires_grad_()
    module = st.KLOT(epsilon_student=0.1, epsilon_teacher=0.05, n_iter=20, return_solver_log=log)
    found = module(K, K_teacher.requires_grad_())
    loss = found[0] if log else found
    loss.backward()
    value, gradient, error = reference(K.detach(), K_teacher.detach(), 0.1, 0.05, 20)
    assert abs(loss.item() - value) <= 1e-5 * value
    torch.testing.assert_close(K.grad.double(), gradient, rtol=0, atol=1e-5 * gradient.abs().max().item())
    assert K_teacher.grad is None
    if log:
        assert [entry["n_iters"] for entry in found[1:]] == [19, 19]
        assert abs(found[1]["err"].item() - error) <= 1e-8


def test_descent_as_in_the_authors_demonstration():
    torch.manual_seed(0)
    K_teacher = 10 * torch.eye(5)
    K = torch.rand((5, 5), requires_grad=True)
    klot = st.KLOT(epsilon_student=0.1, epsilon_teacher=0.1, n_iter=100)
    ours, theirs = [], []
    other = K.detach().clone()
    for _ in range(200):
        loss = klot(K, K_teacher)
        loss.backward()
        value, gradient, _ = reference(other, K_teacher, 0.1, 0.1, 100)
        ours.append(loss.item())
        theirs.append(value)
        with torch.no_grad():
            K -= 1e-2 * K.grad
            K.grad.zero_()
            other -= 1e-2 * gradient.float()
    assert ours[-1] < 0.2 * ours[0]
    np.testing.assert_allclose(ours, theirs, rtol=2e-4, atol=2e-6)


def test_gradcheck(rng):
    # float32 inside: a wide step, and tolerances of its rounding. The solves have converged.
    K, K_teacher = affinities(rng, 6, 5)
    check = dict(eps=1e-2, atol=2e-3, rtol=2e-2)
    klot = lambda k: st.klot(k, K_teacher, epsilon_student=0.5, epsilon_teacher=0.5)  # noqa: E731
    assert torch.autograd.gradcheck(klot, (K.double().requires_grad_(),), **check)
    for part in (0, 1):
        solve = lambda k: st.sinkhorn(k, 0.5)[part]  # noqa: E731, B023
        assert torch.autograd.gradcheck(solve, (K.double().requires_grad_(),), **check)
    x, y = (torch.from_numpy(a).double().requires_grad_() for a in clusters(rng, 6, 4))
    teacher = tuple(torch.from_numpy(a) for a in clusters(rng, 6, 3))
    embeddings = lambda x, y: st.klot_embeddings(x, y, *teacher, epsilon_student=0.5, epsilon_teacher=0.5)  # noqa: E731
    assert torch.autograd.gradcheck(embeddings, (x, y), **check)


def test_opcheck(rng):
    K, K_teacher = affinities(rng, 6, 5)
    K.requires_grad_()
    x, y = (torch.from_numpy(a).requires_grad_() for a in clusters(rng, 6, 4))
    teacher = tuple(torch.from_numpy(a) for a in clusters(rng, 6, 3))
    for gradient in (True, False):
        torch.library.opcheck(
            torch.ops.sotalign.klot, (K if gradient else K.detach(), K_teacher, 0.1, 0.1, 50, 0.0, 1.0, True, gradient)
        )
    torch.library.opcheck(
        torch.ops.sotalign.klot_embeddings, (x, y, *teacher, 0.1, 0.1, 50, 0.0, 1.0, True, "streamed")
    )
    torch.library.opcheck(torch.ops.sotalign.sinkhorn, (K, 0.1, 50, 0.0, 1.0))


def test_compiled_functions_give_the_same(rng):
    K, K_teacher = affinities(rng)

    def loss(k):
        return 2 * st.klot(torch.tanh(k), K_teacher, epsilon_teacher=0.05) + st.sinkhorn(k, 0.1)[0]

    plain, compiled = K.clone().requires_grad_(), K.clone().requires_grad_()
    first, second = loss(plain), torch.compile(loss, fullgraph=True, backend="aot_eager")(compiled)
    first.backward()
    second.backward()
    torch.testing.assert_close(first, second)
    torch.testing.assert_close(plain.grad, compiled.grad)


def test_sinkhorn_value_and_plan(rng):
    K, _ = affinities(rng)
    value, plan = st.sinkhorn(K, 0.1, iterations=500)
    _, _, expected = log_domain(K.numpy(), 0.1, np.ones(24), np.ones(18))
    np.testing.assert_allclose(plan.numpy(), expected, rtol=1e-4, atol=1e-9)
    objective = (expected * K.numpy()).sum() - 0.1 * (expected * np.log(expected * 24 * 18)).sum()
    assert abs(value.item() - objective) <= 1e-5 * abs(objective)


def test_tensors_go_in_and_come_out(rng):
    K, K_teacher = affinities(rng)
    solution = sotalign.sinkhorn(K, 0.1)
    assert isinstance(solution.plan(), torch.Tensor) and isinstance(solution.u, torch.Tensor)
    np.testing.assert_array_equal(solution.plan().numpy(), sotalign.sinkhorn(K.numpy(), 0.1).plan())
    wide = torch.cat([K, K], 1)
    for view in (wide[:, :18], K.T.contiguous().T, K.double(), K.clone().requires_grad_()):
        torch.testing.assert_close(sotalign.klot(view, K_teacher).gradient, sotalign.klot(K, K_teacher).gradient)
    for bad in (K.to(torch.complex64), K[0], K > 0):
        with pytest.raises(ValueError):
            sotalign.sinkhorn(bad, 0.1)
    with pytest.raises(ValueError, match="the teacher is not trained"):
        st.klot(K, K_teacher.clone().requires_grad_())


@pytest.mark.parametrize("options", [{}, {"hidden": [16, 12], "activation": "tanh", "residual": True, "dim": 6}])
def test_models_become_modules(rng, options):
    x, y = clusters(rng, 120, 10)
    aligner = sotalign.Aligner(steps=4, progress=False, teacher="cca", device="cpu", **options)
    aligner.fit(x[:40], y[:40], x[40:], y[40:])
    modules = aligner.to_torch()
    for side, rows in (("image", x), ("text", y)):
        found = modules[side](torch.from_numpy(rows))
        torch.testing.assert_close(found.detach().numpy(), aligner.transform(rows, side), rtol=0, atol=2e-6)
        assert any(parameter.requires_grad for parameter in modules[side].parameters())
    linear = sotalign.Aligner(device="cpu").fit(x[:40], y[:40])
    found = linear.to_torch()["image"](torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, linear.transform(x, "image"), atol=2e-6)


def test_modules_can_be_copied_and_used_in_a_trainer(rng):
    K, K_teacher = affinities(rng)
    module = copy.deepcopy(st.KLOT())
    with torch.no_grad():
        assert not module(K, K_teacher).requires_grad


def test_openmp_of_both_libraries(rng):
    big = torch.from_numpy(rng.normal(size=(600, 600)).astype(np.float32))
    for _ in range(3):
        product = big @ big.T
        plan = sotalign.sinkhorn(product / product.abs().max(), 0.1).plan()
        assert torch.isfinite(plan).all()


def test_released_names(rng):
    from sotalign.released import KLOT, sinkhorn

    assert KLOT is st.KLOT
    K, _ = affinities(rng)
    plan, log_plan, log = sinkhorn(-K, epsilon=0.1, max_iter=30)
    _, gradient, error = reference(K, torch.zeros_like(K), 0.1, 1e6, 30)
    expected = gradient * 0.1 + 1 / K.numel()
    torch.testing.assert_close(plan.double(), expected, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(log_plan.exp(), plan, rtol=1e-4, atol=1e-9)
    assert log["n_iters"] == 29 and abs(log["err"].item() - error) <= 1e-8
    assert sinkhorn(-K, 0.5, 1000, check_convergence_every=5)[2]["n_iters"] < 100
