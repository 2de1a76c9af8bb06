import numpy as np
import pytest
from conftest import clusters

import sotalign
from sotalign import metrics


def test_search_finds_the_nearest(rng, device):
    queries, gallery = clusters(rng, 300, 16)
    queries = 5 * queries[:40]  # rows need not have unit length
    scores, rows = sotalign.search(queries, gallery, 7, device=device)
    q, g = queries.astype(np.float64), gallery.astype(np.float64)
    cosines = q @ g.T / np.linalg.norm(q, axis=1)[:, None] / np.linalg.norm(g, axis=1)
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :7], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(cosines, rows, 1), scores, atol=1e-6)
    assert rows.dtype == np.int64 and rows.shape == (40, 7)
    with pytest.raises(ValueError, match="k, expected 1 to 300"):
        sotalign.search(queries, gallery, 301, device=device)


def test_retrieval_counts_ranks(rng, device):
    images, _ = clusters(rng, 50, 8)
    texts = images + 0.2 * rng.normal(size=(50, 8)).astype(np.float32)
    found = metrics.retrieval(images, texts, device=device)
    lengths = np.linalg.norm(texts.astype(np.float64), axis=1)
    cosines = images.astype(np.float64) @ texts.T.astype(np.float64) / lengths
    ranks = (cosines >= np.diag(cosines)[:, None] - 1e-7).sum(1)
    assert found.image_to_text.r1 == np.mean(ranks <= 1)
    assert found.image_to_text.r10 == np.mean(ranks <= 10)
    assert abs(found.image_to_text.mean_reciprocal_rank - np.mean(1 / ranks)) < 1e-12
    assert found.mean_r1 == (found.image_to_text.r1 + found.text_to_image.r1) / 2
    assert 0.1 < found.image_to_text.r1 < 0.9
    backwards = range(49, -1, -1)
    swapped = metrics.retrieval(images, texts[::-1].copy(), image_ids=range(50), text_ids=backwards, device=device)
    assert swapped.image_to_text.r5 == found.image_to_text.r5
    assert swapped.mean_r1 == found.mean_r1


def test_zero_shot_counts_classes(rng, device):
    centres = np.eye(4, dtype=np.float32)
    labels = rng.integers(4, size=60)
    images = centres[labels] + 0.3 * rng.normal(size=(60, 4)).astype(np.float32)
    found = metrics.zero_shot(images, labels + 10, centres, [10, 11, 12, 13], device=device)
    right = images.argmax(1) == labels
    assert found.top1 == right.mean() and found.top5 == 1 and found.images == 60
    assert found.classes[11]["top1"] == right[labels == 1].sum()


def test_similarity_of_spaces(rng, device):
    x, y = clusters(rng, 80, 10)
    turned = x @ np.linalg.qr(rng.normal(size=(10, 10)))[0].astype(np.float32)
    assert abs(metrics.linear_cka(x, turned, device=device).biased - 1) < 1e-5
    centred = [m - m.mean(0) for m in (x.astype(np.float64), y.astype(np.float64))]
    cross, left, right = (np.linalg.norm(a.T @ b) ** 2 for a, b in (centred, centred[:1] * 2, centred[1:] * 2))
    assert abs(metrics.linear_cka(x, y, device=device).biased - cross / np.sqrt(left * right)) < 1e-5

    def neighbours(m):
        cosines = m.astype(np.float64) @ m.T.astype(np.float64)
        np.fill_diagonal(cosines, -2)
        return np.argsort(-cosines, axis=1, kind="stable")[:, :5]

    common = np.mean([len(set(a) & set(b)) / 5 for a, b in zip(neighbours(x), neighbours(y))])
    assert abs(metrics.mutual_knn(x, y, k=5, device=device) - common) < 1e-9
    assert metrics.sliced_wasserstein(x, x[::-1].copy(), device=device).distance < 1e-6
    apart = metrics.sliced_wasserstein(x, -x, device=device)
    assert apart.distance > 5 * apart.standard_error
