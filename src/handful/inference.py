"""The one inference path: a run directory, an exported ONNX file or a bundle, and files to predict.

Everything needed (classes, front-end, thresholds) travels in the file's metadata, so that this needs neither torch nor
scikit-learn nor the run the model came from.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handful.data import media
from handful.errors import FileError, HandfulError, RunError
from handful.features import Frontend, from_spec
from handful.files import shown
from handful.graph import run_threads, session
from handful.metrics.calibration import softmax
from handful.runs import FORMAT, Run
from handful.words import both, reason, said

MAX_MODEL = 2_000_000_000  # bytes of what is unpacked, as large as an ONNX file can be
_BATCH = 16
_TORCH = {"version", "byteorder"}  # lie in every zip that PyTorch writes
_KINDS = {"image": "a picture", "audio": "a sound"}


@dataclass(frozen=True)
class Prediction:
    """What a model says of one file. Unpacks as `(label, confidence)`.

    `scores` are calibrated probabilities by class; `set` holds the true class for nine of ten new samples; `unknown` says
    that the model has rarely been this unsure of something it knows.
    """

    file: str
    label: str
    confidence: float
    scores: dict[str, float]
    set: tuple[str, ...]
    unknown: bool

    def __iter__(self) -> Iterator[Any]:
        return iter((self.label, self.confidence))

    def to_dict(self) -> dict[str, Any]:
        return {
            "file": self.file, "label": self.label, "confidence": self.confidence, "scores": self.scores, "set": list(self.set),
            "unknown": self.unknown,
        }  # fmt: skip


class Packed:
    """A bundle as a zip file, checked as any stranger's. Use in `with`. Names are those in the folder that holds model.onnx.

    Raises:
        RunError: it is damaged, no bundle, or what it holds is not for us: paths that lead elsewhere, links, bombs.
    """

    def __init__(self, place: Path) -> None:
        from handful.projects import Archive, ArchiveError, Limits, TooLarge

        self._refusals = ArchiveError, TooLarge
        with self._said():
            self._archive = Archive(place, Limits(file_bytes=MAX_MODEL, total_bytes=2 * MAX_MODEL))
        members = {member.name: member for member in self._archive.members}
        models = [name for name in members if name.rpartition("/")[2] == "model.onnx"]
        if not models:
            self._archive.close()
            if _TORCH <= {name.rpartition("/")[2] for name in members}:
                raise RunError(
                    f"{shown(place.name)} is a PyTorch file: such files can contain programs and are not opened here",
                    "give the run, its model.onnx or a bundle of it",
                )
            raise RunError(*both("opened.no_onnx", file=place.name))
        root = min(models, key=lambda name: (name.count("/"), name)).removesuffix("model.onnx")
        self._members = {name[len(root) :]: m for name, m in members.items() if name.startswith(root)}

    def __enter__(self) -> Packed:
        return self

    def __exit__(self, *error: object) -> None:
        self._archive.close()

    def read(self, name: str) -> bytes:
        """The content of a member that is there."""
        content = io.BytesIO()
        with self._said():
            self._archive.copy(self._members[name], content)
        return content.getvalue()

    def unpack(self, folder: Path) -> None:
        """Write what a proof reads into `folder`: the model, the test vectors and what is known of them."""
        for name, member in self._members.items():
            if name in ("model.onnx", "vectors.json") or name.startswith("vectors/"):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with self._said(), open(folder / name, "xb") as file:
                    self._archive.copy(member, file)

    @contextlib.contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except self._refusals as error:
            raise RunError(error.message, "export it again, or get it again from where it came from") from error


class Predictor:
    """A loaded model. `predict` takes a path, bytes or a list of them."""

    def __init__(self, model: bytes, threads: int | None = None, device: str = "cpu") -> None:
        try:
            self._session = session(model, threads, device)
        except HandfulError:
            raise
        except Exception as error:  # ONNX Runtime has no exception base of its own
            if "external data" in str(error).lower() or "model_path must not be empty" in str(error):
                raise RunError(
                    "the model keeps weights in other files, which are not opened", "export it as one file"
                ) from error
            raise RunError(*both("opened.damaged")) from error
        text = self._session.get_modelmeta().custom_metadata_map.get("handful")
        try:
            self.metadata: dict[str, Any] = json.loads(text or "")
            self.classes: list[str] = list(self.metadata["classes"])
            made = int(self.metadata["format"])
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(
                "the ONNX file was not exported by handful: it says nothing of its classes",
                "export it with `handful export`",
            ) from error
        if made > FORMAT:
            raise RunError(*both("opened.newer", format=str(made), reads=str(FORMAT)))
        self.frontend = self._frontend(self.metadata["frontend"])
        self._threads = run_threads(threads)
        self.version = hashlib.sha256(model).hexdigest()[:12]

    def _frontend(self, spec: Any) -> Frontend:
        """The front-end that the metadata describes, when it makes what the graph takes: nothing is decoded to another size."""
        shape = self.input[1]
        wanted = math.prod(shape)
        try:
            frontend = from_spec(spec)
            made = spec["size"] ** 2 * 3 if frontend.modality == "image" else getattr(frontend, "samples", wanted)
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise RunError(*both("opened.settings")) from error
        if made != wanted:
            raise RunError(
                f"the model's settings do not fit its graph, which takes {' x '.join(map(str, shape))} numbers",
                "export it again",
            )
        return frontend

    @property
    def input(self) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """dtype and shape of one decoded item: uint8 [S, S, 3] of a picture, float32 [samples] of a sound."""
        declared = self._session.get_inputs()[0]
        dtype = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}[declared.type]
        return np.dtype(dtype), tuple(declared.shape[1:])

    @classmethod
    def load(cls, path: str | os.PathLike[str], threads: int | None = None, device: str = "cpu") -> Predictor:
        """From a run directory, an exported .onnx file, or a bundle (zip or its unpacked folder); `device` as of `session`.

        Raises:
            RunError: there is no model there, or a run that lost it.
            UsageError: there is no such device.
        """
        place = Path(path).expanduser()
        try:
            if place.is_dir():
                if not (place / "model.onnx").is_file():
                    Run.open(path)
                    raise RunError(*both("error.run_damaged", run=str(place), why=said("opened.lost")))
                return cls((place / "model.onnx").read_bytes(), threads, device)
            if zipfile.is_zipfile(place):
                with Packed(place) as bundle:
                    return cls(bundle.read("model.onnx"), threads, device)
            if place.is_file():
                content = place.read_bytes()
                if kind := media.sniff(content[: media.HEAD_BYTES]):
                    raise RunError(
                        f"{shown(place.name)} is {_KINDS[kind]}, not a model", "name the model first, then the files"
                    )
                return cls(content, threads, device)
        except OSError as error:
            raise RunError(*both("opened.closed", path=str(place), reason=reason(error))) from error
        raise RunError(
            f"there is no model at {shown(str(place))}", "give a run directory, an exported .onnx file or a bundle"
        )

    def logits(self, items: np.ndarray) -> np.ndarray:
        """Calibrated logits float32 [n, classes] of decoded items."""
        return np.asarray(self._session.run(["logits"], {"input": items})[0])

    def file_logits(self, source: Path | bytes) -> np.ndarray:
        """Calibrated logits [classes] of one file, its windows averaged."""
        items = self.items(source)
        return np.asarray(
            np.concatenate([self.logits(items[i : i + _BATCH]) for i in range(0, len(items), _BATCH)]).mean(axis=0)
        )

    def items(self, source: Path | bytes) -> np.ndarray:
        """One file decoded. Raises FileError, in words that say what the matter is with *this* model."""
        try:
            return self.frontend.read(source)[0]
        except FileError as error:
            if isinstance(source, Path):
                if not source.exists():
                    raise FileError(*both("file.missing")) from error
                if source.is_dir():
                    raise FileError(said("file.folder")) from error
            head = _head(source)
            kind = media.sniff(head)
            if kind == "image" != self.frontend.modality:
                raise FileError(said("file.picture_for_sounds"), kind="format") from error
            if kind == "audio" != self.frontend.modality:
                name = "file.video_for_pictures" if media.video(head) else "file.sound_for_pictures"
                raise FileError(said(name), kind="format") from error
            raise

    def predict(self, source: str | os.PathLike[str] | bytes | list[Any]) -> Any:
        """One `Prediction`, or a list of them for a list.

        Raises:
            FileError: a file cannot be read.
        """
        if isinstance(source, list):
            return [self.predict(one) for one in source]
        if isinstance(source, bytes):
            return self.prediction("", self.file_logits(source))
        return self.prediction(os.fspath(source), self.file_logits(Path(source)))

    def stream(self, files: Iterable[Path]) -> Iterator[Prediction | tuple[str, FileError]]:
        """Predictions in the order of `files`, decoded ahead in threads; a file that cannot be read yields (name, reason)."""
        with ThreadPoolExecutor(self._threads) as pool:
            waiting: deque[tuple[Path, Future[Any]]] = deque()
            upcoming = iter(files)
            batch: list[tuple[Path, np.ndarray | FileError]] = []
            while True:
                while len(waiting) < 4 * _BATCH and (file := next(upcoming, None)) is not None:
                    waiting.append((file, pool.submit(self.items, file)))
                if not waiting:
                    break
                path, future = waiting.popleft()
                try:
                    batch.append((path, future.result()))
                except FileError as error:
                    batch.append((path, error))
                except Exception as error:  # a decoder's own fault
                    batch.append((path, FileError(said("file.decoder", how=type(error).__name__))))
                if len(batch) >= _BATCH:
                    yield from self._batch(batch)
                    batch = []
            yield from self._batch(batch)

    def _batch(self, batch: list[tuple[Path, np.ndarray | FileError]]) -> Iterator[Prediction | tuple[str, FileError]]:
        arrays = [items for _, items in batch if isinstance(items, np.ndarray)]
        logits = np.empty((0, len(self.classes)))
        if arrays:
            stack = np.concatenate(arrays)
            logits = np.concatenate([self.logits(stack[i : i + _BATCH]) for i in range(0, len(stack), _BATCH)])
        at = 0
        for path, items in batch:
            if isinstance(items, FileError):
                yield str(path), items
            else:
                yield self.prediction(str(path), logits[at : at + len(items)].mean(axis=0))
                at += len(items)

    def prediction(self, file: str, logits: np.ndarray) -> Prediction:
        """What calibrated logits [classes] say of `file`."""
        p = softmax(logits.astype(np.float64))
        if not np.isfinite(p).all():
            raise HandfulError(*both("opened.no_number", file=file))
        best = int(p.argmax())
        members = tuple(name for name, v in zip(self.classes, p, strict=True) if v >= 1 - self.metadata["set_quantile"])
        scores = {name: float(v) for name, v in zip(self.classes, p, strict=True)}
        return Prediction(
            file, self.classes[best], float(p[best]), scores, members, bool(p[best] < self.metadata["unknown_below"])
        )


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[: media.HEAD_BYTES]
    try:
        with open(source, "rb") as file:
            return file.read(media.HEAD_BYTES)
    except OSError:
        return b""
