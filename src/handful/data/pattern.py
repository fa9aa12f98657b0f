"""`--pattern "{label}_{group}_{}"`: what a file's name says, as a pattern a person can write."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from handful.errors import UsageError

KNOWN = ("label", "group", "split", "fold")  # other names are kept as metadata
_FIELD = re.compile(r"\{(\w*)\}")


class Pattern:
    """Matches a file name without its ending. `{}` matches anything; other names become fields."""

    def __init__(self, text: str) -> None:
        self.text = text
        pieces, position, names = [], 0, set()
        for field in _FIELD.finditer(text):
            pieces.append(re.escape(text[position : field.start()]))
            name = field.group(1)
            if name in names:
                raise UsageError(f"the pattern {text!r} names {{{name}}} twice", "use {} for parts that do not matter")
            if name and not name.isidentifier():
                raise UsageError(
                    f"the pattern {text!r} has a field {{{name}}} that is no name", "use letters, e.g. {group}"
                )
            near = difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.6) if name and name not in KNOWN else []
            if near:
                raise UsageError(f"the pattern {text!r} has a field {{{name}}}", f"did you mean {{{near[0]}}}?")
            names |= {name} - {""}
            pieces.append(f"(?P<{name}>.+?)" if name else ".*?")
            position = field.end()
        pieces.append(re.escape(text[position:]))
        if not names:
            raise UsageError(
                f"the pattern {text!r} names nothing", 'name what the parts mean, e.g. --pattern "{label}_{group}_{}"'
            )
        self._expression = re.compile("".join(pieces), re.DOTALL)

    def match(self, stem: str) -> dict[str, str] | None:
        found = self._expression.fullmatch(stem)
        return found.groupdict() if found else None


def suggest(stems: Sequence[str], labels: Sequence[str]) -> str | None:
    """A pattern whose `{group}` looks like a shared source (a recording, a speaker, a burst), or None.

    Where `labels` are all the same, a part that may be the class becomes `{label}`; a part that is the class does too.
    A few numbers that hold whole groups become `{fold}`. Only suggested, never applied.
    """
    for separator in "_-":
        split = [stem.split(separator) for stem in stems]
        widths = Counter(len(parts) for parts in split)
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        if width < 2 or count < 0.9 * len(stems):
            continue
        rows = [(parts, label) for parts, label in zip(split, labels, strict=True) if len(parts) == width]
        columns = [[parts[column] for parts, _ in rows] for column in range(width)]
        roles = _roles(columns, [label for _, label in rows])
        if roles is not None:
            return separator.join(f"{{{role}}}" for role in roles)
    return None


def is_source(values: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether values look like shared sources, one value a sample.

    They repeat within a class (at most 0.6 as many values as samples, most samples share theirs), there are three or
    more, and they are neither the class itself nor a counter.
    """
    counts = Counter(values)
    # Numbers that start again in each class repeat too, but never within a class.
    shared = sum(n for n in Counter(zip(values, labels, strict=True)).values() if n > 1)
    is_class = len(counts) <= len(set(labels)) and _nested(values, labels)
    counter = (
        all(v.isdigit() for v in counts) and len({len(v) for v in counts}) == 1 and len(counts) > 0.5 * len(values)
    )
    return not (is_class or counter) and 2 < len(counts) <= 0.6 * len(values) and shared >= 0.6 * len(values)


def _roles(columns: Sequence[Sequence[str]], labels: Sequence[str]) -> list[str] | None:
    """What each part of the names is: "label", "fold", "group" or ""; None where nothing looks like a source."""
    roles = [""] * len(columns)
    if len(set(labels)) > 1:
        named = next((i for i, values in enumerate(columns) if list(values) == list(labels)), None)
    else:
        named = next((i for i, values in enumerate(columns) if _is_label(values)), None)
        labels = labels if named is None else columns[named]
    if named is not None:
        roles[named] = "label"
    found = [
        i
        for i, values in enumerate(columns)
        if i != named and (is_source(values, labels) or _has_takes(columns, i, labels))
    ]
    if not found:
        return None
    # Where several parts repeat, one that only counts is the last choice.
    group = next((i for i in found if not _counts(columns[i])), found[0]) if len(found) > 1 else found[0]
    outer = min(found[0], group)
    finer = next((i for i in found if i != outer and _nested(columns[i], columns[outer])), None)
    if finer is not None:
        group = finer
        if set(columns[outer]) <= _FOLDS:
            roles[outer] = "fold"
    roles[group] = "group"
    return roles


_FOLDS = {form.format(i) for i in range(11) for form in ("{}", "{:02d}", "fold{}", "f{}")}


def _is_label(values: Sequence[str]) -> bool:
    """Whether values may be classes: two to a hundred that each have several samples, ten on average."""
    counts = Counter(values)
    return 2 <= len(counts) <= min(100, len(values) / 10) and min(counts.values()) > 2


def _nested(inner: Sequence[str], outer: Sequence[str]) -> bool:
    """Whether each value of `inner` is found with one value of `outer` only."""
    return len(set(zip(inner, outer, strict=True))) == len(set(inner)) > 1


def _counts(values: Sequence[str]) -> bool:
    """Whether values are numbers from 0 or 1 on, nearly without gaps."""
    if not all(value.isdecimal() and len(value) < 7 for value in values):
        return False
    numbers = {int(value) for value in values}
    return min(numbers) < 2 and len(numbers) > 0.9 * (max(numbers) - min(numbers) + 1)


def _has_takes(columns: Sequence[Sequence[str]], at: int, labels: Sequence[str]) -> bool:
    """Whether a part numbers sources of which another part numbers the takes: 1-211527-A, 1-211527-B, 1-60997-A.

    Takes begin anew in each source and never repeat in it; three sources or more have several.
    """
    if len(set(columns[at])) <= len(set(labels)):
        return False
    for i, takes in enumerate(columns):
        if (
            i == at
            or _nested(takes, labels)
            or not all(len(take) <= 2 and (take.isalpha() or take.isdecimal()) for take in takes)
        ):
            continue
        of: dict[str, list[str]] = defaultdict(list)
        for source, take in zip(columns[at], takes, strict=True):
            of[source].append(take)
        first = Counter(min(found) for found in of.values()).most_common(1)[0]
        unique = all(len(found) == len(set(found)) for found in of.values())
        if unique and first[1] >= 0.95 * len(of) and sum(len(found) > 1 for found in of.values()) >= 3:
            return len(of) > 2
    return False
