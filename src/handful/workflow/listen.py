"""Listen to a microphone or a long recording: windows, probabilities over time, events, a table of segments.

The timeline is cut into steps of one hop. A step's probabilities are the mean of the windows that see it (posterior
smoothing, Chen, Parada and Heigold 2014), so a segment's ends are as exact as the hop, not as the window. Only windows
are kept in memory, so a recording may be of any length.
"""

from __future__ import annotations

import os
import queue
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from handful.errors import FileError, HandfulError, UsageError
from handful.files import atomic_write, shown
from handful.registry import optional
from handful.sheets import guarded

BATCH = 16  # windows in one run of the graph, of recordings played fast
BEHIND_S = 30.0  # of microphone that may wait
FORMATS = (".selections.txt", ".txt", ".csv")


@dataclass(frozen=True)
class Segment:
    """A stretch of one class, seconds from the beginning; `confidence` is the highest probability in it."""

    start_s: float
    end_s: float
    label: str
    confidence: float


@dataclass
class Detector:
    """From probabilities step by step to segments. Knows no sound.

    A step belongs to its most probable class where that reaches `threshold` and is not in `ignore`. A pause of up to
    `cool_down_s` does not end a segment: a class cannot begin again sooner. Steps are `hop_s` long; `smoothing` windows
    are averaged, each `window_s` long.
    """

    classes: Sequence[str]
    window_s: float
    hop_s: float
    smoothing: int
    threshold: float
    cool_down_s: float = 0.0
    ignore: frozenset[str] = frozenset()
    _recent: deque[np.ndarray] = field(default_factory=deque)
    _steps: int = 0
    _open: dict[str, Segment] = field(default_factory=dict)

    def step(self, probabilities: np.ndarray | None) -> Iterator[tuple[str, Segment]]:
        """Feed the next window's probabilities [classes], None for a silent one; yields ("start" | "end", segment)."""
        self._recent.append(np.zeros(len(self.classes)) if probabilities is None else probabilities)
        while len(self._recent) > self.smoothing:
            self._recent.popleft()
        middle = self._steps * self.hop_s + (self.window_s - (self.smoothing - 1) * self.hop_s) / 2
        start = 0.0 if self._steps == 0 else max(0.0, middle - self.hop_s / 2)
        end = max(0.0, middle + self.hop_s / 2)
        self._steps += 1
        mean = np.mean(self._recent, axis=0)
        best = int(mean.argmax())
        label, confidence = self.classes[best], float(mean[best])
        heard = label if confidence >= self.threshold and label not in self.ignore else None
        for name, segment in list(self._open.items()):
            if name != heard and start - segment.end_s >= self.cool_down_s - 1e-9:
                yield "end", self._open.pop(name)
        if heard is None:
            return
        if known := self._open.get(heard):
            self._open[heard] = Segment(known.start_s, end, heard, max(known.confidence, confidence))
        else:
            self._open[heard] = Segment(start, end, heard, confidence)
            yield "start", self._open[heard]

    def finish(self, duration_s: float) -> Iterator[tuple[str, Segment]]:
        """The recording ends: what reaches its last step reaches its end."""
        last = (self._steps - 1) * self.hop_s + (self.window_s - (self.smoothing - 1) * self.hop_s) / 2
        for name, segment in list(self._open.items()):
            del self._open[name]
            whole = segment.end_s >= last + self.hop_s / 2 - 1e-9
            end = duration_s if whole else min(segment.end_s, duration_s)
            yield "end", Segment(min(segment.start_s, end), end, name, segment.confidence)


def listen(
    model: str | os.PathLike[str],
    *,
    file: str | os.PathLike[str] | None = None,
    fast: bool = False,
    hop: float | None = None,
    smoothing: int | None = None,
    threshold: float | None = None,
    cool_down: float = 0.0,
    ignore: Sequence[str] = (),
    device: str | int | None = None,
    out: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """Events of the microphone or a recording as they are heard: {"event": "start" | "end", "label", times, "confidence"}.

    A start has `time_s`, an end `start_s` and `end_s`, seconds from the beginning; live also `at`, the time of day. `out`
    is a table of the segments, written when listening ends: .csv, .txt (Audacity labels) or .selections.txt (Raven).

    Args:
        hop: seconds from window to window; half a window by default.
        smoothing: windows averaged; as many as see an instant by default.
        threshold: probability that makes an event; by default the larger of one half and what the model calls unknown.
        cool_down: seconds that must pass after a class was heard before it can begin again.

    Raises:
        UsageError: a value is out of range, or the model does not know sounds.
        FileError: the recording cannot be read.
        MissingExtra: the microphone needs sounddevice.
    """
    from handful.inference import Predictor

    table = None if out is None else Path(out)
    if table is not None and not table.name.lower().endswith(FORMATS):
        raise UsageError(f"{shown(table.name)} has no known ending", f"tables are {', '.join(FORMATS)}")
    if fast and file is None:
        raise UsageError("a microphone cannot be played fast", "--file RECORDING --fast")
    predictor = Predictor.load(model)
    if predictor.frontend.modality != "audio":
        raise UsageError("the model is for pictures, there is nothing to listen to", "give a model trained on sounds")
    detector = _detector(predictor, hop, smoothing, threshold, cool_down, ignore)
    rate = predictor.frontend.spec()["sample_rate_hz"]
    if file is None:
        source = _microphone(rate, device, say)
    else:
        path = Path(file).expanduser()
        if not path.is_file():
            raise FileError(f"there is no recording at {shown(str(path))}", "check the name; put quotes around spaces")
        source = _recording(path, rate) if fast else _paced(_recording(path, rate), rate)
    return _events(
        predictor, detector, source, rate, table, BATCH if fast else 1, file is None, str(file or "microphone")
    )


def _detector(
    predictor: Any,
    hop: float | None,
    smoothing: int | None,
    threshold: float | None,
    cool_down: float,
    ignore: Sequence[str],
) -> Detector:
    window = predictor.frontend.spec()["seconds"]
    hop = window / 2 if hop is None else hop
    if not 0.01 <= hop <= window:
        raise UsageError(f"hop is {hop:g}", f"hop goes from 0.01 to {window:g}, the model's window in seconds")
    smoothing = max(1, round(window / hop)) if smoothing is None else smoothing
    if not 1 <= smoothing <= 1000:
        raise UsageError(f"smoothing is {smoothing}", "smoothing goes from 1 to 1000 windows")
    threshold = max(0.5, float(predictor.metadata["unknown_below"])) if threshold is None else threshold
    if not 0 < threshold <= 1:
        raise UsageError(f"threshold is {threshold:g}", "threshold is a probability, above 0 and up to 1")
    if not 0 <= cool_down <= 3600:
        raise UsageError(f"cool-down is {cool_down:g}", "cool-down goes from 0 to 3600 seconds")
    for name in ignore:
        if name not in predictor.classes:
            raise UsageError(f"the model knows no class {shown(name)!r}", f"known: {', '.join(predictor.classes)}")
    return Detector(predictor.classes, window, hop, smoothing, threshold, cool_down, frozenset(ignore))


def _events(
    predictor: Any,
    detector: Detector,
    source: Iterable[np.ndarray],
    rate: int,
    table: Path | None,
    batch: int,
    live: bool,
    name: str,
) -> Iterator[dict[str, Any]]:
    """Events of blocks of samples; the table is written however it ends."""
    began = datetime.now(UTC)
    segments: list[Segment] = []
    samples = [0]

    def told(kind: str, segment: Segment) -> dict[str, Any]:
        if kind == "end":
            segments.append(segment)
            event = {"event": kind, "label": segment.label, "start_s": segment.start_s, "end_s": segment.end_s}
        else:
            event = {"event": kind, "label": segment.label, "time_s": segment.start_s}
        rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in event.items()}
        if live:
            moment = began + timedelta(seconds=segment.end_s if kind == "end" else segment.start_s)
            rounded["at"] = moment.isoformat(timespec="milliseconds")
        return rounded | {"confidence": round(segment.confidence, 4)}

    try:
        length, step = round(rate * detector.window_s), round(rate * detector.hop_s)
        for windows in _batches(_windows(_counted(source, samples), length, step), batch):
            for probabilities in _probabilities(predictor, windows):
                for kind, segment in detector.step(probabilities):
                    yield told(kind, segment)
        for kind, segment in detector.finish(samples[0] / rate):
            yield told(kind, segment)
    finally:
        if table is not None:
            for _, segment in detector.finish(samples[0] / rate):
                segments.append(segment)
            atomic_write(
                table, written(sorted(segments, key=lambda s: (s.start_s, s.end_s)), table.name, name, rate / 2)
            )


def _counted(source: Iterable[np.ndarray], samples: list[int]) -> Iterator[np.ndarray]:
    for block in source:
        samples[0] += len(block)
        yield block


def _windows(blocks: Iterable[np.ndarray], length: int, step: int) -> Iterator[np.ndarray]:
    """Windows float32 [length] every `step` samples. More than a tenth of a step left over makes a last one, which ends
    where the recording ends; what is shorter than one window is padded with zeros, as in training.
    """
    kept = np.zeros(0, np.float32)
    last = np.zeros(0, np.float32)
    fresh = 0  # samples at the end of `kept` that no window has seen
    for block in blocks:
        kept = np.concatenate([kept, block])
        fresh += len(block)
        at = 0
        while len(kept) - at >= length:
            last = kept[at : at + length].copy()
            yield last
            fresh = len(kept) - at - length
            at += step
        kept = kept[at:]
    if fresh > 0.1 * step:
        whole = np.concatenate([last, kept[len(kept) - fresh :]])[-length:]
        yield np.pad(whole, (0, length - len(whole)))


def _batches(windows: Iterable[np.ndarray], most: int) -> Iterator[np.ndarray]:
    waiting: list[np.ndarray] = []
    for window in windows:
        waiting.append(window)
        if len(waiting) == most:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)


def _probabilities(predictor: Any, windows: np.ndarray) -> Iterator[np.ndarray | None]:
    """Of each window [classes], None where it is silent."""
    from handful.features.audio import SILENT_RMS
    from handful.metrics.calibration import softmax

    silent = windows.std(axis=1) < SILENT_RMS
    found = softmax(predictor.logits(windows).astype(np.float64))
    for quiet, row in zip(silent, found, strict=True):
        yield None if quiet else row


def _recording(path: Path, rate: int) -> Iterator[np.ndarray]:
    """Mono blocks of a file at `rate`. Raises FileError."""
    from handful.features._sound_file import open_sound
    from handful.features.audio import Meter

    with open_sound(path) as stream:
        meter = Meter(stream)
        yield from _resampled(map(meter.mono, stream.blocks), stream.rate_hz, rate)
    if not meter.frames:
        raise FileError("holds no sound (0 samples)", "delete it or record it again", kind="empty")


def _resampled(blocks: Iterable[np.ndarray], given: int, wanted: int) -> Iterator[np.ndarray]:
    if given == wanted:
        yield from blocks
        return
    import soxr

    resampler = soxr.ResampleStream(given, wanted, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield resampler.resample_chunk(block, last=False)
    yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _paced(blocks: Iterable[np.ndarray], rate: int, part_s: float = 0.05) -> Iterator[np.ndarray]:
    """Blocks when a microphone would have heard them."""
    began, heard = time.monotonic(), 0
    part = max(1, round(rate * part_s))
    for block in blocks:
        for start in range(0, len(block), part):
            piece = block[start : start + part]
            heard += len(piece)
            time.sleep(max(0.0, began + heard / rate - time.monotonic()))
            yield piece


def _microphone(rate: int, device: str | int | None, say: Callable[[str], None] | None) -> Iterator[np.ndarray]:
    """Blocks of the microphone, at its own rate brought to `rate`, until it is stopped."""
    about = microphone(device)
    sounddevice = _sounddevice()
    try:
        heard: queue.Queue[np.ndarray] = queue.Queue()
        own = int(about["default_samplerate"])
        limit = int(BEHIND_S * own)
        waiting = lost = 0

        def keep(block: np.ndarray, frames: int, moment: Any, status: Any) -> None:
            nonlocal waiting, lost
            if waiting + frames > limit:
                lost += frames
                return
            waiting += frames
            heard.put(block.mean(axis=1, dtype=np.float32))

        stream = sounddevice.InputStream(
            samplerate=own, device=_chosen(device), channels=1, dtype="float32", callback=keep
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _no_microphone(error) from error

    def blocks() -> Iterator[np.ndarray]:
        nonlocal waiting, lost
        with stream:
            if say:
                say(f"listening to {shown(str(about['name']))}; Ctrl-C ends it")
            while True:
                try:
                    block = heard.get(timeout=0.2)  # so that signals are seen
                except queue.Empty:
                    continue
                waiting -= len(block)
                if lost and say:
                    say(f"{lost / own:.1f} s were not heard: the machine is too slow; use a larger hop")
                block, lost = np.concatenate([np.zeros(lost, np.float32), block]) if lost else block, 0
                yield block

    return _resampled(blocks(), own, rate)


def microphone(device: str | int | None) -> dict[str, Any]:
    """What the system says of a microphone, of its usual one when None: "name", "default_samplerate" and more.

    Raises:
        MissingExtra: what asks the system is not installed.
        HandfulError: there is none.
    """
    sounddevice = _sounddevice()
    try:
        return dict(sounddevice.query_devices(_chosen(device), "input"))
    except (sounddevice.PortAudioError, ValueError) as error:
        raise _no_microphone(error) from error


def _chosen(device: str | int | None) -> str | int | None:
    return int(device) if isinstance(device, str) and device.isdigit() else device


def _no_microphone(error: Exception) -> HandfulError:
    return HandfulError(f"there is no microphone that can be opened ({error})", "--device NAME, or --file")


def _sounddevice() -> Any:
    try:
        return optional("sounddevice", "listen", "the microphone")
    except OSError as error:  # the wheel carries no PortAudio on Linux
        raise HandfulError(
            "the microphone needs PortAudio, which is not installed", "apt install libportaudio2"
        ) from error


def written(segments: Sequence[Segment], name: str, file: str, highest_hz: float) -> str:
    """The table of segments in the format that its name's ending asks for. `highest_hz`: what the model hears, for Raven."""
    import csv
    import io

    text = io.StringIO()
    plain = [(s, " ".join(s.label.split())) for s in segments]
    if name.lower().endswith(".selections.txt"):
        head = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)")
        text.write("\t".join((*head, "Label", "Confidence")) + "\n")
        for number, (s, label) in enumerate(plain, 1):
            times = f"{s.start_s:.6f}\t{s.end_s:.6f}\t0\t{highest_hz:g}"
            text.write(f"{number}\tSpectrogram 1\t1\t{times}\t{label}\t{s.confidence:.4f}\n")
    elif name.lower().endswith(".txt"):
        for s, label in plain:
            text.write(f"{s.start_s:.6f}\t{s.end_s:.6f}\t{label}\n")
    else:
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(("file", "start_s", "end_s", "label", "confidence"))
        rows.writerows(
            (guarded(shown(file)), f"{s.start_s:.3f}", f"{s.end_s:.3f}", guarded(s.label), f"{s.confidence:.4f}")
            for s in segments
        )
    return text.getvalue()
