"""What stands where in the report: gathers each section's content for `templates/report.html`.

Sections are prepared in `results`, `trust` and `origin`; how things are printed is known to `elements`.
"""

from __future__ import annotations

from typing import Any

from handful.reporting import advice, elements, figures, origin, results, speed, trust, words
from handful.reporting.elements import Html
from handful.reporting.evidence import Evidence, Media
from handful.reporting.samples import Gallery
from handful.reporting.words import Sentence, Words

# What an advice is about -> the section that shows it.
ABOUT = {
    "advice.errors": "findings", "advice.warnings": "findings", "advice.doubtful": "doubtful", "advice.shortcut": "shortcuts",
    "advice.shortcuts": "shortcuts",
    "advice.leak": "leak", "advice.untested": "classes", "advice.no_better": "samples", "advice.test_lower": "test",
    "advice.weak_class": "confusion", "advice.weak_class_confused": "confusion", "advice.more": "curve", "advice.double": "curve", "advice.done": "curve",
    "advice.unknown": "unknown", "advice.confidence": "reliability", "advice.wide": "curve",
}  # fmt: skip
# The order of the page: what whoever uses the model needs comes first, what whoever checks it needs last.
PARTS = (
    ("part.result", ("next", "confusion", "classes", "samples", "test")),
    ("part.data", ("doubtful", "findings", "leak", "shortcuts", "curve", "groups")),
    ("part.trust", ("reliability", "sets", "unknown", "explanations", "map")),
    ("part.details", ("averages", "curves", "candidates", "augmentation", "cost", "speed", "method", "recipe")),
)


def render(found: Evidence, texts: Words) -> str:
    """The whole page as text."""
    classes = [str(name) for name in found.result.get("classes") or []]
    media = Media(found.folder)
    # The order is the order in which previews get their share of the space.
    first = {
        "explanations": trust.explanations(found, media),
        "augmentation": origin.augmentation(found.result, media),
        "doubtful": trust.doubtful(found, media),
        "test": results.test(found, media),
    }
    bins = figures.bins_of((found.result.get("calibration") or {}).get("bins"), found.confidences)
    gallery = Gallery(found.predictions, classes, media, bins)
    html = Html(texts, gallery.opens)
    content = first | _sections(found, gallery, texts)
    parts = [(title, [key for key in keys if content.get(key)]) for title, keys in PARTS]
    return elements.page(
        "report.html",
        html,
        gallery.style,
        result=found.result,
        chance=words.chance(found.result)[0],
        verdict=words.verdict(found.result),
        score=results.score(found.result, "score"),
        gallery=gallery,
        media_full=media.full,
        parts=[(title, keys) for title, keys in parts if keys],
        content_of=content.get,
        **content,
    )


def _sections(found: Evidence, gallery: Gallery, texts: Words) -> dict[str, Any]:
    result = found.result
    return {
        "next": {"lines": _advice(result), "commands": [str(line) for line in result.get("next") or []]},
        "confusion": results.matrix(result, set(gallery.views)),
        "classes": results.classes(result),
        "samples": gallery if gallery.tiles else None,
        "groups": results.groups(result),
        "averages": results.averages(result),
        "findings": origin.findings(result, texts),
        "leak": trust.leak(result),
        "shortcuts": trust.shortcuts(result),
        "curve": trust.curve(result),
        "reliability": trust.calibration(found),
        "sets": trust.sets(result),
        "unknown": trust.unknown(result),
        "map": trust.embedding(found, gallery),
        "curves": [chart for what in ("loss", "accuracy") if (chart := figures.curves(found.epochs, what))],
        "candidates": origin.candidates(result),
        "cost": origin.cost(result),
        "speed": speed.card(found.folder),
        "method": origin.method(result, texts),
        "recipe": origin.recipe(found, texts),
    }


def _advice(result: dict[str, Any]) -> list[tuple[Sentence, str | None]]:
    """Each advice and the section that it is about, said once where several follow one another."""
    found = [(sentence, ABOUT.get(sentence.key)) for sentence in advice.advise(result)]
    following = [about for _, about in found[1:]] + [None]
    return [
        (sentence, about if about != after else None) for (sentence, about), after in zip(found, following, strict=True)
    ]
