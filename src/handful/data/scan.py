"""Walk a folder: class folders, `train/ validation/ test/` folders, a labels table, names with a pattern.

Only regular files are opened, links that leave the folder are not followed, nothing is written.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import stat
import sys
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from handful.data import media
from handful.data.pattern import Pattern, suggest
from handful.data.samples import Dataset, Finding, Sample
from handful.data.table import read_table
from handful.errors import DataError, UsageError
from handful.files import shown
from handful.folders import are_parts, left_behind, split_named
from handful.words import Sentence, both, reason, said

_BLOCK = 1 << 20
_NAMES = 4000  # file names that are looked through for a pattern
_AHEAD = 256  # files hashed ahead


def load_data(
    data: str | os.PathLike[str],
    *,
    modality: str | None = None,
    labels: str | os.PathLike[str] | None = None,
    pattern: str | None = None,
    classes: Sequence[str] | None = None,
    per_class: str | int | None = None,
    seed: int = 0,
) -> Dataset:
    """The labelled samples of a folder, sorted by file name, with findings about what could not be used.

    Args:
        data: class folders, or `train/ validation/ test/` folders of class folders, or any folder with `labels` or `pattern`.
        modality: "image" or "audio"; found from the files when not given.
        labels: a table that replaces what folders mean.
        pattern: what parts of file names mean, e.g. "{label}_{group}_{}".
        classes: keep only these.
        per_class: at most this many samples of each class, drawn by `seed`; "15/5/20" draws training, validation and test parts.

    Raises:
        DataError: nothing in the folder can be used.
    """
    root = Path(data).expanduser()
    if not root.is_dir():
        raise _no_folder(root)
    root = root.absolute()
    findings: list[Finding] = []
    names = list(_walk(root, findings))
    rows = _labelled(root, names, Path(labels) if labels else None, Pattern(pattern) if pattern else None, findings)
    found, ignored = _identify(rows, findings)
    chosen = modality or _majority(found)
    samples = _of_modality(found, chosen, findings)
    if classes:
        known = {sample.label for sample in samples}
        for name in classes:
            if unicodedata.normalize("NFC", name) not in known:
                raise UsageError(*both("error.no_class_in_data", name=repr(name), names=sorted(known)))
        wanted = {unicodedata.normalize("NFC", name) for name in classes}
        samples = [sample for sample in samples if sample.label in wanted]
    if per_class:
        samples = _draw(samples, str(per_class), seed, findings)
    if not samples:
        raise _nothing(root, names, modality, pattern, labels, findings)
    closed = {finding.values["folder"] for finding in findings if finding.name == "closed_folder"}
    findings += _spelling(samples) + ([] if labels or pattern or classes else _hollow(root, samples, chosen, closed))
    if pattern is None and labels is None:
        some = _some(samples)
        guess = suggest([Path(sample.file).stem for sample in some], [sample.label for sample in some])
        if guess:
            findings.append(Finding("leak", "warning", "names_of_sources", {"pattern": guess}))
    return Dataset(root, chosen, tuple(samples), tuple(findings), ignored)


def _nothing(
    root: Path,
    names: Sequence[str],
    modality: str | None,
    pattern: str | None,
    labels: object,
    findings: Sequence[Finding],
) -> DataError:
    """Why there is no sample among `names`, and what to do."""
    what = Sentence(f"what.{modality or 'any'}")
    message, hint = both("error.none_with_class", what=what, folder=str(root))
    loose = [Path(name).stem for name in names if Path(name).suffix.lower() in media.ALL_SUFFIXES][:_NAMES]
    by_name = suggest(loose, [""] * len(loose)) or ""
    if findings:
        message = said("error.bracket", what=message, more=findings[0].message)
    if any(finding.name in ("sounds_left_out", "pictures_left_out") for finding in findings):
        hint = said("error.none_of_kind.fix", what=what)
    elif labels is None and "{label}" in by_name and "{label}" not in (pattern or ""):
        hint = said("error.none_with_class_named.fix", pattern=by_name)
    elif findings and findings[0].fix and (pattern or findings[0].name == "closed_folder"):
        return DataError(message, findings[0].fix)
    return DataError(message, hint)


def _no_folder(root: Path) -> DataError:
    """Why there is no folder, and the one that may be meant."""
    if root.exists():
        packed = root.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
        fix = said("error.folder_packed.fix") if packed else said("error.folder.fix")
        return DataError(said("error.folder_file", folder=str(root)), fix)
    beside: list[str] = []
    with contextlib.suppress(OSError):  # no such place, or one that cannot be read
        beside = [entry.name for entry in root.parent.iterdir() if entry.is_dir()]
    folded = {name.casefold(): name for name in beside}
    near = difflib.get_close_matches(root.name.casefold(), folded, n=1, cutoff=0.7)
    meant = (
        said("error.folder_near.fix", name=str(root.with_name(folded[near[0]]))) if near else said("error.folder.fix")
    )
    return DataError(said("error.folder_missing", folder=str(root)), meant)


def _some(samples: Sequence[Sample]) -> list[Sample]:
    """The first files of each class, enough to see how files are named."""
    left: Counter[str] = Counter()
    each = max(20, _NAMES // max(1, len({sample.label for sample in samples})))
    chosen = []
    for sample in samples:
        left[sample.label] += 1
        if left[sample.label] <= each:
            chosen.append(sample)
    return chosen


def unlabelled(folder: Path, modality: str) -> list[Sample]:
    """All files of one kind below a folder, without labels.

    Raises:
        DataError: there is no such folder.
    """
    root = folder.expanduser().absolute()
    if not root.is_dir():
        raise DataError(
            f"the folder {shown(str(root))} does not exist", "give a folder of files that have no label yet"
        )
    rows = [Sample(str(root), name, "?", "") for name in _walk(root, [])]
    found, _ = _identify(rows, [])
    return [sample for sample, kind in found if _serves(kind, modality)]


def _serves(kind: str, modality: str) -> bool:
    """Whether a file can be a sample: of a video its sound can be used."""
    return ("audio" if kind == "video" else kind) == modality


def _walk(root: Path, findings: list[Finding]) -> Iterator[str]:
    """Names of the regular files below `root`, relative to it, in sorted order; each real folder once."""
    real_root = Path(os.path.realpath(root))
    seen = {str(real_root)}

    def visit(folder: str) -> Iterator[str]:
        try:
            entries = sorted(os.listdir(root / folder))
        except OSError as error:
            values = {"folder": folder or root.name, "reason": reason(error)}
            findings.append(Finding("corrupt", "warning", "closed_folder", values, (shown(folder),)))
            return
        for entry in entries:
            if left_behind(entry):
                continue
            name = os.path.join(folder, entry)
            path = os.path.join(root, name)
            if os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(real_root):
                findings.append(Finding("format", "note", "link", {"name": entry}, (shown(path),)))
                continue
            try:
                mode = os.stat(path).st_mode
            except OSError:
                continue
            if stat.S_ISDIR(mode):
                real = os.path.realpath(path)
                if real not in seen:
                    seen.add(real)
                    yield from visit(name)
            elif stat.S_ISREG(mode):
                yield name

    yield from visit("")


def _labelled(
    root: Path, names: list[str], labels: Path | None, pattern: Pattern | None, findings: list[Finding]
) -> list[Sample]:
    """Samples without content hash yet, labelled by table, pattern or folder."""
    if labels is not None:
        rows = _from_table(root, labels, findings)
    else:
        has_splits = are_parts({name.split(os.sep, 1)[0] for name in names if os.sep in name})
        rows, base = [], str(root)
        for name in names:
            parts = name.split(os.sep)
            split = split_named(parts[0]) if has_splits and len(parts) > 1 else ""
            inner = parts[1:] if split else parts
            # One string for all files of a class, however many there are.
            label = sys.intern(unicodedata.normalize("NFC", inner[0])) if len(inner) > 1 else ""
            rows.append(Sample(base, name, label, "", split=split))
    if pattern is not None:
        rows, misses = _apply(pattern, rows)
        misses = [file for file in misses if Path(file).suffix.lower() in media.ALL_SUFFIXES]
        if misses:
            values = {
                "n": len(misses),
                "name": Path(misses[0]).stem,
                "pattern": pattern.text,
                "advice": _better(misses),
            }
            findings.append(Finding("format", "warning", "pattern_missed", values, tuple(misses)))
    return [_normal(row) for row in rows]


def fits(data: str | os.PathLike[str], pattern: str) -> bool:
    """Whether a pattern tells of every picture and sound below a folder what it is for: nothing that folders say is replaced."""
    root = Path(data).expanduser().absolute()
    files = [Path(name) for name in _walk(root, []) if Path(name).suffix.lower() in media.ALL_SUFFIXES]
    loose = all(len(file.parts) == 1 for file in files)
    return (
        bool(files)
        and (loose or "{label}" not in pattern)
        and all(map(Pattern(pattern).match, (f.stem for f in files)))
    )


def _better(misses: list[str]) -> Sentence:
    """What to do about a pattern that does not match: another one, where the names suggest it."""
    labels = [parts[-2] if len(parts := Path(file).parts) > 1 else "" for file in misses]
    guess = suggest([Path(file).stem for file in misses], labels)
    if guess is None:
        return Sentence("pattern.any")
    return Sentence("pattern.perhaps" if "{label}" in guess else "pattern.perhaps_folders", {"pattern": guess})


def _normal(row: Sample) -> Sample:
    label = unicodedata.normalize("NFC", row.label)
    return row if label == row.label else replace(row, label=label)


def _apply(pattern: Pattern, rows: list[Sample]) -> tuple[list[Sample], list[str]]:
    matched, misses = [], []
    for row in rows:
        fields = pattern.match(Path(row.file).stem)
        if fields is None:
            misses.append(row.file)
            continue
        matched.append(
            replace(
                row,
                label=fields.pop("label", row.label),
                group=fields.pop("group", row.group),
                split=split_named(fields.pop("split", row.split)),
                fold=fields.pop("fold", row.fold),
                meta=tuple(fields.items()),
            )
        )
    return matched, misses


def _from_table(root: Path, table: Path, findings: list[Finding]) -> list[Sample]:
    rows: dict[str, Sample] = {}
    missing, outside, conflicts = [], [], []
    for row in read_table(table):
        name = row["file"]
        path = root / name
        if not name or "://" in name or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
            outside.append(f"{name} (line {row['line']})")
        elif not path.is_file():
            missing.append(f"{name} (line {row['line']})")
        elif name in rows and rows[name].label != row["label"]:
            conflicts.append(f"{name} (line {row['line']}: {row['label']}, earlier {rows[name].label})")
        else:
            split = split_named(row.get("split", ""))
            rows[name] = Sample(
                str(root), name, row["label"], "", group=row.get("group", ""), split=split, fold=row.get("fold", "")
            )
    if conflicts:
        raise DataError(
            f"{len(conflicts)} files have two labels in {table.name}: {conflicts[0]}", "keep one row for each file"
        )
    for names, kind in ((missing, "table_missing"), (outside, "table_outside")):
        if names:
            findings.append(Finding("format", "error", kind, {"n": len(names), "table": table.name}, tuple(names)))
    return [rows[name] for name in sorted(rows)]


def _identify(rows: list[Sample], findings: list[Finding]) -> tuple[list[tuple[Sample, str]], int]:
    """Hash every file and tell its kind by content: ((sample, image, audio or video) ..., number of files that are no media)."""
    found, ignored, unlabelled = [], 0, []
    with ThreadPoolExecutor(4) as pool:
        # A slice at a time: a waiting job weighs more than a sample.
        slices = (_taken(rows, i, i + _AHEAD) for i in range(0, len(rows), _AHEAD))
        hashed = (
            pair for part in slices for pair in zip(part, pool.map(lambda row: _hash(row.path), part), strict=True)
        )
        for row, (sha256, head, problem) in hashed:
            suffix = Path(row.file).suffix.lower()
            kind = media.sniff(head)
            if kind is None and suffix not in media.ALL_SUFFIXES:
                ignored += 1
            elif problem:
                values = {"file": row.file, "reason": problem}
                findings.append(Finding("corrupt", "error", "closed_file", values, (row.file,)))
            elif not head:
                findings.append(Finding("empty", "error", "empty_file", {"file": row.file}, (row.file,)))
            elif kind is None:
                findings.append(Finding("corrupt", "error", "no_media", {"file": row.file}, (row.file,)))
            elif not row.label.strip():
                unlabelled.append(row.file)
            else:
                if suffix and suffix not in media.SUFFIXES[kind] and suffix in media.ALL_SUFFIXES:
                    name = "picture_misnamed" if kind == "image" else "sound_misnamed"
                    findings.append(Finding("format", "note", name, {"file": row.file}, (row.file,)))
                found.append((replace(row, sha256=sha256), "video" if media.video(head) else kind))
    if unlabelled:
        findings.append(Finding("format", "warning", "unlabelled", {"n": len(unlabelled)}, tuple(unlabelled)))
    return found, ignored


def _taken(rows: list[Sample], start: int, end: int) -> list[Sample]:
    """A slice of `rows`, whose places are emptied: twenty thousand are not held twice."""
    part = rows[start:end]
    rows[start:end] = [None] * len(part)  # type: ignore[list-item]
    return part


def _hash(path: Path) -> tuple[str, bytes, str]:
    try:
        with open(path, "rb") as file:
            head = file.read(media.HEAD_BYTES)
            digest = hashlib.sha256(head)
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest(), head, ""
    except OSError as error:
        return "", b"", reason(error)


def _majority(found: list[tuple[Sample, str]]) -> str:
    """What most files are. Videos beside pictures were taken by the same camera: they do not make a data set of sounds."""
    counts = Counter(kind for _, kind in found)
    pictured = {sample.label for sample, kind in found if kind == "image"}
    sounds = counts["audio"] + (counts["video"] if len(pictured) < 2 else 0)
    return "audio" if sounds > counts["image"] else "image"


def _of_modality(found: list[tuple[Sample, str]], chosen: str, findings: list[Finding]) -> list[Sample]:
    left = [(sample.file, kind) for sample, kind in found if not _serves(kind, chosen)]
    for kind, name in (("audio", "sounds_left_out"), ("video", "videos_left_out"), ("image", "pictures_left_out")):
        if files := tuple(file for file, what in left if what == kind):
            findings.append(Finding("format", "warning", name, {"n": len(files)}, files))
    return [sample for sample, kind in found if _serves(kind, chosen)]


def _draw(samples: list[Sample], per_class: str, seed: int, findings: list[Finding]) -> list[Sample]:
    """N of each class in shuffled order; for "a/b/c" whole groups, so that the parts share none."""
    try:
        wanted = [int(part) for part in per_class.split("/")]
        if not 1 <= len(wanted) <= 3 or min(wanted) < 0 or wanted[0] < 1:
            raise ValueError
    except ValueError:
        raise UsageError(
            f"--per-class {per_class} is not understood", "use a number, or training/validation/test as in 15/5/20"
        ) from None
    names = ("train", "validation", "test") if len(wanted) > 1 else ("",)
    by_class: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    kept = [sample for sample in samples if sample.split in ("", "train")] if len(wanted) > 1 else samples
    untouched = []
    if len(wanted) == 1:  # parts that were given stay whole: only training samples are drawn
        untouched = [sample for sample in kept if sample.split in ("validation", "test")]
        kept = [sample for sample in kept if sample.split not in ("validation", "test")]
    for sample in kept:
        # Only parts must not share a group; one part drawn by groups would hold few of them.
        by_class[sample.label][(len(wanted) > 1 and sample.group) or sample.sha256].append(sample)
    drawn, short = list(untouched), []
    for number, label in enumerate(sorted(by_class)):
        groups = list(by_class[label].values())
        order = iter(np.random.default_rng([seed, number]).permutation(len(groups)))
        for name, count in zip(names, wanted, strict=False):
            part: list[Sample] = []
            while len(part) < count and (index := next(order, None)) is not None:
                part += groups[index]
            if len(part) < count:
                short.append(f"{label} {len(part)}/{count}" + (f" ({name})" if name else ""))
            drawn += [replace(sample, split=name or sample.split) for sample in part[:count]]
    if short:
        findings.append(Finding("too-few", "warning", "drawn_short", {"asked": per_class, "names": short}))
    return sorted(drawn, key=lambda sample: sample.file)


def _spelling(samples: Sequence[Sample]) -> list[Finding]:
    """Classes whose names differ only by case, spaces or invisible characters."""

    def bare(label: str) -> str:
        text = unicodedata.normalize("NFKC", label).casefold()
        return "".join(c for c in text if unicodedata.category(c) != "Cf" and not c.isspace())

    twins = defaultdict(set)
    for sample in samples:
        twins[bare(sample.label)].add(sample.label)
    return [
        Finding("label-spelling", "warning", "spelling", {"names": sorted(names)})
        for names in twins.values()
        if len(names) > 1
    ]


def _hollow(root: Path, samples: Sequence[Sample], chosen: str, closed: Collection[object]) -> list[Finding]:
    """Folders that stand where class folders stand and hold no sample; nobody can tell that of `closed` ones."""
    known = {sample.label for sample in samples}
    tops = {sample.file.split(os.sep, 1)[0] for sample in samples if sample.split}
    parts = {top for top in tops if split_named(top)} or {""}
    found = []
    for part in sorted(parts):
        for folder in sorted(entry.name for entry in os.scandir(root / part) if entry.is_dir()):
            label = unicodedata.normalize("NFC", folder)
            looked = not left_behind(folder) and folder not in parts and os.path.join(part, folder) not in closed
            if looked and label not in known:
                name = "no_pictures_in" if chosen == "image" else "no_sounds_in"
                found.append(Finding("empty", "warning", name, {"folder": folder}, (os.path.join(part, folder),)))
    return found
