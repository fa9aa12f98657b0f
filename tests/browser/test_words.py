"""Both languages say the same things, and the pages say nothing that is not written down."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[2] / "frontend" / "src"
PLURALS = {"en": {"one", "other"}, "ru": {"one", "few", "many", "other"}}


def book(language: str) -> dict[str, Any]:
    words: dict[str, Any] = {}
    for path in sorted((SOURCE / "words" / language).glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        strangers = [key for key in found if not key.startswith(f"{path.stem}.")]
        assert not strangers, f"{path.name} holds words of another area: {strangers}"
        words |= found
    return words


def placeholders(text: Any) -> set[str]:
    forms = text.values() if isinstance(text, dict) else [text]
    return {name for form in forms for name in re.findall(r"\{(\w+)\}", form)}


def test_both_languages_have_the_same_words() -> None:
    english, russian = book("en"), book("ru")
    assert english.keys() == russian.keys()
    differing = [key for key in english if placeholders(english[key]) != placeholders(russian[key])]
    assert not differing, f"other placeholders in Russian: {differing}"


def test_plurals_have_all_forms_of_their_language() -> None:
    for language, forms in PLURALS.items():
        for key, text in book(language).items():
            assert not isinstance(text, dict) or text.keys() == forms, f"{language} {key}: {sorted(text)}"


def test_every_word_the_pages_use_is_written() -> None:
    english = book("en")
    areas = "|".join(sorted({key.partition(".")[0] for key in english}))
    named = re.compile(rf'"((?:{areas})\.[a-z0-9_]+)"')
    unknown = {
        f"{path.relative_to(SOURCE)}: {key}"
        for path in sorted(SOURCE.rglob("*.ts*"))
        if "schema.d.ts" not in path.name
        for key in named.findall(path.read_text(encoding="utf-8"))
        if key not in english
    }
    assert not unknown, f"not in words/en: {sorted(unknown)}"
