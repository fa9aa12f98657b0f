"""`--pattern "{label}_{group}_{}"`: what a file's name says, as a pattern a person can write."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from handful.errors import UsageError

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

    A part qualifies when its values repeat (two to half as many values as files, most files sharing theirs) and it is not
    the class itself. Only suggested, never applied.
    """
    for separator in "_-":
        split = [stem.split(separator) for stem in stems]
        widths = Counter(len(parts) for parts in split)
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        if width < 2 or count < 0.9 * len(stems):
            continue
        rows = [(parts, label) for parts, label in zip(split, labels, strict=True) if len(parts) == width]
        for column in range(width):
            values = Counter(parts[column] for parts, _ in rows)
            # Numbers that start again in each class repeat too, but never within a class.
            within = Counter((parts[column], label) for parts, label in rows)
            shared = sum(n for n in within.values() if n > 1)
            classes = defaultdict(set)
            for parts, label in rows:
                classes[parts[column]].add(label)
            is_class = len(values) <= len(set(labels)) and all(len(seen) == 1 for seen in classes.values())
            counter = (
                all(v.isdigit() for v in values)
                and len({len(v) for v in values}) == 1
                and len(values) > 0.5 * len(rows)
            )
            if is_class or counter or not 2 < len(values) <= 0.6 * len(rows) or shared < 0.6 * len(rows):
                continue
            return separator.join("{group}" if i == column else "{}" for i in range(width))
    return None
