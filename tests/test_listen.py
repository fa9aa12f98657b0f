"""Listening: where segments begin and end, what a table says, and that a microphone is heard."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import handful
from handful.errors import FileError, HandfulError, MissingExtra, UsageError
from handful.workflow.listen import Detector, Segment, _windows, written

from .test_cli import handful as command

RATE = 16_000


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Silence, 3 s of low, silence, 2.5 s of high, silence: 10.5 s."""
    rng = np.random.default_rng(0)

    def tone(hz: float, seconds: float) -> np.ndarray:
        t = np.arange(int(RATE * seconds)) / RATE
        return 0.3 * np.sin(2 * np.pi * hz * t) + rng.normal(0, 0.02, len(t))

    parts = [np.zeros(2 * RATE), tone(250, 3), np.zeros(2 * RATE), tone(1250, 2.5), np.zeros(RATE)]
    path = tmp_path_factory.mktemp("long") / "dawn, monday.wav"
    soundfile.write(path, np.concatenate(parts), RATE)
    return path


def detector(**changes: Any) -> Detector:
    settings: dict[str, Any] = {"window_s": 1.0, "hop_s": 0.5, "smoothing": 2, "threshold": 0.6}
    return Detector(("a", "b"), **settings | changes)


def fed(found: Detector, rows: list[list[float] | None], duration: float) -> list[tuple[str, Segment]]:
    events = [event for row in rows for event in found.step(None if row is None else np.array(row))]
    return events + list(found.finish(duration))


A, B, N = [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]


def test_a_step_is_the_mean_of_the_windows_that_see_it() -> None:
    events = fed(detector(), [A, A, B, B, B], 3.0)
    assert [(kind, s.label, s.start_s, s.end_s) for kind, s in events] == [
        ("start", "a", 0.0, 0.5), ("end", "a", 0.0, 1.0), ("start", "b", 1.5, 2.0), ("end", "b", 1.5, 3.0),
    ]  # fmt: skip


def test_without_overlap_segments_are_windows() -> None:
    events = fed(detector(hop_s=1.0, smoothing=1), [N, A, N, B], 4.0)
    ends = [s for kind, s in events if kind == "end"]
    assert ends == [Segment(1.0, 2.0, "a", 0.9), Segment(3.0, 4.0, "b", 0.9)]


def test_cool_down_joins_what_pauses_shortly_and_ignored_classes_make_no_events() -> None:
    rows = [A, N, A, N, N, N, A]
    lengths = {}
    for cool_down in (0.0, 1.5, 5.0):
        events = fed(detector(hop_s=1.0, smoothing=1, cool_down_s=cool_down), rows, 7.0)
        lengths[cool_down] = [(s.start_s, s.end_s) for kind, s in events if kind == "end"]
    assert lengths == {0.0: [(0, 1), (2, 3), (6, 7)], 1.5: [(0, 3), (6, 7)], 5.0: [(0, 7)]}
    assert fed(detector(ignore=frozenset("a")), rows, 7.0) == []
    assert fed(detector(), [None, None], 1.5) == []


@pytest.mark.parametrize(("samples", "count"), [(3, 1), (10, 1), (14, 2), (15, 2), (20, 3), (23, 4)])
def test_windows_cover_a_recording_however_it_is_cut(samples: int, count: int) -> None:
    wave = np.arange(1, samples + 1, dtype=np.float32)
    for part in (1, 4, samples):
        found = list(_windows([wave[i : i + part] for i in range(0, samples, part)], 10, 5))
        assert len(found) == count and all(len(window) == 10 for window in found)
        assert set(np.concatenate(found)) - {0} == set(wave)
        assert all((window == wave[5 * k : 5 * k + 10]).all() for k, window in enumerate(found[:-1]))
        if samples >= 10:
            assert found[-1][-1] == samples


def test_a_recording_gives_the_same_events_fast_and_by_command(sound_run: Any, recording: Path, tmp_path: Path) -> None:
    table = tmp_path / "segments.csv"
    events = list(handful.listen(sound_run.path, file=recording, fast=True, threshold=0.7, out=table))
    ends = [event for event in events if event["event"] == "end"]
    assert [event["label"] for event in ends] == ["low", "high"]
    for event, (start, end) in zip(ends, [(2.0, 5.0), (7.0, 9.5)], strict=True):
        assert abs(event["start_s"] - start) <= 0.25 and abs(event["end_s"] - end) <= 0.25
    rows = table.read_text().splitlines()
    assert rows[0] == "file,start_s,end_s,label,confidence" and len(rows) == 3
    done = command("listen", sound_run.path, "--file", recording, "--fast", "--threshold", 0.7)
    assert [json.loads(line) for line in done.stdout.splitlines()] == events


def test_real_time_gives_the_same_events(sound_run: Any, recording: Path, tmp_path: Path) -> None:
    wave, _ = soundfile.read(recording, frames=int(2.4 * RATE), start=RATE)
    soundfile.write(tmp_path / "short.wav", wave, RATE)
    found = [list(handful.listen(sound_run.path, file=tmp_path / "short.wav", fast=fast)) for fast in (True, False)]
    assert found[0] == found[1] and found[0]


def test_tables_for_audacity_and_raven() -> None:
    segments = [Segment(1.25, 2.5, "a\tb\nc", 0.75)]
    assert written(segments, "x.txt", "f", 8000) == "1.250000\t2.500000\ta b c\n"
    head, row = written(segments, "x.selections.txt", "f", 8000).splitlines()
    assert head.split("\t")[:7] == [
        "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
    ]  # fmt: skip
    assert row.split("\t") == ["1", "Spectrogram 1", "1", "1.250000", "2.500000", "0", "8000", "a b c", "0.7500"]
    formula = [Segment(0.0, 1.0, "=1+1", 0.5)]
    assert written(formula, "x.csv", "-x.wav", 8000).splitlines()[1] == "'-x.wav,0.000,1.000,'=1+1,0.5000"  # F-89


def test_a_table_is_written_when_listening_is_broken_off(sound_run: Any, recording: Path, tmp_path: Path) -> None:
    table = tmp_path / "s.txt"
    events = handful.listen(sound_run.path, file=recording, fast=True, threshold=0.7, out=table)
    assert next(events)["event"] == "start"
    events.close()
    assert len(table.read_text().splitlines()) == 1


def microphone(wave: np.ndarray, rate: int) -> Any:
    """A stand-in for sounddevice whose microphone hears `wave`, then breaks off."""

    class InputStream:
        def __init__(self, samplerate: int, device: Any, channels: int, dtype: str, callback: Any) -> None:
            assert (samplerate, channels, dtype) == (rate, 1, "float32")
            self.callback = callback

        def __enter__(self) -> None:
            for start in range(0, len(wave), 512):
                block = wave[start : start + 512, None].astype(np.float32)
                self.callback(block, len(block), None, None)

        def __exit__(self, *error: object) -> None:
            pass

    module = types.ModuleType("sounddevice")
    module.InputStream = InputStream  # type: ignore[attr-defined]
    module.PortAudioError = RuntimeError  # type: ignore[attr-defined]
    module.query_devices = lambda device, kind: {"name": "test", "default_samplerate": float(rate)}  # type: ignore[attr-defined]
    return module


def test_the_microphone(sound_run: Any, recording: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import soxr

    wave = soxr.resample(soundfile.read(recording)[0], RATE, 44_100)
    monkeypatch.setitem(sys.modules, "sounddevice", microphone(wave, 44_100))
    events = handful.listen(sound_run.path, threshold=0.7)
    found = [next(events) for _ in range(4)]
    events.close()
    assert [(event["event"], event["label"]) for event in found] == [
        ("start", "low"), ("end", "low"), ("start", "high"), ("end", "high"),
    ]  # fmt: skip
    assert all("at" in event for event in found)


def test_without_sounddevice_or_sense(
    sound_run: Any, photo_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match="microphone"):
        handful.listen(sound_run.path)
    with pytest.raises(UsageError, match="pictures"):
        handful.listen(photo_run.path, file="x.wav")
    for wrong in (
        {"hop": 9.0},
        {"threshold": 0.0},
        {"smoothing": 0},
        {"cool_down": -1.0},
        {"ignore": ["x"]},
        {"out": "x.xls"},
    ):
        with pytest.raises(UsageError):
            handful.listen(sound_run.path, file="x.wav", **wrong)
    with pytest.raises(UsageError, match="fast"):
        handful.listen(sound_run.path, fast=True)
    with pytest.raises(FileError):
        handful.listen(sound_run.path, file=tmp_path / "none.wav")
    (tmp_path / "bad.wav").write_bytes(b"not a sound")
    with pytest.raises(HandfulError):
        list(handful.listen(sound_run.path, file=tmp_path / "bad.wav"))
