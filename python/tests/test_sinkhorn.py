import numpy as np
import pytest
from conftest import log_domain

import sotalign


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (33, 57), (128, 96)])
@pytest.mark.parametrize("form", ["auto", "scaling", "log_domain"])
def test_agrees_with_the_oracle(rng, device, shape, form):
    K = rng.uniform(-1, 1, shape).astype(np.float32)
    a, b = rng.uniform(0.5, 2, shape[0]), rng.uniform(0.5, 2, shape[1])
    found = sotalign.sinkhorn(K, 0.1, a=a, b=b, iterations=300, form=form, device=device)
    _, _, plan = log_domain(K, 0.1, a, b)
    np.testing.assert_allclose(found.plan(), plan, rtol=1e-4, atol=1e-9)
    potentials = found.u[:, None] + found.v[None, :]
    np.testing.assert_allclose(np.exp(K / 0.1 + potentials), plan, rtol=1e-4, atol=1e-9)
    assert found.status == "fixed" and found.iterations == 300


def test_tolerance_stops_and_is_met(rng, device):
    K = rng.uniform(-1, 1, (80, 60)).astype(np.float32)
    found = sotalign.sinkhorn(K, 0.1, iterations=5000, tolerance=1e-4, device=device)
    assert found.status == "converged" and found.iterations < 5000
    assert found.row_error < 1e-4
    rows = np.abs(found.plan().sum(1, dtype=np.float64) - 1 / 80).sum()
    assert rows < 1.1e-4


def test_rows_without_weight_get_zeros(rng, device):
    K = rng.uniform(-1, 1, (6, 5)).astype(np.float32)
    found = sotalign.sinkhorn(K, 0.1, a=[1, 0, 1, 1, 0, 1], b=[1, 1, 0, 1, 1], device=device)
    plan = found.plan()
    assert np.all(plan[[1, 4]] == 0) and np.all(plan[:, 2] == 0)
    assert np.isneginf(found.u[1]) and np.isneginf(found.v[2])
    np.testing.assert_allclose(plan.sum(), 1, rtol=1e-5)


def test_products_equal_those_with_the_plan(rng, device):
    K = rng.uniform(-1, 1, (700, 90)).astype(np.float32)
    found = sotalign.sinkhorn(K, 0.2, device=device)
    plan = found.plan().astype(np.float64)
    V, W = rng.normal(size=(90, 7)).astype(np.float32), rng.normal(size=(700, 3)).astype(np.float32)
    np.testing.assert_allclose(found.apply(V), plan @ V, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.apply(W, transpose=True), plan.T @ W, rtol=1e-4, atol=1e-7)
    with pytest.raises(ValueError, match="expected 90 rows, found 700"):
        found.apply(W)


def test_a_start_at_the_solution_needs_few_iterations(rng, device):
    K = rng.uniform(-1, 1, (90, 90)).astype(np.float32)
    first = sotalign.sinkhorn(K, 0.05, iterations=5000, tolerance=1e-5, device=device)
    again = sotalign.sinkhorn(K, 0.05, iterations=5000, tolerance=1e-5, start=first.v, device=device)
    assert first.iterations > again.iterations


def test_views_types_and_lists(rng, device):
    wide = rng.uniform(-1, 1, (20, 50))
    expected = sotalign.sinkhorn(np.ascontiguousarray(wide[:, :30], np.float32), 0.1, device=device).plan()
    assert expected.dtype == np.float32
    for K in (wide[:, :30], wide.astype(np.float32)[:, :30], np.asfortranarray(wide[:, :30]), wide[:, :30].tolist()):
        np.testing.assert_array_equal(sotalign.sinkhorn(K, 0.1, device=device).plan(), expected)
    half = wide[:, :30].astype(np.float16)
    np.testing.assert_array_equal(
        sotalign.sinkhorn(half, 0.1, device=device).plan(),
        sotalign.sinkhorn(half.astype(np.float32), 0.1, device=device).plan(),
    )
    backwards = wide.astype(np.float32)[::-1, ::-1]
    np.testing.assert_array_equal(
        sotalign.sinkhorn(backwards, 0.1, device=device).plan(),
        sotalign.sinkhorn(backwards.copy(), 0.1, device=device).plan(),
    )


class Shared:
    """An array that is known by DLPack alone."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_dlpack_goes_in_without_numpy(rng, device):
    K = rng.uniform(-1, 1, (12, 8)).astype(np.float32)
    expected = sotalign.sinkhorn(K, 0.1, device=device).plan()
    np.testing.assert_array_equal(sotalign.sinkhorn(Shared(K), 0.1, device=device).plan(), expected)


def test_bad_input_is_named(rng):
    K = rng.uniform(-1, 1, (6, 5)).astype(np.float32)
    for options, text in [
        ({"epsilon": 0}, "epsilon: expected a number > 0, found 0"),
        ({"epsilon": 0.1, "iterations": -1}, "iterations"),
        ({"epsilon": 0.1, "iterations": "many"}, "iterations: expected a number, found 'many'"),
        ({"epsilon": 0.1, "relaxation": 2}, "relaxation"),
        ({"epsilon": 0.1, "form": "fast"}, "form: expected auto, scaling or log_domain, found 'fast'"),
        ({"epsilon": 0.1, "a": [1, 2]}, "weights a: expected 6 values, found 2"),
        ({"epsilon": 0.1, "b": [1, 1, 1, 1, -1]}, "weights b"),
        ({"epsilon": 0.1, "start": [np.nan] * 5}, "column potentials"),
        ({"epsilon": 0.1, "device": "cuda:99"}, "cuda:99"),
        ({"epsilon": 0.1, "device": "gpu"}, "gpu"),
    ]:
        with pytest.raises(ValueError, match=text) as caught:
            sotalign.sinkhorn(K, **options)
        assert isinstance(caught.value, sotalign.Error) and "\n" not in str(caught.value)
    for array in (K[0], K[None], K[:0], np.array([["a"]]), K.astype(complex)):
        with pytest.raises(ValueError):
            sotalign.sinkhorn(array, 0.1)
    for bad in (np.nan, np.inf):
        broken = K.copy()
        broken[2] = bad
        with pytest.raises(sotalign.NumericalError, match="row 2"):
            sotalign.sinkhorn(broken, 0.1)
