"""The examples run, and find what they should. Each is skipped where a package that it needs is missing."""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import clusters

import sotalign

ROOT = pathlib.Path(os.environ.get("SOTALIGN_ROOT", pathlib.Path(__file__).parents[2]))
pytestmark = [
    pytest.mark.skipif(not (ROOT / "examples").is_dir(), reason="the examples are in the repository, not in the package"),
    pytest.mark.skipif("SOTALIGN_TEST_CORE" in os.environ, reason="examples load the installed module"),
]
WORDS = [str(ROOT / "data" / "words" / f"{side}.npy") for side in ("images", "texts")]


def run(folder, name, *arguments):
    command = [sys.executable, str(ROOT / "examples" / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def numbers(text):
    return [float(number) for number in re.findall(r"\d\.\d+", text)]


def test_search_page(tmp_path):
    pytest.importorskip("PIL", reason="Pillow is not installed")
    run(tmp_path, "search_page.py")
    page = (tmp_path / "hits.html").read_text()
    assert "http" not in page and page.count("data:image/png;base64,") == 24
    for part in page.split("<h2>")[1:]:
        query = part.split("</h2>")[0]
        hits = re.findall(r'alt="\d+ ([^"]*)"', part)
        # A picture in 48 is right by chance.
        assert len(hits) == 8 and hits.count(query) >= 4, (query, hits)


def test_search_page_of_ones_own_photos(tmp_path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    (tmp_path / "photos").mkdir()
    lines = []
    for i, colour in enumerate(["red", "green", "blue", "white", "black"] * 8):
        image.new("RGB", (40 + i, 30), colour).save(tmp_path / "photos" / f"{i}_{colour}.jpg")
        lines.append(f"{i}_{colour}.jpg\tall of it is {colour}")
    (tmp_path / "captions.tsv").write_text("\n".join(lines))
    run(tmp_path, "search_page.py", "photos", "captions.tsv", "all of it is <blue>", "--out", "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<h2>all of it is &lt;blue&gt;</h2>" in page
    assert re.findall(r'alt="\d+_(\w+)"', page) == ["blue"] * 8


def test_faiss_index(tmp_path):
    pytest.importorskip("faiss", reason="faiss is not installed")
    plain, corrected, in_faiss, common = numbers(run(tmp_path, "faiss_index.py", *WORDS))
    assert min(plain, corrected) > 0.1 and abs(in_faiss - corrected) <= 0.01
    assert common >= 0.98  # without the column: 0.86


def test_service(tmp_path, rng, monkeypatch):
    pytest.importorskip("httpx", reason="httpx is not installed")
    client = pytest.importorskip("fastapi.testclient", reason="fastapi is not installed")
    x, y = clusters(rng, 120, 12)
    model = sotalign.Aligner(device="cpu").fit(x[:60], y[:60]).model
    model.save(tmp_path / "model.safetensors")
    gallery = model.embed("image", x)
    np.save(tmp_path / "gallery.npy", gallery)
    monkeypatch.setenv("SOTALIGN_MODEL", str(tmp_path / "model.safetensors"))
    monkeypatch.setenv("SOTALIGN_GALLERY", str(tmp_path / "gallery.npy"))
    spec = importlib.util.spec_from_file_location("service", ROOT / "examples" / "service.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "service", module)
    spec.loader.exec_module(module)
    with client.TestClient(module.app) as service:
        found = service.post("/search", json={"vectors": y[60:65].tolist(), "k": 3})
        assert found.status_code == 200
        expected = sotalign.search(model.embed("text", y[60:65]), gallery, 3)
        assert found.json()["rows"] == expected.rows.tolist()
        np.testing.assert_allclose(found.json()["scores"], expected.scores, atol=1e-6)
        assert service.get("/").json() == {"gallery": 120, "dim": model.dim(), "image": 12, "text": 12}
        for bad in ({"vectors": [[1.0]]}, {"vectors": y[:1].tolist(), "k": 121}, {"vectors": []}, {"vectors": [[1.0], [1.0, 2.0]]},
                    {"vectors": y[:1].tolist(), "side": "sound"}):
            answer = service.post("/search", json=bad)
            assert answer.status_code == 422, bad


def test_training_loop_of_pytorch(tmp_path):
    pytest.importorskip("torch", reason="PyTorch is not installed")
    *steps, last = run(tmp_path, "train_pytorch.py", *WORDS).splitlines()
    losses = np.array([numbers(line) for line in steps])
    assert np.all(losses[-1] < 0.5 * losses[0]) and np.all(np.diff(losses, axis=0) < 0.05)
    ours, without, teacher = numbers(last)
    assert ours > 1.2 * without and teacher > 0.05
