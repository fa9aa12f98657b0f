"""Predict sounds.

    python predict.py FILE...     a line a file: file, label, confidence, with tabs between; folders: all in them
    python predict.py --decode FILE OUT    the model's input as raw numbers, for predict.mjs and predict.cpp
    python predict.py --verify    repeat the proof that came with the model, on this machine: OK or FAILED

A line on stderr names files of which the model is so unsure that they may be something it does not know.
Needs numpy, onnxruntime, soundfile and soxr (see requirements.txt).
"""

import json
import signal
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import onnxruntime  # noqa: E402
from decode import decode  # noqa: E402

SUFFIXES = frozenset(
    ".wav .wave .flac .ogg .oga .opus .mp3 .aif .aiff .au .caf .w64 .rf64 .m4a .aac .mp4 .3gp .webm .weba".split()
)


class Model:
    def __init__(self, path=HERE / "model.onnx"):
        self.session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.about = json.loads(self.session.get_modelmeta().custom_metadata_map["handful"])
        self.classes = self.about["classes"]

    def decode(self, file):
        """Windows float32 [W, n] of one sound."""
        settings = self.about["frontend"]
        return decode(Path(file), settings["sample_rate_hz"], settings["seconds"], settings["max_windows"])

    def logits(self, file):
        """Calibrated logits [classes] of one sound."""
        windows = self.decode(file)
        return np.mean([self.session.run(["logits"], {"input": window[None]})[0][0] for window in windows], axis=0)

    def predict(self, file):
        """(label, confidence) of one sound."""
        logits = self.logits(file).astype(np.float64)
        p = np.exp(logits - logits.max())
        p /= p.sum()
        return self.classes[int(p.argmax())], float(p.max())


def verify(model):
    try:
        rows = json.loads((HERE / "vectors.json").read_text(encoding="utf-8"))
        found = np.stack([model.logits(HERE / row["file"]) for row in rows])
    except (OSError, ValueError) as error:
        print(f"the proof cannot be read ({error}): FAILED")
        return 1
    expected = np.array([row["logits"] for row in rows])
    spread = np.ptp(expected, axis=0).max()
    error = np.abs(found - expected).max() / spread if spread > 1e-6 else np.inf
    good = bool(error <= model.about.get("tolerance", 1e-3))
    print(f"largest difference {error:.1e} of the spread over {len(rows)} files: {'OK' if good else 'FAILED'}")
    return 0 if good else 1


def expanded(paths):
    """Files as they are, and the sounds in folders and the folders below, sorted; a folder without any as itself."""
    for path in map(Path, paths):
        inside = sorted(path.rglob("*")) if path.is_dir() else []
        media = [p for p in inside if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")]
        yield from [p for p in media if p.is_file()] or [path]


def plain(text):
    """`text` on one line: what would move a terminal's cursor or break the table becomes an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))


def main(arguments):
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__.strip(), file=sys.stdout if arguments else sys.stderr)
        return 0 if arguments else 2
    model = Model()
    if arguments == ["--verify"]:
        return verify(model)
    if arguments[0] == "--decode" and len(arguments) == 3:
        model.decode(arguments[1]).tofile(arguments[2])
        return 0
    raw = "--logits" in arguments
    failed = 0
    for file in expanded(arguments[arguments.index("--") + 1 :] if "--" in arguments else arguments):
        try:
            if file.is_dir():
                raise ValueError("no sounds in this folder")
            if raw:
                print(json.dumps([float(v) for v in model.logits(file)]))
            else:
                label, confidence = model.predict(file)
                print(f"{plain(file)}\t{plain(label)}\t{confidence:.4f}", flush=True)
                if confidence < model.about["unknown_below"]:
                    print(f"{plain(file)}: may be something the model does not know", file=sys.stderr)
        except ValueError as error:
            print(f"{plain(file)}: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if hasattr(signal, "SIGPIPE"):  # whoever reads may stop early, as `head` does
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main(sys.argv[1:]))
