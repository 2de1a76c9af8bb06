"""Training: from pairs and unpaired rows to a model, as `sotalign train` does it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sotalign import _core
from sotalign._arrays import Array, ArrayLike, Call
from sotalign._context import context_for
from sotalign._errors import InvalidArgument
from sotalign._model import Model, Path, Side

if TYPE_CHECKING:
    import torch

Files = Path | Sequence[Path]


def _bar(steps: int, progress: bool) -> Any:
    """A tqdm bar, or None if it is not wanted or not installed."""
    if not progress:
        return None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm(total=steps, desc="sotalign", unit="step", leave=False)


def _files(rows: Any) -> list[str]:
    """The paths, if `rows` are paths; else none."""
    paths = [rows] if isinstance(rows, (str, os.PathLike)) else rows
    if isinstance(paths, (list, tuple)) and paths and all(isinstance(path, (str, os.PathLike)) for path in paths):
        return [os.fspath(path) for path in paths]
    return []


class Aligner:
    """Learns maps of two embedding spaces into a shared one, from few pairs and many unpaired rows.

        aligner = Aligner(seed=1).fit(pair_images, pair_texts, images, texts, val=(val_images, val_texts))
        scores, rows = sotalign.search(aligner.transform(queries, "text"), aligner.transform(images, "image"), 10)

    Options are those of `sotalign train` with underscores: seed, method, teacher, steps, divergence_weight,
    epsilon_student, ... Without any, the program's defaults. device: "auto", "cpu" or "cuda:0".

    Attributes after fit():
        model: the Model
        metrics: what was measured: "step" of the weights that were kept, with val also "validation" and
            "validation_teacher"; "choice" and its reason if teachers were compared
        history: the lines that `sotalign train` writes to metrics.jsonl
    """

    model: Model
    metrics: dict[str, Any]
    history: list[dict[str, Any]]

    def __init__(self, *, device: str = "auto", progress: bool = True, **options: Any) -> None:
        self.device, self.progress = device, progress
        self._options = dict(options)
        self._settings()

    def _settings(self) -> _core.Settings:
        settings = _core.Settings()
        options: dict[str, Any] = {}
        for key, value in self._options.items():
            value = value.item() if hasattr(value, "item") else value  # a NumPy scalar
            options[key] = list(value) if isinstance(value, tuple) else value
            try:
                json.dumps(options[key])
            except TypeError:
                raise InvalidArgument(
                    f"Aligner: {key}: expected a number, string or list, found {type(value).__name__}"
                ) from None
        settings.set(json.dumps(options), "Aligner")
        return settings

    def fit(
        self,
        px: ArrayLike,
        py: ArrayLike,
        x: ArrayLike | Files | None = None,
        y: ArrayLike | Files | None = None,
        val: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> Aligner:
        """Trains on pairs px [p, dx] and py [p, dy], row by row, and unpaired rows x [n, dx] and y [m, dy].

        With validation pairs val = (images, texts), the model is the teacher or the student, whichever retrieves best
        among them. Without unpaired rows, methods that need them cannot train: the model is then the linear teacher.
        Arrays are raw embeddings in host memory. x and y may be files instead, .npy or .safetensors: a path, a pattern
        such as "images-*.npy", or a list of these. Large files are read batch by batch, as `sotalign train` does. Ctrl-C stops between two steps. Returns self.
        """
        if (x is None) != (y is None):
            raise InvalidArgument("fit: expected unpaired rows of both sides or of neither")
        settings = self._settings()
        image_files, text_files = _files(x), _files(y)
        arrays = {"px": px, "py": py, "x": None if image_files else x, "y": None if text_files else y}
        if val is not None:
            if len(val) != 2:
                raise InvalidArgument(f"val: expected a pair of arrays, found {len(val)}")
            arrays.update(val_x=val[0], val_y=val[1])
        inputs = Call(None, **arrays).inputs
        context = context_for(self.device)
        for name in ("model", "metrics", "history"):
            self.__dict__.pop(name, None)
        options = json.loads(settings.values())
        if x is None and options["method"] == "sotalign" and options["divergence_weight"] > 0:
            core = _core.fit_linear(context, settings, inputs["px"], inputs["py"])
            notes = {"sotalign": _core.__version__, "options": settings.values(), "step": "0"}
            self.model, self.metrics, self.history = Model(core, notes, context.device), {"step": 0}, []
            return self
        trainer = _core.Trainer(
            context,
            settings,
            inputs["px"],
            inputs["py"],
            inputs.get("x"),
            inputs.get("y"),
            inputs.get("val_x"),
            inputs.get("val_y"),
            image_files,
            text_files,
        )
        metrics, history = {}, []
        if trainer.choice():
            metrics["choice"] = json.loads(trainer.choice())
        if val is not None:
            metrics["validation_teacher"] = json.loads(trainer.validate_teacher())
        bar = _bar(trainer.steps, self.progress)
        try:
            while trainer.steps_done < trainer.steps:
                step, validation = trainer.step()
                if step:
                    history.append({"type": "step", **json.loads(step)})
                if validation:
                    line = {"type": "validation", "step": trainer.steps_done, "validation": json.loads(validation)}
                    history.append(line)
                if bar is not None:
                    bar.update()
        finally:
            if bar is not None:
                bar.close()
        with tempfile.TemporaryDirectory(prefix="sotalign-") as folder:
            path = os.path.join(folder, "model.safetensors")
            metrics["step"] = trainer.save(path)
            model = Model.load(path, device=context.device)
        if val is not None:
            metrics["validation"] = json.loads(trainer.best_validation())
        self.model, self.metrics, self.history = model, metrics, history
        return self

    def _fitted(self) -> Model:
        if "model" not in self.__dict__:
            raise InvalidArgument("Aligner: expected a fitted aligner; call fit() or load() first")
        return self.model

    def transform(self, x: ArrayLike, side: Side) -> Array:
        """Unit rows [n, dim] of raw embeddings x of a side, "image" or "text"."""
        return self._fitted().embed(side, x)

    def save(self, path: Path) -> None:
        """Writes the model file that `sotalign eval`, `embed` and Model.load() read."""
        self._fitted().save(path)

    @classmethod
    def load(cls, path: Path, *, device: str = "auto") -> Aligner:
        """An aligner with the model and the options of a file."""
        model = Model.load(path, device=device)
        aligner = cls(device=device, **model.options)
        aligner.model, aligner.metrics, aligner.history = model, {}, []
        return aligner

    def to_torch(self) -> dict[str, torch.nn.Sequential]:
        """The maps as torch.nn.Modules: {"image": module, "text": module}, from raw embeddings to unit rows."""
        model = self._fitted()
        return {side: model.to_torch(side) for side in ("image", "text")}

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The options that were given, as scikit-learn's clone() and searches expect."""
        return {"device": self.device, "progress": self.progress, **self._options}

    def set_params(self, **options: Any) -> Aligner:
        """Sets options. Raises InvalidArgument, and changes nothing, for an unknown name or value."""
        device, progress = options.pop("device", self.device), options.pop("progress", self.progress)
        Aligner(**{**self._options, **options})
        self.device, self.progress = device, progress
        self._options.update(options)
        return self

    def __repr__(self) -> str:
        given = {key: value for key, value in self.get_params().items() if key not in ("device", "progress")}
        return f"Aligner({', '.join(f'{key}={value!r}' for key, value in given.items())})"
