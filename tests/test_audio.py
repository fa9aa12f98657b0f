"""The sound front-end, on generated sounds only: numbers a reader can check."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from handful.errors import FileError, UsageError
from handful.features import _sound_augment, _spectra, frontends
from handful.features.audio import AudioFrontend, probe
from handful.graph import Graph, session

RATE = 16_000


def tone(hz: float, seconds: float = 1.0, rate: int = RATE, level: float = 0.5) -> np.ndarray:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def encode(wave: np.ndarray, rate: int = RATE, container: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=container, subtype=subtype)
    return buffer.getvalue()


def patched(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + struct.pack("<I", value) + data[at + 4 :]


def evaluate(frontend: AudioFrontend, items: np.ndarray, feature: str = "log_mel", **options: object) -> np.ndarray:
    g = Graph()
    value = getattr(frontend, feature)(g, frontend.input(g), **options)
    g.output(value, "value", ["N", "C", "H", "W"] if feature == "picture" else ["N", "B", "T"])
    return np.asarray(session(g.build(), 1).run(None, {"input": items.astype(np.float32)})[0])


def loudest_hz(wave: np.ndarray, rate: int) -> float:
    return float(np.abs(np.fft.rfft(wave * np.hanning(len(wave)))).argmax() * rate / len(wave))


def test_is_registered_and_rebuilt_from_its_spec() -> None:
    frontend = AudioFrontend(sample_rate_hz=8000, seconds=1.5, features="mfcc", n_mels=40)
    spec = json.loads(json.dumps(frontend.spec()))
    assert (spec.pop("modality"), spec.pop("version")) == ("audio", AudioFrontend.version)
    assert frontends.get("audio")(**spec) == frontend


@pytest.mark.parametrize(
    "wrong", [{"seconds": 0}, {"sample_rate_hz": 1}, {"features": "plp"}, {"n_mels": 8, "n_mfcc": 20}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        AudioFrontend(**wrong)  # type: ignore[arg-type]


# --- reading


@pytest.mark.parametrize(
    ("seconds", "starts"),
    [
        (0.4, [0.0]),  # shorter: padded at the end
        (1.0, [0.0]),
        (1.08, [0.04]),  # a tenth may stay uncovered: the middle
        (1.5, [0.0, 0.5]),  # two that overlap
        (3.0, [0.0, 1.0, 2.0]),
        (9.0, [0.0, 8 / 3, 16 / 3, 8.0]),  # no more than max_windows, evenly spread
    ],
)
def test_windows_cover_evenly(seconds: float, starts: list[float]) -> None:
    ramp = (np.arange(round(seconds * RATE)) / (10 * RATE)).astype(np.float32)
    items, facts = AudioFrontend(seconds=1.0, max_windows=4).read(encode(ramp, subtype="FLOAT"))
    assert items.shape == (len(starts), RATE)
    assert items[:, 0] * 10 == pytest.approx(starts, abs=1e-3)
    assert facts["seconds"] == pytest.approx(seconds) and facts["windows"] == len(starts)
    if seconds < 1:
        assert not items[0, len(ramp) :].any() and items[0, : len(ramp)] == pytest.approx(ramp)


def test_front_end_for_files_follows_their_lengths_and_rates() -> None:
    words = AudioFrontend.for_files([0.3, 0.5, 0.6, 0.7], [8000] * 4)
    assert (words.seconds, words.sample_rate_hz) == (0.75, 8000)
    scenes = AudioFrontend.for_files([3.6, 5.0, 5.0, 7.2], [44100, 8000, 44100, 44100])
    assert (scenes.seconds, scenes.sample_rate_hz) == (5.0, 16_000)
    assert AudioFrontend.for_files([0.5], [8000], seconds=2.0, features="mfcc").seconds == 2.0


@pytest.mark.parametrize("rate", [8000, 11025, 44099, 96000])
def test_resampling_keeps_duration_and_pitch(rate: int) -> None:
    (item,), facts = AudioFrontend(seconds=1.0).read(encode(tone(1000, 1.0, rate), rate))
    assert facts["seconds"] == pytest.approx(1.0, abs=1e-4) and facts["sample_rate_hz"] == rate
    assert loudest_hz(item, RATE) == pytest.approx(1000, abs=2)
    assert np.abs(item[100:-100]).max() == pytest.approx(0.5, abs=0.01)


def test_tones_above_half_the_rate_do_not_fold_back() -> None:
    (item,), _ = AudioFrontend(seconds=1.0).read(encode(tone(15_000, 1.0, 44_100), 44_100, subtype="FLOAT"))
    assert 20 * np.log10(np.sqrt(np.mean(item[500:-500] ** 2)) / (0.5 / np.sqrt(2))) < -60


def test_every_encoding_gives_the_same_mel() -> None:
    wave = tone(700, level=0.9)
    frontend = AudioFrontend(seconds=1.0)
    items = {}
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"):
        (items[subtype],), facts = frontend.read(encode(wave, subtype=subtype))
        assert facts["encoding"] == subtype
    for container, subtype in (("FLAC", None), ("AIFF", "PCM_16"), ("CAF", None), ("RF64", None), ("W64", None)):
        (items[f"{container} {subtype}"],), _ = frontend.read(encode(wave, container=container, subtype=subtype))
    mel = {name: 10 ** (evaluate(frontend, item[None])[0, :, 20:80] / 10) for name, item in items.items()}
    for name, value in mel.items():
        assert np.abs(value - mel["FLOAT"]).max() < 1e-2, name


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_are_averaged(channels: int) -> None:
    waves = np.stack([tone(200 * (c + 1)) for c in range(channels)], axis=1)
    (item,), facts = AudioFrontend(seconds=1.0).read(encode(waves, subtype="FLOAT"))
    assert item == pytest.approx(waves.mean(axis=1), abs=1e-6)
    assert facts["channels"] == channels and not facts["cancels"]


def test_facts_name_what_is_wrong() -> None:
    frontend = AudioFrontend(seconds=1.0)

    def facts(wave: np.ndarray) -> dict[str, object]:
        found = frontend.read(encode(wave, subtype="FLOAT"))[1]
        assert json.loads(json.dumps(found)) == found
        return found

    wave = tone(440)
    assert facts(np.stack([wave, -wave], axis=1))["cancels"]
    assert facts(np.zeros(RATE, np.float32))["silent"] and facts(np.full(RATE, 0.3, np.float32))["silent"]
    assert facts(np.full(RATE, 0.3, np.float32))["offset"] == pytest.approx(0.3)
    assert facts(wave)["clipped"] == 0 and not facts(wave)["silent"]
    assert facts(tone(440, level=1.0))["clipped"] == 0  # a full-scale sine is loud, not clipped
    # |sin| exceeds 1 / 2 for two thirds of its period
    assert facts(np.clip(2 * tone(100, level=1.0), -1, 1))["clipped"] == pytest.approx(2 / 3, abs=0.03)
    assert facts(wave)["peak"] == pytest.approx(0.5) and facts(wave)["rms"] == pytest.approx(0.5 / np.sqrt(2), abs=1e-5)


def test_values_that_are_not_numbers_are_replaced_and_located() -> None:
    wave = tone(440)
    wave[[4000, 4001, 9000]] = np.nan, np.inf, 1e30
    (item,), facts = AudioFrontend(seconds=1.0).read(encode(wave, subtype="FLOAT"))
    assert not item[[4000, 4001, 9000]].any() and np.isfinite(item).all()
    assert facts["not_finite"] == 3 and facts["first_not_finite_seconds"] == 0.25
    with pytest.raises(FileError, match="not finite"):
        AudioFrontend().read(encode(np.full(RATE, np.nan, np.float32), subtype="FLOAT"))


def test_one_sample_is_a_sound_and_none_is_not() -> None:
    items, _ = AudioFrontend(seconds=0.5).read(encode(np.array([0.5], np.float32)))
    assert items.shape == (1, 8000)
    for nothing in (b"", encode(np.zeros(0, np.float32))):
        with pytest.raises(FileError) as caught:
            AudioFrontend().read(nothing)
        assert caught.value.kind == "empty" and caught.value.hint


def test_nonsense_rates_are_refused_before_anything_is_allocated() -> None:
    good = encode(tone(440))
    for rate in (1, 400, 4_000_000_000):
        with pytest.raises(FileError):
            AudioFrontend().read(patched(good, 24, rate))
        with pytest.raises(FileError):
            probe(patched(good, 24, rate))


def test_lengths_are_counted_not_believed() -> None:
    good = encode(tone(440))
    at = good.index(b"data") + 4
    items, facts = AudioFrontend(seconds=1.0).read(patched(good, at, RATE * 2 * 3600 * 3))
    assert facts["seconds"] == 1.0 and facts["notes"][0]["key"] == "flaw.header" and len(items) == 1
    _, facts = AudioFrontend(seconds=1.0).read(patched(good, at, 0xFFFFFFFF))  # written to a pipe
    assert facts["seconds"] == 1.0 and "notes" not in facts
    _, facts = AudioFrontend(seconds=1.0).read(good[: len(good) // 2])
    assert facts["seconds"] == pytest.approx(0.5, abs=0.01) and facts["notes"]


def test_damaged_and_foreign_files_are_named() -> None:
    noise = np.random.default_rng(0).bytes(30_000)
    cases = {
        "corrupt": [noise, encode(tone(440))[:30], encode(tone(440), container="FLAC")[:60], b"\x00" * 500],
        "format": [b"\x89PNG\r\n\x1a\n" + noise, b"<html><body>404</body></html>", b"%PDF-1.7" + noise],
    }
    for kind, contents in cases.items():
        for content in contents:
            with pytest.raises(FileError) as caught:
                AudioFrontend().read(content)
            assert caught.value.kind == kind and caught.value.hint, content[:8]


def test_any_truncation_or_bit_error_is_read_or_refused() -> None:
    rng = np.random.default_rng(1)
    frontend = AudioFrontend(seconds=0.5)
    for container, subtype in (
        ("WAV", None),
        ("FLAC", None),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
        ("AIFF", None),
    ):
        good = encode(tone(440, 0.4), container=container, subtype=subtype)
        damaged = [good[: len(good) * eighth // 8] for eighth in range(1, 8)]
        for _ in range(10):
            content = bytearray(good)
            for position in rng.integers(0, len(content), 3):
                content[position] ^= 1 << int(rng.integers(8))
            damaged.append(bytes(content))
        for content in damaged:
            try:
                items, _ = frontend.read(content)
            except FileError:
                continue
            assert items.shape[1] == 8000 and np.isfinite(items).all()


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = tmp_path / "voice.raw"
    path.write_bytes(encode(tone(440), container="FLAC"))
    assert AudioFrontend(seconds=1.0).read(path)[1]["format"] == "FLAC"
    assert probe(path) == (1.0, RATE)
    with pytest.raises(FileError, match="cannot be opened"):
        AudioFrontend().read(tmp_path / "nobody.wav")


def test_mp3_after_rubbish_and_with_a_large_tag() -> None:
    mp3 = encode(tone(440, 2.0), container="MP3")
    size = 3_000_000
    tag = b"ID3\x03\x00\x00" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + b"TXXX" + bytes(size - 4)
    for prefix in (b"", bytes(1000), tag):
        items, facts = AudioFrontend(seconds=2.0).read(prefix + mp3)
        assert facts["seconds"] == pytest.approx(2.0, abs=0.1) and loudest_hz(items[0], RATE) == pytest.approx(
            440, abs=2
        )


def test_decoders_print_nothing() -> None:
    code = """
import io, numpy as np, soundfile
from handful.errors import FileError
from handful.features.audio import AudioFrontend
buffer = io.BytesIO()
soundfile.write(buffer, np.sin(np.arange(16000) / 9).astype("f4"), 16000, format="MP3")
good = buffer.getvalue()
for content in (good[:1200] + bytes(700) + good[1900:], good[:3000], b"\\xff\\xfb\\x00\\x00" + good[4:], b"ID3\\x04" + bytes(90) + good):
    try:
        AudioFrontend().read(content)
    except FileError:
        pass
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_telephone_formats_need_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    mp4 = b"\x00\x00\x00\x20ftypM4A " + bytes(500)
    with pytest.raises(FileError):
        AudioFrontend().read(mp4)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(FileError) as caught:
        AudioFrontend().read(mp4)
    assert caught.value.kind == "format" and "handful[phone]" in caught.value.hint


@pytest.mark.parametrize(("container", "codec"), [("mp4", "aac"), ("adts", "aac"), ("webm", "libopus")])
def test_telephone_formats_are_read(container: str, codec: str) -> None:
    av = pytest.importorskip("av")
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        track = out.add_stream(codec, rate=48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(600, 1.0, 48_000)[None], format="fltp", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*track.encode(frame), *track.encode(None)]:
            out.mux(packet)
    items, facts = AudioFrontend(seconds=1.0).read(buffer.getvalue())
    assert facts["seconds"] == pytest.approx(1.0, abs=0.1)
    assert loudest_hz(items[0], RATE) == pytest.approx(600, abs=3)


def test_long_recordings_are_streamed(tmp_path: Path) -> None:
    """Ten minutes at 48 kHz, of which 32 windows are kept, cost no more memory than the windows."""
    code = """
import resource, sys
from pathlib import Path
import numpy as np, soundfile, soxr
from handful.features.audio import AudioFrontend
path = Path(sys.argv[1])
with soundfile.SoundFile(path, "w", 48000, 2, format="WAV") as out:
    for minute in range(10):
        out.write(np.full((48000 * 60, 2), minute / 20, np.float32))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
items, facts = AudioFrontend().read(path)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(items.shape, facts["seconds"], np.round(items[[0, -1], 40000] * 20).tolist(), after - before < 80 * 1024)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "long.wav")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "(32, 80000) 600.0 [0.0, 9.0] True", done.stderr


# --- operators


@pytest.mark.parametrize("hz", [150, 440, 1000, 3000, 6500])
def test_a_tone_lies_in_its_mel_band(hz: float) -> None:
    frontend = AudioFrontend(seconds=1.0)
    mel = evaluate(frontend, tone(hz)[None])
    assert mel.shape == (1, 64, 100) and mel.dtype == np.float32
    # 64 triangles between 20 Hz (31.7 mel) and 8 kHz (2840 mel): their centres are 43.2 mel apart
    centres = 31.75 + 43.2 * np.arange(1, 65)
    assert mel[0, :, 50].argmax() == np.abs(centres - 2595 * np.log10(1 + hz / 700)).argmin()


def test_log_mel_is_decibel_below_the_loudest_and_forgets_the_level() -> None:
    frontend = AudioFrontend(seconds=1.0)
    waves = np.stack([tone(440), tone(440, level=0.005)])
    mel = evaluate(frontend, waves)
    assert mel.max(axis=(1, 2)) == pytest.approx([0, 0]) and mel.min() >= -80
    assert np.abs(mel[0] - mel[1])[mel[0] > -40].max() < 0.01
    quieter = np.concatenate([tone(440, 0.5), 0.1 * tone(440, 0.5)])  # a tenth of the amplitude is -20 dB
    assert evaluate(frontend, quieter[None])[0, :, 75].max() == pytest.approx(-20, abs=0.1)


def test_graph_equals_a_plain_fourier_transform() -> None:
    frontend = AudioFrontend(seconds=1.0)
    wave = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    power = _spectra.mel_power(wave, RATE, 64)
    expected = 10 * np.log10(power / power.max())
    assert np.abs(evaluate(frontend, wave[None])[0] - expected).max() < 2e-3


def test_mfcc_is_the_cosine_transform_of_log_mel() -> None:
    frontend = AudioFrontend(seconds=1.0)
    wave = np.random.default_rng(0).standard_normal((1, RATE)) * 0.1
    mel, mfcc = evaluate(frontend, wave), evaluate(frontend, wave, "mfcc")
    assert mfcc.shape == (1, 20, 100)
    assert mfcc[0, 0] == pytest.approx(mel[0].sum(axis=0) / 8, rel=1e-4)  # 1 / sqrt(64)


@pytest.mark.parametrize("features", ["mel", "mfcc", "spectrogram"])
def test_pictures_lie_between_0_and_1_also_for_silence(features: str) -> None:
    frontend = AudioFrontend(seconds=1.0, features=features)  # type: ignore[arg-type]
    waves = np.stack([np.zeros(RATE), np.full(RATE, 0.5), tone(440), np.random.default_rng(0).standard_normal(RATE)])
    pictures = evaluate(frontend, waves, "picture", size=96)
    assert pictures.shape == (4, 3, 96, 96) and np.isfinite(pictures).all()
    assert pictures.min() >= 0 and pictures.max() <= 1.001
    assert pictures[2].std() > 0.02


# --- random changes


def test_augmenting_is_drawn_from_the_generator() -> None:
    frontend = AudioFrontend(seconds=1.0)
    item = tone(440)
    a, b, c = (frontend.augment(item, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert a.shape == item.shape and a.dtype == np.float32
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    assert np.array_equal(item, tone(440))
    for seed in range(30):
        for wave in (item, np.zeros(RATE, np.float32)):
            assert np.isfinite(frontend.augment(wave, np.random.default_rng(seed))).all()


def test_changes_do_what_they_say() -> None:
    wave = tone(440)
    assert np.abs(_sound_augment.volume(wave, -6.0)).max() == pytest.approx(0.5 * 0.5011872, abs=1e-4)
    noisy = _sound_augment.noise(wave, 20.0, np.random.default_rng(0)) - wave
    assert np.sqrt(np.mean(noisy**2)) == pytest.approx(0.1 * 0.5 / np.sqrt(2), rel=0.05)
    assert np.array_equal(_sound_augment.shift(wave, 100)[100:], wave[:-100])
    assert np.array_equal(_sound_augment.shift(wave, -100)[:-100], wave[100:])
    for speed in (0.85, 1.15):
        changed = _sound_augment.stretch(wave, speed)
        assert len(changed) == round(RATE / speed) and loudest_hz(changed, RATE) == pytest.approx(440, abs=3)
        assert np.abs(changed[3000:-3000]).max() == pytest.approx(0.5, abs=0.05)
    assert loudest_hz(_sound_augment.pitch(wave, 2.0, RATE), RATE) == pytest.approx(440 * 2 ** (2 / 12), abs=4)
    # 440 Hz lies at 0.055 of half the rate: so far from the first of two frequencies to the second.
    louder = _sound_augment.equalise(wave, np.array([0.0, 20.0]))
    assert 20 * np.log10(np.std(louder) / np.std(wave)) == pytest.approx(20 * 440 / (RATE / 2), abs=0.05)


def test_masks_hide_bands_and_times() -> None:
    seen = np.random.default_rng(0).standard_normal((3, 64, 90)).astype(np.float32)
    masked = AudioFrontend().mask(seen, 0.15, np.random.default_rng(0))
    changed = masked != seen
    assert 0 < changed.mean() < 0.6 and not np.shares_memory(masked, seen)
    rows, columns = changed.all(axis=(0, 2)), changed.all(axis=(0, 1))
    assert np.array_equal(changed[0], rows[:, None] | columns[None])
    assert rows.sum() <= 2 * 9 and columns.sum() <= 2 * 13


def test_thumbnail_is_a_small_picture() -> None:
    from PIL import Image

    for wave in (np.zeros(80_000, np.float32), tone(440, 5.0)):
        data = AudioFrontend().thumbnail(wave[None])
        assert Image.open(io.BytesIO(data)).size == (160, 80) and len(data) < 30_000


def test_copies_have_near_fingerprints() -> None:
    rng = np.random.default_rng(0)
    frontend = AudioFrontend(seconds=1.0)

    def bits(wave: np.ndarray, **options: str) -> np.ndarray:
        digest = frontend.read(encode(wave, **options))[1]["hash"]
        return np.unpackbits(np.frombuffer(bytes.fromhex(digest), np.uint8))

    one, other = (np.cumsum(rng.standard_normal(RATE)) / 300 for _ in range(2))
    assert np.count_nonzero(bits(one) != bits(one * 0.5, container="OGG")) < 40
    assert np.count_nonzero(bits(one) != bits(other)) > 80
