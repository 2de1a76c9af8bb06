import os
import pickle
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import clusters

import sotalign

FAST = dict(steps=3, teacher="cca", batch_unpaired=50, progress=False)


@pytest.fixture
def data(rng):
    """Pairs, unpaired rows and validation pairs, raw."""
    x, y = clusters(rng, 260, 12)
    x, y = 3 * x + 1, 2 * y - 1
    return dict(px=x[:60], py=y[:60], x=x[60:200], y=y[60:200][::-1], val=(x[200:], y[200:])), (x, y)


def fitted(data, device, **options):
    return sotalign.Aligner(device=device, **{**FAST, **options}).fit(**data)


def test_aligns_and_reports(data, device):
    data, (x, y) = data
    aligner = fitted(data, device)
    assert aligner.metrics["step"] in range(4)
    assert 0 < aligner.metrics["validation"]["mean_reciprocal_rank"] <= 1
    assert aligner.metrics["validation_teacher"]["mean_r1"] >= 0
    assert [line["step"] for line in aligner.history if line["type"] == "validation"] == [3]
    assert all(("loss" in line) == (line["type"] == "step") for line in aligner.history)
    rows = aligner.transform(x[200:], "image")
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    found = sotalign.metrics.retrieval(rows, aligner.transform(y[200:], "text"))
    assert found.mean_r1 > 5 / 60  # chance is 1 / 60
    assert abs(found.mean_reciprocal_rank - aligner.metrics["validation"]["mean_reciprocal_rank"]) < 1e-6


def test_the_same_seed_gives_the_same_bits(data, device):
    data, (x, _) = data
    first, again, other = (fitted(data, device, seed=s).transform(x, "image") for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_unpaired_rows_in_files(data, device, tmp_path):
    data, (x, _) = data
    expected = fitted(data, device).transform(x, "image")
    for k, part in enumerate(np.array_split(data["x"].astype(np.float32), 3)):
        np.save(tmp_path / f"x-{k}.npy", part)
    np.save(tmp_path / "y.npy", data["y"].astype(np.float32))
    listed = [tmp_path / f"x-{k}.npy" for k in range(3)]
    for images in (listed, tuple(map(str, listed)), str(tmp_path / "x-*.npy")):
        aligner = fitted({**data, "x": images, "y": tmp_path / "y.npy"}, device)
        np.testing.assert_array_equal(aligner.transform(x, "image"), expected)
    mixed = fitted({**data, "x": listed}, device)
    np.testing.assert_array_equal(mixed.transform(x, "image"), expected)
    with pytest.raises(sotalign.IoError, match="no file matches"):
        fitted({**data, "x": str(tmp_path / "none-*.npy")}, device)
    np.save(tmp_path / "wide.npy", np.ones((5, 13), np.float32))
    with pytest.raises(sotalign.InvalidArgument, match="expected 12 columns as in the pairs, found 13"):
        fitted({**data, "x": [*listed, tmp_path / "wide.npy"]}, device)


def test_files_keep_the_model(data, device, tmp_path):
    data, (x, _) = data
    aligner = fitted(data, device)
    aligner.save(tmp_path / "model.safetensors")
    for loaded in (sotalign.Model, sotalign.Aligner):
        again = loaded.load(tmp_path / "model.safetensors", device=device)
        rows = again.embed("image", x) if loaded is sotalign.Model else again.transform(x, "image")
        np.testing.assert_array_equal(rows, aligner.transform(x, "image"))
    assert aligner.model.options["steps"] == 3 and aligner.model.options["teacher"] == "cca"


@pytest.mark.skipif("SOTALIGN_PROGRAM" not in os.environ, reason="SOTALIGN_PROGRAM does not name the program")
def test_equals_the_program(data, tmp_path):
    """The same options and rows give the same bits."""
    data, (x, _) = data
    files = dict(pairs_images=data["px"], pairs_texts=data["py"], images=data["x"], texts=data["y"])
    files.update(zip(("val_images", "val_texts"), data["val"]))
    command = [os.environ["SOTALIGN_PROGRAM"], "train", "--out", str(tmp_path / "run"), "--threads", "1", "--device", "cpu"]
    for name, rows in files.items():
        np.save(tmp_path / f"{name}.npy", rows)
        command += ["--" + name.replace("_", "-"), str(tmp_path / f"{name}.npy")]
    command += ["--steps", "3", "--teacher", "cca", "--batch-unpaired", "50", "--quiet"]
    subprocess.run(command, check=True, env={k: v for k, v in os.environ.items() if k != "LD_PRELOAD"})
    program = sotalign.Model.load(tmp_path / "run" / "model.safetensors")
    sotalign.set_threads(1)
    try:
        ours = fitted(data, "cpu").model
    finally:
        sotalign.set_threads(0)
    for side in ("image", "text"):
        for name, array in program.arrays(side).items():
            np.testing.assert_array_equal(ours.arrays(side)[name], array)
    assert ours.options == program.options


def test_lists_and_other_types_are_converted(data, device):
    data, (x, _) = data
    expected = fitted(data, device).transform(x, "image")
    lists = {name: [side.tolist() for side in rows] if name == "val" else rows.tolist() for name, rows in data.items()}
    doubles = {name: tuple(np.float64(side) for side in rows) if name == "val" else np.float64(rows)
               for name, rows in data.items()}
    for other in (lists, doubles):
        aligner = fitted(other, device)
        np.testing.assert_array_equal(aligner.transform(x.tolist(), "image"), expected)
        np.testing.assert_array_equal(aligner.transform(x.astype(np.float64)[:, ::-1][:, ::-1], "image"), expected)
    for bad in (x[0], x[None], x[:, :3], x[:0].tolist()):
        with pytest.raises(ValueError):
            aligner.transform(bad, "image")


def test_pickles_and_clones(data, device):
    data, (x, _) = data
    aligner = fitted(data, device)
    again = pickle.loads(pickle.dumps(aligner))
    np.testing.assert_array_equal(again.transform(x, "image"), aligner.transform(x, "image"))
    params = aligner.get_params()
    assert params["steps"] == 3 and sotalign.Aligner(**params).get_params() == params
    with pytest.raises(ValueError, match='unknown key "stepz"'):
        aligner.set_params(stepz=1)
    assert aligner.set_params(steps=5).get_params()["steps"] == 5
    sklearn = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    assert sklearn.clone(aligner).get_params() == aligner.get_params()


def test_without_unpaired_rows_it_is_the_teacher(data, device):
    data, (x, _) = data
    aligner = sotalign.Aligner(device=device).fit(data["px"], data["py"])
    assert aligner.model.projection == "teacher" and aligner.history == []
    assert aligner.transform(x, "image").shape == (260, aligner.model.dim())
    sail = sotalign.Aligner(device=device, divergence_weight=0, **FAST).fit(data["px"], data["py"])
    assert sail.model.projection == "heads"


def test_hubness_corrections_change_the_scores(data, device):
    data, (x, y) = data
    model = fitted(data, device, hubness_bank=50).model
    assert model.has_bank
    images, texts = model.embed("image", x[200:]), model.embed("text", y[200:])
    corrections = model.corrections("text", texts)
    assert corrections.shape == (60,) and np.all(np.abs(corrections) <= 1)
    scores, rows = sotalign.search(images, texts, 3, corrections=corrections, device=device)
    cosines = images.astype(np.float64) @ texts.T.astype(np.float64) - corrections
    np.testing.assert_allclose(scores, -np.sort(-cosines, axis=1)[:, :3], atol=1e-5)
    assert not fitted(data, device, hubness_bank=0).model.has_bank


def test_float16_and_mapped_files(data, device, tmp_path):
    data, (x, _) = data
    model = fitted(data, device).model
    np.save(tmp_path / "x.npy", x.astype(np.float16))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = model.embed("image", mapped, dtype="float16")
    assert rows.dtype == np.float16
    np.testing.assert_allclose(rows, model.embed("image", np.array(mapped, np.float32)), atol=1e-3)


def test_bad_input_is_named(data, device, tmp_path):
    data, (x, y) = data
    for options, text in [
        ({"stepz": 3}, "Aligner: unknown key \"stepz\"; the nearest known key is 'steps'"),
        ({"steps": "many"}, "Aligner: steps: expected an integer"),
        ({"images": "a.npy"}, "Aligner: images: is an option of the program alone"),
        ({"steps": object()}, "Aligner: steps: expected a number, string or list, found object"),
    ]:
        with pytest.raises(ValueError) as caught:
            sotalign.Aligner(**options)
        assert text in str(caught.value)
    aligner = sotalign.Aligner(device=device, **FAST)
    for arguments in (
        dict(px=x[:5], py=y[:6]),
        dict(px=x[:60], py=y[:60], x=x),
        dict(px=x[:60], py=y[:60], x=x[:, :3], y=y),
        dict(px=x[:60] * np.nan, py=y[:60], x=x, y=y),
        dict(px=x[:60], py=y[:60], x=x, y=y, val=(x[:5],)),
    ):
        with pytest.raises(sotalign.Error):
            aligner.fit(**arguments)
    with pytest.raises(ValueError, match="fit"):
        aligner.transform(x, "image")
    with pytest.raises(OSError, match="no such file"):
        sotalign.Model.load(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"12345678 not a model")
    with pytest.raises(sotalign.IoError, match="bad.safetensors"):
        sotalign.Model.load(tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match="side: expected 'image' or 'text', found 'sound'"):
        fitted(data, device).transform(x, "sound")


def test_ctrl_c_stops_between_steps(data, device):
    data, _ = data
    timer = threading.Timer(0.5, signal.raise_signal, [signal.SIGINT])
    aligner = sotalign.Aligner(device=device, teacher="cca", steps=10_000_000, progress=False)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs of a shell ignore it
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            aligner.fit(**data)
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(ValueError):
        aligner.transform(data["px"], "image")


def test_threads_compute_at_the_same_time(rng, device):
    """The GIL is free during a solve: a second thread makes progress, and each gets its own result."""
    K = [rng.uniform(-1, 1, (200, 200)).astype(np.float32) for _ in range(4)]
    expected = [sotalign.sinkhorn(k, 0.1, device=device).plan() for k in K]
    found = [None] * 4

    def work(i):
        found[i] = sotalign.sinkhorn(K[i], 0.1, device=device).plan()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_computes(rng):
    """Like a worker of a data loader: the parent has used all threads before."""
    code = """
import os, sys
import numpy as np
import sotalign
K = np.random.default_rng(0).uniform(-1, 1, (300, 300)).astype(np.float32)
expected = sotalign.sinkhorn(K, 0.1).plan()
x = sotalign.metrics.linear_cka(K, K[::-1].copy())
child = os.fork()
if child == 0:
    np.testing.assert_allclose(sotalign.sinkhorn(K, 0.1).plan(), expected, rtol=1e-4)
    assert abs(sotalign.metrics.linear_cka(K, K[::-1].copy()).biased - x.biased) < 1e-9
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SOTALIGN_TEST")}
    if "SOTALIGN_TEST_CORE" in os.environ:
        pytest.skip("the emulated device has no threads to lose")
    done = subprocess.run([sys.executable, "-c", code], timeout=120, env=environment)
    assert done.returncode == 0
