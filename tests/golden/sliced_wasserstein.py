"""Computes POT's values for the small sets of lib/sliced_wasserstein_test.cpp (`golden_set`): pip install numpy pot."""
import numpy as np
import ot


def golden_set(rows, cols, shift):
    i, j = np.arange(rows)[:, None], np.arange(cols)[None, :]
    x = np.sin(1.0 + 12.9898 * i + 78.233 * j + 3.7 * i * j) + shift * (j == 0)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


rng = np.random.RandomState(0)
for n, m, d in [(20, 20, 5), (20, 13, 5), (7, 31, 16)]:
    x, y = golden_set(n, d, 0.0), golden_set(m, d, 1.5)
    squares = []
    for _ in range(100):
        _, log = ot.sliced_wasserstein_sphere(x, y, n_projections=1000, seed=rng, log=True)
        squares.append(log["projected_emds"])
    squares = np.concatenate(squares)
    value = np.sqrt(squares.mean())
    print(n, m, d, repr(value), "+-", squares.std() / np.sqrt(squares.size) / (2 * value))
