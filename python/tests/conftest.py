"""The tests run against an installed package. With SOTALIGN_TEST_CORE=FILE they load that compiled module instead,
and with SOTALIGN_TEST_DEVICE=cuda they compute host arrays there: CI has the module with emulated kernels."""

import importlib.machinery
import importlib.util
import os
import sys

import numpy as np
import pytest


def _load_core(path):
    # The emulator's CUDA libraries are found with dlsym, which needs their names to be global.
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | os.RTLD_GLOBAL)
    try:
        loader = importlib.machinery.ExtensionFileLoader("sotalign._core", path)
        spec = importlib.util.spec_from_loader("sotalign._core", loader)
        sys.modules["sotalign._core"] = importlib.util.module_from_spec(spec)
        loader.exec_module(sys.modules["sotalign._core"])
    finally:
        sys.setdlopenflags(flags)


if os.environ.get("SOTALIGN_TEST_CORE"):
    _load_core(os.environ["SOTALIGN_TEST_CORE"])


@pytest.fixture
def device():
    return os.environ.get("SOTALIGN_TEST_DEVICE", "cpu")


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def log_domain(K, epsilon, a, b, iterations=2000):
    """Sinkhorn in float64: the oracle."""
    K = np.asarray(K, np.float64) / epsilon
    with np.errstate(divide="ignore"):
        log_a, log_b = np.log(a / np.sum(a)), np.log(b / np.sum(b))
    v = np.where(np.isfinite(log_b), 0.0, -np.inf)
    for _ in range(iterations):
        u = log_a - np.logaddexp.reduce(K + v, axis=1)
        v = log_b - np.logaddexp.reduce(K + u[:, None], axis=0)
    return u, v, np.exp(K + u[:, None] + v)


def clusters(rng, rows, dim, noise=0.4):
    """Unit rows near a few directions, and another view of the same items."""
    centres = rng.normal(size=(8, dim))
    base = centres[rng.integers(8, size=rows)] + noise * rng.normal(size=(rows, dim))
    other = base @ rng.normal(size=(dim, dim)) / dim**0.5 + 0.3 * rng.normal(size=(rows, dim))
    return tuple((m / np.linalg.norm(m, axis=1, keepdims=True)).astype(np.float32) for m in (base, other))
