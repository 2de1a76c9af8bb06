import json
import os
import pathlib

import numpy as np
import pytest
from conftest import clusters, log_domain

import sotalign

GOLDEN = pathlib.Path(os.environ.get("SOTALIGN_GOLDEN", pathlib.Path(__file__).parents[2] / "tests" / "golden"))


def oracle(K, K_teacher, epsilon_student, epsilon_teacher):
    """Value and gradient in float64 at convergence."""
    n, m = K.shape
    a, b = np.ones(n), np.ones(m)
    u, v, P = log_domain(K, epsilon_student, a, b)
    ut, vt, Pt = log_domain(K_teacher, epsilon_teacher, a, b)
    K, K_teacher = np.asarray(K, np.float64), np.asarray(K_teacher, np.float64)
    log_p = K / epsilon_student + u[:, None] + v
    log_pt = K_teacher / epsilon_teacher + ut[:, None] + vt
    return np.sum(Pt * (log_pt - log_p)), (P - Pt) / epsilon_student


def test_agrees_with_the_oracle(rng, device):
    K, K_teacher = (rng.uniform(-1, 1, (40, 30)).astype(np.float32) for _ in range(2))
    found = sotalign.klot(K, K_teacher, epsilon_student=0.1, epsilon_teacher=0.08, iterations=200, device=device)
    value, gradient = oracle(K, K_teacher, 0.1, 0.08)
    assert abs(found.value - value) <= 1e-4 * value
    np.testing.assert_allclose(found.gradient, gradient, atol=2e-5 * np.abs(gradient).max())
    assert found.student.status == found.teacher.status == "fixed"
    scaled = sotalign.klot(
        K, K_teacher, epsilon_student=0.1, epsilon_teacher=0.08, iterations=200, gradient_scale=-2, device=device
    )
    np.testing.assert_allclose(scaled.gradient, -2 * found.gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden vectors are in the repository, not in the package")
@pytest.mark.parametrize("case", [0, 1, 3, 4, 5])
def test_golden_vectors_of_the_authors(case, device):
    entries = {entry["case"]: entry for entry in json.loads((GOLDEN / "manifest.json").read_text())}
    entry = entries[f"klot_{case}"]
    K, K_teacher, gradient = (
        np.load(GOLDEN / f"klot_{case}.{name}.npy") for name in ("k_student", "k_teacher", "grad")
    )
    found = sotalign.klot(
        K,
        K_teacher,
        epsilon_student=entry["epsilon_student"],
        epsilon_teacher=entry["epsilon_teacher"],
        iterations=entry["iterations"],
        device=device,
    )
    assert abs(found.value - entry["value"]) <= 2e-6 * max(abs(entry["value"]), 1)
    plan = np.load(GOLDEN / f"klot_{case}.plan_teacher.npy")
    rounding = 4 * 2.0**-24 * plan.max() / entry["epsilon_student"]  # of a float32 plan
    np.testing.assert_allclose(found.gradient, gradient, atol=1e-4 * np.abs(gradient).max() + rounding)


def test_the_value_alone(rng, device):
    K, K_teacher = (rng.uniform(-1, 1, (20, 30)).astype(np.float32) for _ in range(2))
    both, value = (sotalign.klot(K, K_teacher, gradient=g, device=device) for g in (True, False))
    assert value.gradient is None and value.value == both.value


@pytest.mark.parametrize("memory", ["auto", "stored", "fixed16", "streamed"])
def test_embeddings_equal_affinities(rng, device, memory):
    x, y = clusters(rng, 60, 12)
    x_teacher, y_teacher = clusters(rng, 60, 9)
    y, y_teacher = y[:50], y_teacher[:50]
    found = sotalign.klot_embeddings(x, y, x_teacher, y_teacher, epsilon_teacher=0.05, memory=memory, device=device)
    K = x @ y.T
    expected = sotalign.klot(K, x_teacher @ y_teacher.T, epsilon_teacher=0.05, device=device)
    tolerance = 2e-3 if memory == "fixed16" else 2e-5
    assert abs(found.value - expected.value) <= tolerance * expected.value
    scale = np.abs(expected.gradient @ y).max()
    np.testing.assert_allclose(found.dx, expected.gradient @ y, atol=tolerance * scale)
    np.testing.assert_allclose(found.dy, expected.gradient.T @ x, atol=tolerance * scale)
    assert found.memory == memory or memory == "auto"


def test_lists_and_views_of_embeddings(rng, device):
    x, y = clusters(rng, 30, 8)
    expected = sotalign.klot_embeddings(x, y, x, y, device=device)
    wide = np.concatenate([x, x], axis=1)
    for other in (x.tolist(), wide[:, :8], np.asfortranarray(x), x.astype(np.float64)):
        found = sotalign.klot_embeddings(other, y.tolist(), other, y, device=device)
        assert found.value == expected.value and isinstance(found.dx, np.ndarray)
        np.testing.assert_array_equal(found.dx, expected.dx)
        np.testing.assert_array_equal(found.dy, expected.dy)


def test_bad_input_is_named(rng):
    K = rng.uniform(-1, 1, (6, 5)).astype(np.float32)
    with pytest.raises(ValueError, match=r"teacher affinity: expected \[6, 5\], found \[5, 6\]"):
        sotalign.klot(K, K.T)
    with pytest.raises(ValueError, match="epsilon"):
        sotalign.klot(K, K, epsilon_teacher=-1)
    with pytest.raises(ValueError, match="memory: expected auto, stored, fixed16 or streamed, found 'small'"):
        sotalign.klot_embeddings(K, K, K, K, memory="small")
